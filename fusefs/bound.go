package fusefs

import (
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"satchel/api"
	"satchel/cache"
	"satchel/cache/locks"
)

// A bound drive is shown in a directory of the mount. Its node ids are its cache's own
// with a tag in the upper bits, so a request's drive is known by its number.
const (
	tagShift = 48
	idMask   = 1<<tagShift - 1
	rootID   = 1 // each cache's root
)

// bound is a filesystem's place in the mount of another one.
type bound struct {
	dir  uint64 // the st_ino of the directory that it is shown in, and of its root
	may  atomic.Int64
	gate locks.RWMutex // held for reading by each request
	over bool          // guarded by gate: it is shown no more
}

// boundDrives is what is shown in a mount; replaced whole when that changes.
type boundDrives struct {
	byTag map[uint64]*filesystem
	byDir map[uint64]*filesystem
}

// linger is how long an answer that was given may still be on its way to the
// kernel, with a descriptor of the cache's.
const linger = time.Second

// A Binding is a drive that is shown in a directory of a mounted one.
type Binding struct {
	s   *Server
	f   *filesystem
	dir api.ID
}

// Bind shows a drive in a directory of the mounted one and starts its background work. What
// programs may do there is the caller's affair; the rest they are refused (EACCES). Until Close
// the directory can't be removed or replaced (EBUSY), and nothing moves between it and the rest (EXDEV).
func (s *Server) Bind(dir api.ID, d *cache.Drive, may api.Permissions) *Binding {
	s.mu.Lock()
	defer s.mu.Unlock()
	home := s.fs
	s.tags++
	f := &filesystem{
		RawFileSystem: home.RawFileSystem, d: d, log: home.log, noXattr: home.noXattr, home: home,
		tag: s.tags << tagShift, bound: &bound{dir: dir.Hash64()},
	}
	b := &Binding{s, f, dir}
	b.Allow(may)
	home.showBound(func(all *boundDrives) { all.byTag[f.tag], all.byDir[f.bound.dir] = f, f })
	d.Start(f)
	home.d.Renew(dir)
	return b
}

// Allow changes what programs may do.
func (b *Binding) Allow(may api.Permissions) { b.f.bound.may.Store(int64(may)) }

// Close shows the plain directory again, and returns when no request uses the
// drive any more: it can be closed then.
func (b *Binding) Close() {
	f, home := b.f, b.s.fs
	b.s.mu.Lock()
	home.showBound(func(all *boundDrives) {
		delete(all.byTag, f.tag)
		delete(all.byDir, f.bound.dir)
	})
	b.s.mu.Unlock()
	home.d.Renew(b.dir)
	f.bound.gate.Lock()
	f.bound.over = true
	f.bound.gate.Unlock()
	time.Sleep(linger)
}

// Bar lets programs make nothing in some directories of the mounted drive (EACCES): another one was shown there, and who
// goes on writing would believe that others see it.
func (s *Server) Bar(dirs []api.ID) {
	bars := make(map[uint64]bool, len(dirs))
	for _, dir := range dirs {
		bars[dir.Hash64()] = true
	}
	s.fs.bars.Store(&bars)
}

// barred tells whether nothing may be made in a directory.
func (f *filesystem) barred(dir uint64) bool {
	bars := f.bars.Load()
	if f.bound != nil || bars == nil || len(*bars) == 0 {
		return false
	}
	a, err := f.d.Getattr(dir)
	return err == nil && (*bars)[a.Ino]
}

// showBound replaces what is shown by a changed copy.
func (f *filesystem) showBound(change func(*boundDrives)) {
	next := &boundDrives{map[uint64]*filesystem{}, map[uint64]*filesystem{}}
	if now := f.shows.Load(); now != nil {
		for tag, b := range now.byTag {
			next.byTag[tag], next.byDir[b.bound.dir] = b, b
		}
	}
	change(next)
	f.shows.Store(next)
}

// boundAt is what is shown in a directory with an st_ino, nil if that is the
// directory itself.
func (f *filesystem) boundAt(ino uint64) *filesystem {
	if all := f.shows.Load(); all != nil {
		return all.byDir[ino]
	}
	return nil
}

// enter describes the root of what is shown in place of a directory; false if it
// can't be had.
func (f *filesystem) enter(dir *cache.Attr, o *fuse.EntryOut) bool {
	a, err := f.d.Getattr(rootID)
	if err != nil {
		return false
	}
	a.FID, a.EntryValid = rootID, dir.EntryValid
	f.toEntry(&a, o)
	return true
}

// stale is the answer about what is shown no more.
const stale = fuse.Status(syscall.ESTALE)

var nothing = func() {}

// at finds the filesystem that a node id is of, and makes the id its own. It is
// nil for what is shown no more. The caller says when it is done with it.
func (r *router) at(id *uint64) (f *filesystem, done func()) {
	tag := *id &^ idMask
	if tag == 0 {
		return r.home, nothing
	}
	*id &= idMask
	all := r.home.shows.Load()
	if all == nil || all.byTag[tag] == nil {
		return nil, nothing
	}
	f = all.byTag[tag]
	f.bound.gate.RLock()
	if f.bound.over {
		f.bound.gate.RUnlock()
		return nil, nothing
	}
	return f, f.bound.gate.RUnlock
}

// to is at for a request that changes something: what the permissions do not
// allow is refused.
func (r *router) to(id *uint64, needs api.Permissions) (f *filesystem, done func(), st fuse.Status) {
	f, done = r.at(id)
	if f == nil {
		return nil, done, stale
	}
	if f.lacks(needs) || needs&(api.PermWrite|api.PermMkdir) != 0 && f.barred(*id) {
		done()
		return nil, nothing, fuse.EACCES
	}
	return f, done, fuse.OK
}

// lacks tells whether the user does not hold all of some permissions at the source of a bind.
func (f *filesystem) lacks(needs api.Permissions) bool {
	return f.bound != nil && api.Permissions(f.bound.may.Load())&needs != needs
}

// holds tells whether a name in the mounted drive is a directory in which
// another drive is shown.
func (f *filesystem) holds(parent uint64, name string, cancel <-chan struct{}) bool {
	all := f.shows.Load()
	if f.bound != nil || all == nil || len(all.byDir) == 0 {
		return false
	}
	a, err := f.d.Lookup(parent, name, cancel)
	if err != nil {
		return false
	}
	f.d.Forget(a.FID, 1)
	return all.byDir[a.Ino] != nil
}
