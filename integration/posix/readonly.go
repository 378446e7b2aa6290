package posix

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Prepare makes the files of a case in dir, which shall be there when it is mounted read-only.
func Prepare(t *testing.T, dir string) {
	ct := &T{TB: t, Dir: dir, fds: map[int]bool{}}
	defer ct.closeAll()
	ct.fixture()
	ct.must(unix.Setxattr(ct.at("file"), "user.a", []byte("1"), 0))
}

// RunReadOnly runs the cases of a read-only file system in dir, which [Prepare] has filled, as a user who owns all of it.
func RunReadOnly(t *testing.T, dir string, me User) {
	for _, c := range readOnlyCases() {
		t.Run(c.Call+"/"+c.Rule, func(t *testing.T) {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			if err := me.become(); err != nil {
				t.Fatal(err)
			}
			unix.Umask(0o022)
			ct := &T{TB: t, Me: me, Dir: dir, fds: map[int]bool{}}
			defer ct.closeAll()
			c.Run(ct)
		})
	}
}

// changes is each call that would change something, made so that nothing else is in its way.
var changes = map[string]func(t *T) error{
	"open O_WRONLY":           func(t *T) error { return t.opens("file", unix.O_WRONLY) },
	"open O_RDWR":             func(t *T) error { return t.opens("file", unix.O_RDWR) },
	"open O_APPEND":           func(t *T) error { return t.opens("file", unix.O_WRONLY|unix.O_APPEND) },
	"open O_TRUNC":            func(t *T) error { return t.opens("file", unix.O_RDONLY|unix.O_TRUNC) },
	"open O_CREAT":            func(t *T) error { return t.opens("new", unix.O_RDONLY|unix.O_CREAT) },
	"open O_CREAT O_EXCL":     func(t *T) error { return t.opens("new", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL) },
	"open O_TMPFILE":          func(t *T) error { return t.opens("", unix.O_TMPFILE|unix.O_RDWR) },
	"open through a link":     func(t *T) error { return t.opens("link", unix.O_WRONLY) },
	"access W_OK of a file":   func(t *T) error { return unix.Access(t.at("file"), unix.W_OK) },
	"access W_OK of a dir":    func(t *T) error { return unix.Access(t.at("dir"), unix.W_OK) },
	"mkdir":                   func(t *T) error { return unix.Mkdir(t.at("new"), 0o755) },
	"mkfifo":                  func(t *T) error { return unix.Mkfifo(t.at("new"), 0o644) },
	"mknod":                   func(t *T) error { return unix.Mknod(t.at("new"), unix.S_IFREG|0o644, 0) },
	"symlink":                 func(t *T) error { return unix.Symlink("x", t.at("new")) },
	"link":                    func(t *T) error { return unix.Link(t.at("file"), t.at("new")) },
	"bind":                    func(t *T) error { return bindSocket(t.Dir, "new") },
	"rename":                  func(t *T) error { return unix.Rename(t.at("file"), t.at("new")) },
	"rename over":             func(t *T) error { return unix.Rename(t.at("file"), t.at("dir/inside")) },
	"rename RENAME_NOREPLACE": func(t *T) error { return t.renames("file", "new", unix.RENAME_NOREPLACE) },
	"rename RENAME_EXCHANGE":  func(t *T) error { return t.renames("file", "fifo", unix.RENAME_EXCHANGE) },
	"unlink":                  func(t *T) error { return unix.Unlink(t.at("file")) },
	"unlink of a symlink":     func(t *T) error { return unix.Unlink(t.at("link")) },
	"rmdir":                   func(t *T) error { return unix.Rmdir(t.at("empty")) },
	"chmod":                   func(t *T) error { return unix.Chmod(t.at("file"), 0o600) },
	"fchmod":                  func(t *T) error { return unix.Fchmod(t.open("file", unix.O_RDONLY, 0), 0o600) },
	"chown":                   func(t *T) error { return unix.Chown(t.at("file"), t.Me.UID, t.Me.GID) },
	"chown of nothing":        func(t *T) error { return unix.Chown(t.at("file"), -1, -1) },
	"fchown":                  func(t *T) error { return unix.Fchown(t.open("file", unix.O_RDONLY, 0), t.Me.UID, t.Me.GID) },
	"lchown":                  func(t *T) error { return unix.Lchown(t.at("link"), t.Me.UID, t.Me.GID) },
	"truncate":                func(t *T) error { return unix.Truncate(t.at("file"), 1) },
	"truncate to its size":    func(t *T) error { return unix.Truncate(t.at("file"), 10) },
	"utimensat": func(t *T) error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, t.at("file"), []unix.Timespec{at(1, 0), at(1, 0)}, 0)
	},
	"utimensat of a symlink": func(t *T) error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, t.at("link"), []unix.Timespec{at(1, 0), at(1, 0)}, unix.AT_SYMLINK_NOFOLLOW)
	},
	"setxattr":           func(t *T) error { return unix.Setxattr(t.at("file"), "user.b", []byte("1"), 0) },
	"setxattr of a dir":  func(t *T) error { return unix.Setxattr(t.at("dir"), "user.b", []byte("1"), 0) },
	"setxattr replacing": func(t *T) error { return unix.Setxattr(t.at("file"), "user.a", []byte("2"), unix.XATTR_REPLACE) },
	"setxattr of an ACL": func(t *T) error {
		return unix.Setxattr(t.at("file"), accessACL, aclOf([3]uint32{1, 6, none}, [3]uint32{2, 4, 4242}, [3]uint32{4, 4, none}, [3]uint32{16, 4, none}, [3]uint32{32, 4, none}), 0)
	},
	"fsetxattr":   func(t *T) error { return unix.Fsetxattr(t.open("file", unix.O_RDONLY, 0), "user.b", []byte("1"), 0) },
	"removexattr": func(t *T) error { return unix.Removexattr(t.at("file"), "user.a") },
}

// bindSocket makes a socket; its path may be longer than an address can be.
func bindSocket(dir, name string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Chdir(dir); err != nil { // of this thread alone: see become
		return err
	}
	return unix.Bind(fd, &unix.SockaddrUnix{Name: name})
}

func (t *T) renames(from, to string, flags uint) error {
	return unix.Renameat2(unix.AT_FDCWD, t.at(from), unix.AT_FDCWD, t.at(to), flags)
}

func readOnlyCases() []Case {
	all := []Case{
		{Call: "statfs", Rule: "says it", Run: func(t *T) {
			var fs unix.Statfs_t
			t.must(unix.Statfs(t.Dir, &fs))
			same(t, "ST_RDONLY", fs.Flags&unix.ST_RDONLY, unix.ST_RDONLY)
		}},
		{Call: "open", Rule: "what changes nothing", Run: func(t *T) {
			same(t, "content", t.content("file"), "0123456789")
			t.errno("O_CREAT of what is there", t.opens("file", unix.O_RDONLY|unix.O_CREAT), 0)
			t.errno("O_EXCL of what is there", t.opens("file", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL), unix.EEXIST)
			t.errno("a directory for writing", t.opens("dir", unix.O_WRONLY), unix.EISDIR)
			t.errno("nothing, for writing", t.opens("nothing", unix.O_WRONLY), unix.ENOENT)
			t.errno("a fifo for writing, with nobody to read", t.opens("fifo", unix.O_WRONLY|unix.O_NONBLOCK), unix.ENXIO)
			t.errno("access R_OK", unix.Access(t.at("file"), unix.R_OK), 0)
			t.errno("access W_OK of a fifo", unix.Access(t.at("fifo"), unix.W_OK), 0)
		}},
		{Call: "mkdir", Rule: "EEXIST of what is there", Run: func(t *T) {
			t.errno("a directory", unix.Mkdir(t.at("dir"), 0o755), unix.EEXIST)
			t.errno("a file", unix.Mkdir(t.at("file"), 0o755), unix.EEXIST)
		}},
		{Call: "read", Rule: "moves no atime", Run: func(t *T) {
			before := t.stat("file").Atim
			t.content("file")
			same(t, "atime", t.stat("file").Atim, before)
		}},
		{Call: "fd", Rule: "what only looks or locks", Run: func(t *T) {
			fd := t.open("file", unix.O_RDONLY, 0)
			t.errno("fsync", unix.Fsync(fd), 0)
			t.errno("flock", unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB), 0)
			t.errno("write", second(unix.Write(fd, []byte("x"))), unix.EBADF)
			t.errno("ftruncate", unix.Ftruncate(fd, 0), unix.EINVAL)
			t.errno("fallocate", unix.Fallocate(fd, 0, 0, 1), unix.EBADF)
			_, err := unix.Mmap(fd, 0, 10, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			t.errno("a shared mapping for writing", err, unix.EACCES)
			m, err := unix.Mmap(fd, 0, 10, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
			t.must(err)
			m[0] = 'x'
			t.must(unix.Munmap(m))
			same(t, "content", t.content("file"), "0123456789")
			v := make([]byte, 10)
			n, err := unix.Getxattr(t.at("file"), "user.a", v)
			t.errno("getxattr", err, 0)
			same(t, "attribute", string(v[:max(n, 0)]), "1")
		}},
	}
	for call, do := range changes {
		all = append(all, Case{Call: call, Rule: "EROFS", Run: func(t *T) { t.errno(call, do(t), unix.EROFS) }})
	}
	return all
}

func second(_ int, err error) error { return err }
