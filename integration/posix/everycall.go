package posix

import (
	"strings"

	"golang.org/x/sys/unix"
)

// pathCalls is each call that takes a path, as it is made with one that can't be followed. None of them gets so
// far that its other arguments matter.
var pathCalls = map[string]func(t *T, path string) error{
	"open": func(t *T, p string) error { _, err := unix.Open(p, unix.O_RDONLY, 0); return err },
	"creat": func(t *T, p string) error {
		_, err := unix.Open(p, unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC, 0o644)
		return err
	},
	"O_TMPFILE": func(t *T, p string) error { _, err := unix.Open(p, unix.O_TMPFILE|unix.O_RDWR, 0o644); return err },
	"stat":      func(t *T, p string) error { var st unix.Stat_t; return unix.Stat(p, &st) },
	"lstat":     func(t *T, p string) error { var st unix.Stat_t; return unix.Lstat(p, &st) },
	"statx": func(t *T, p string) error {
		var st unix.Statx_t
		return unix.Statx(unix.AT_FDCWD, p, 0, unix.STATX_BTIME, &st)
	},
	"statfs":      func(t *T, p string) error { var fs unix.Statfs_t; return unix.Statfs(p, &fs) },
	"access":      func(t *T, p string) error { return unix.Access(p, unix.R_OK) },
	"mkdir":       func(t *T, p string) error { return unix.Mkdir(p, 0o755) },
	"mkfifo":      func(t *T, p string) error { return unix.Mkfifo(p, 0o644) },
	"mknod":       func(t *T, p string) error { return unix.Mknod(p, unix.S_IFREG|0o644, 0) },
	"symlink":     func(t *T, p string) error { return unix.Symlink("x", p) },
	"readlink":    func(t *T, p string) error { _, err := unix.Readlink(p, make([]byte, 10)); return err },
	"link from":   func(t *T, p string) error { return unix.Link(p, t.at("new")) },
	"link to":     func(t *T, p string) error { return unix.Link(t.at("file"), p) },
	"rename from": func(t *T, p string) error { return unix.Rename(p, t.at("new")) },
	"rename to":   func(t *T, p string) error { return unix.Rename(t.at("file"), p) },
	"unlink":      func(t *T, p string) error { return unix.Unlink(p) },
	"rmdir":       func(t *T, p string) error { return unix.Rmdir(p) },
	"chdir":       func(t *T, p string) error { return unix.Chdir(p) },
	"chmod":       func(t *T, p string) error { return unix.Chmod(p, 0o644) },
	"chown":       func(t *T, p string) error { return unix.Chown(p, -1, -1) },
	"lchown":      func(t *T, p string) error { return unix.Lchown(p, -1, -1) },
	"truncate":    func(t *T, p string) error { return unix.Truncate(p, 1) },
	"utimensat": func(t *T, p string) error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{at(1, 0), at(1, 0)}, 0)
	},
	"setxattr":    func(t *T, p string) error { return unix.Setxattr(p, "user.a", []byte("1"), 0) },
	"getxattr":    func(t *T, p string) error { _, err := unix.Getxattr(p, "user.a", make([]byte, 10)); return err },
	"listxattr":   func(t *T, p string) error { _, err := unix.Listxattr(p, make([]byte, 10)); return err },
	"removexattr": func(t *T, p string) error { return unix.Removexattr(p, "user.a") },
}

// everyCallCases are the ways in which following a path ends, for each call that takes one.
func everyCallCases() []Case {
	var all []Case
	for call, do := range pathCalls {
		run := func(rule, path string, want unix.Errno) {
			all = append(all, Case{Call: call, Rule: "on the way: " + rule, Run: func(t *T) { t.errno(rule, do(t, t.at(path)), want) }})
		}
		run("no such directory", "nothing/f", unix.ENOENT)
		run("a dangling link", "dangling/f", unix.ENOENT)
		run("a file", "file/f", unix.ENOTDIR)
		run("a fifo", "fifo/f", unix.ENOTDIR)
		run("a loop", "loop/f", unix.ELOOP)
		run("a name of 256 bytes", long(nameMax+1)+"/f", unix.ENAMETOOLONG)
		run("a path of 4096 bytes", strings.Repeat("dir/../", pathMax/7)+"f", unix.ENAMETOOLONG)
		all = append(all, Case{Call: call, Rule: "the last name has 256 bytes", Run: func(t *T) {
			t.errno("256 bytes", do(t, t.at(long(nameMax+1))), unix.ENAMETOOLONG)
		}}, Case{Call: call, Rule: "the path is empty", Run: func(t *T) {
			t.errno("an empty path", do(t, ""), unix.ENOENT)
		}}, Case{Call: call, Rule: "EACCES without the right to search", Root: true, Run: func(t *T) {
			t.must(unix.Chmod(t.at("dir"), 0o700))
			t.must(unix.Chmod(t.Dir, 0o777)) // so that nothing else is in the way of link and rename
			t.must(unix.Chmod(t.at("file"), 0o666))
			t.must(unix.Chown(t.at("file"), anna.UID, anna.GID))
			t.as(anna, func() {
				t.errno("below it", do(t, t.at("dir/inside")), unix.EACCES)
				t.errno("through it", do(t, t.at("dir/../file")), unix.EACCES)
			})
		}})
	}
	return all
}

// Calls that change a directory need the right to write it, and those that change a file its owner or the right to write it.
var refusedCases = []Case{
	{Call: "link", Rule: "EACCES without the right to write", Root: true, Run: func(t *T) {
		t.must(unix.Chown(t.at("file"), anna.UID, anna.GID))
		t.as(anna, func() { t.errno("link", unix.Link(t.at("file"), t.at("new")), unix.EACCES) })
	}},
	{Call: "mknod", Rule: "EACCES without the right to write", Root: true, Run: func(t *T) {
		t.as(anna, func() {
			t.errno("mknod", unix.Mknod(t.at("new"), unix.S_IFREG|0o644, 0), unix.EACCES)
			t.errno("O_TMPFILE", t.opens("", unix.O_TMPFILE|unix.O_RDWR), unix.EACCES)
			t.errno("creat", t.opens("new", unix.O_CREAT|unix.O_WRONLY), unix.EACCES)
		})
	}},
	{Call: "access", Rule: "each right by itself", Root: true, Run: func(t *T) {
		for mode, may := range map[uint32]uint32{0o604: unix.R_OK, 0o602: unix.W_OK, 0o601: unix.X_OK, 0o607: unix.R_OK | unix.W_OK | unix.X_OK, 0o670: 0} {
			t.must(unix.Chmod(t.at("file"), mode))
			t.as(berta, func() {
				for _, right := range []uint32{unix.R_OK, unix.W_OK, unix.X_OK} {
					want := unix.EACCES
					if may&right != 0 {
						want = 0
					}
					t.errno("access", unix.Access(t.at("file"), right), want)
				}
			})
		}
	}},
	{Call: "truncate", Rule: "clears setuid and setgid", Root: true, Run: func(t *T) {
		t.must(unix.Chmod(t.at("file"), 0o6777))
		t.as(anna, func() { t.errno("truncate", unix.Truncate(t.at("file"), 5), 0) })
		same(t, "mode", t.mode("file"), 0o777)
	}},
	{Call: "removexattr", Rule: "EACCES without the right to write", Root: true, Run: func(t *T) {
		t.must(unix.Setxattr(t.at("file"), "user.a", []byte("1"), 0))
		t.as(anna, func() { t.errno("remove", unix.Removexattr(t.at("file"), "user.a"), unix.EACCES) })
	}},
}
