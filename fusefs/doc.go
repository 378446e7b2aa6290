// Package fusefs shows a drive of package cache to the kernel through FUSE.
// It is thin: each request becomes one call of the cache, each error one
// errno (errno.go), and there is no network and no table of its own here.
//
// It speaks go-fuse's raw protocol, not its node API, because the cache already has the tree: a FUSE node id is the
// cache's own, so RELEASE and FORGET need no second table; and because the
// descriptor of /dev/fuse is needed to give ordinary users passthrough. Drives that are shown within the mounted one
// (bound.go) have a tag in the upper bits of their ids, by which router.go finds whom a request is for.
//
// What the kernel is trusted with, and why:
//
//   - Permissions: the mount has default_permissions, so the kernel checks modes
//     and owners (sticky bit and supplementary groups too) before it asks.
//   - Locks: flock, POSIX and OFD locks stay in the kernel, right among the
//     programs of one machine.
//   - Content: a file whose content is local is opened with passthrough; its
//     reads, writes and mappings never come here.
//   - Names and attributes: cached for hours while the change feed is up; what
//     others change is taken back by the cache's notifier.
//   - OPENDIR is answered with ENOSYS once, which the kernel takes as "never ask
//     again" and caches listings.
package fusefs
