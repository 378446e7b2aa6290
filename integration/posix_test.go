package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// script is calls of one kind. It returns what a program can see of them, so
// that the plain folder says what the mount should say.
type script func(dir string) []string

// seen collects observations.
type seen []string

func (s *seen) add(what string, values ...any) {
	line := what + ":"
	for _, v := range values {
		if err, ok := v.(error); ok {
			var errno syscall.Errno
			if errors.As(err, &errno) {
				v = unix.ErrnoName(errno)
			}
		}
		line += fmt.Sprintf(" %v", v)
	}
	*s = append(*s, line)
}

// stat notes what must be the same on any file system.
func (s *seen) stat(path string) {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	size := st.Size
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		size = 0 // each file system has its own idea
	}
	s.add("stat "+filepath.Base(path), err, fmt.Sprintf("%o", st.Mode), "nlink", st.Nlink, "uid", st.Uid, "gid", st.Gid, "size", size)
}

func (s *seen) read(path string) {
	b, err := os.ReadFile(path)
	s.add("read "+filepath.Base(path), fmt.Sprintf("%.60q", b), len(b), err)
}

func (s *seen) list(dir string) {
	entries, err := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name()+" "+e.Type().String())
	}
	s.add("list", names, err)
}

var scripts = map[string]script{
	"create": func(d string) (s []string) {
		o := (*seen)(&s)
		for _, flags := range []int{os.O_CREATE | os.O_WRONLY, os.O_CREATE | os.O_EXCL, os.O_WRONLY | os.O_TRUNC, os.O_RDONLY | unix.O_DIRECTORY, os.O_RDWR | os.O_APPEND} {
			f, err := os.OpenFile(d+"/f", flags, 0o640)
			o.add(fmt.Sprintf("open %#x", flags), err)
			if err == nil {
				_, err := f.WriteString("text")
				o.add("write", err, f.Close())
			}
			o.read(d + "/f")
			o.stat(d + "/f")
		}
		_, err := os.Open(d + "/nothing")
		o.add("open nothing", err)
		_, err = os.Open(d + "/f/below")
		o.add("open below a file", err)
		_, err = os.OpenFile(d+"/nowhere/f", os.O_CREATE|os.O_RDWR, 0o644)
		o.add("create in nothing", err)
		_, err = os.OpenFile(d, os.O_WRONLY, 0)
		o.add("write a directory", err)
		return s
	},
	"write and read at offsets": func(d string) (s []string) {
		o := (*seen)(&s)
		f, err := os.OpenFile(d+"/f", os.O_CREATE|os.O_RDWR, 0o644)
		o.add("open", err)
		for _, off := range []int64{0, 10, 4096, 100_000} {
			_, err := f.WriteAt([]byte("abc"), off)
			o.add("write", off, err)
		}
		b := make([]byte, 8)
		for _, off := range []int64{0, 8, 4094, 99_998, 100_001, 200_000} {
			n, err := f.ReadAt(b, off)
			o.add("read", off, n, fmt.Sprintf("%q", b[:n]), err)
		}
		end, err := f.Seek(-3, 2)
		o.add("seek", end, err)
		o.add("close", f.Sync(), f.Close())
		o.stat(d + "/f")
		return s
	},
	"append": func(d string) (s []string) {
		o := (*seen)(&s)
		a, _ := os.OpenFile(d+"/f", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		b, err := os.OpenFile(d+"/f", os.O_WRONLY|os.O_APPEND, 0)
		o.add("open", err)
		for i := range 5 {
			fmt.Fprintf(a, "a%d", i)
			fmt.Fprintf(b, "b%d", i)
		}
		o.add("close", a.Close(), b.Close())
		o.read(d + "/f")
		return s
	},
	"truncate": func(d string) (s []string) {
		o := (*seen)(&s)
		os.WriteFile(d+"/f", []byte("0123456789"), 0o644)
		for _, n := range []int64{4, 8, 0, 5000} {
			o.add("truncate", n, os.Truncate(d+"/f", n))
			o.read(d + "/f")
		}
		f, err := os.OpenFile(d+"/f", os.O_RDWR, 0)
		o.add("ftruncate", err, f.Truncate(3), f.Close())
		o.stat(d + "/f")
		o.add("truncate nothing", os.Truncate(d+"/nothing", 1))
		o.add("truncate a directory", os.Truncate(d, 1))
		return s
	},
	"mkdir and rmdir": func(d string) (s []string) {
		o := (*seen)(&s)
		o.add("mkdir", os.Mkdir(d+"/a", 0o711), os.Mkdir(d+"/a", 0o755), os.Mkdir(d+"/a/b", 0o755), os.Mkdir(d+"/x/y", 0o755))
		o.stat(d)
		o.stat(d + "/a")
		os.WriteFile(d+"/a/f", nil, 0o644)
		o.add("mkdir over a file", os.Mkdir(d+"/a/f", 0o755), os.Mkdir(d+"/a/f/g", 0o755))
		o.add("rmdir", unix.Rmdir(d+"/a"), unix.Rmdir(d+"/a/f"), unix.Rmdir(d+"/nothing"), unix.Rmdir(d+"/a/b"))
		o.add("unlink", unix.Unlink(d+"/a"), unix.Unlink(d+"/a/f"), unix.Unlink(d+"/a/f"))
		o.add("rmdir", unix.Rmdir(d+"/a"))
		o.stat(d)
		o.list(d)
		return s
	},
	"readdir": func(d string) (s []string) {
		o := (*seen)(&s)
		for i := range 200 {
			os.WriteFile(fmt.Sprintf("%s/file-%03d", d, i), nil, 0o644)
		}
		os.Mkdir(d+"/dir", 0o755)
		os.Symlink("file-000", d+"/link")
		unix.Mkfifo(d+"/fifo", 0o644)
		o.list(d)
		f, _ := os.Open(d)
		defer f.Close()
		first, _ := f.Readdirnames(50)
		for i := range 100 {
			os.Remove(fmt.Sprintf("%s/file-%03d", d, i))
		}
		rest, err := f.Readdirnames(-1)
		all := append(first, rest...)
		slices.Sort(all)
		o.add("no name twice while others are removed", len(slices.Compact(slices.Clone(all))) == len(all), err)
		for i := 100; i < 200; i++ {
			if !slices.Contains(all, fmt.Sprintf("file-%03d", i)) {
				o.add("missing", i)
			}
		}
		return s
	},
	"rename": func(d string) (s []string) {
		o := (*seen)(&s)
		os.WriteFile(d+"/a", []byte("a"), 0o644)
		os.WriteFile(d+"/b", []byte("b"), 0o600)
		os.Mkdir(d+"/dir", 0o755)
		os.Mkdir(d+"/empty", 0o755)
		os.WriteFile(d+"/dir/f", []byte("f"), 0o644)
		// The system call itself: os.Rename looks first, and answers for the kernel.
		rename := func(from, to string) { o.add("rename "+from+" "+to, unix.Rename(d+"/"+from, d+"/"+to)); o.list(d) }
		old, _ := os.Open(d + "/b")
		rename("a", "b")
		o.read(d + "/b")
		b := make([]byte, 10)
		n, err := old.Read(b)
		o.add("the replaced file, still open", string(b[:n]), err, old.Close())
		o.stat(d + "/b")
		rename("nothing", "c")
		rename("b", "dir")
		rename("dir", "b")
		rename("empty", "dir")
		rename("dir", "empty")
		rename("empty", "empty/below")
		rename("b", "b")
		rename("b", "empty/b")
		rename("empty/f", "f")
		os.Link(d+"/f", d+"/g")
		rename("f", "g") // the same file: POSIX says both stay
		o.add("exchange", unix.Renameat2(-100, d+"/f", -100, d+"/empty", unix.RENAME_EXCHANGE))
		o.stat(d + "/f")
		o.add("noreplace", unix.Renameat2(-100, d+"/g", -100, d+"/f", unix.RENAME_NOREPLACE), unix.Renameat2(-100, d+"/g", -100, d+"/new", unix.RENAME_NOREPLACE))
		o.list(d)
		return s
	},
	"unlink while open": func(d string) (s []string) {
		o := (*seen)(&s)
		f, err := os.OpenFile(d+"/f", os.O_CREATE|os.O_RDWR, 0o644)
		o.add("open", err)
		f.WriteString("still here")
		o.add("unlink", os.Remove(d+"/f"))
		o.list(d)
		b := make([]byte, 20)
		n, err := f.ReadAt(b, 0)
		o.add("read", string(b[:n]), err)
		_, err = f.WriteAt([]byte("HERE"), 6)
		o.add("write", err)
		n, _ = f.ReadAt(b, 0)
		var st unix.Stat_t
		o.add("fstat", string(b[:n]), unix.Fstat(int(f.Fd()), &st), st.Nlink, st.Size)
		os.WriteFile(d+"/f", []byte("another"), 0o644)
		n, _ = f.ReadAt(b, 0)
		o.add("read beside a new one", string(b[:n]), f.Close())
		o.read(d + "/f")
		return s
	},
	"links": func(d string) (s []string) {
		o := (*seen)(&s)
		os.WriteFile(d+"/f", []byte("one"), 0o644)
		o.add("link", os.Link(d+"/f", d+"/g"), os.Link(d+"/f", d+"/g"), os.Link(d+"/nothing", d+"/h"), os.Link(d, d+"/dir"))
		os.WriteFile(d+"/g", []byte("two"), 0o644)
		o.read(d + "/f")
		a, _ := os.Stat(d + "/f")
		b, _ := os.Stat(d + "/g")
		o.add("same inode", os.SameFile(a, b))
		o.stat(d + "/f")
		o.add("unlink", os.Remove(d+"/f"))
		o.stat(d + "/g")
		o.add("symlink", os.Symlink("g", d+"/s"), os.Symlink("x", d+"/s"), os.Symlink("nothing/at all", d+"/dangling"), os.Symlink(strings.Repeat("x", 4095), d+"/long"))
		for _, n := range []string{"s", "dangling", "long", "g"} {
			target, err := os.Readlink(d + "/" + n)
			o.add("readlink "+n, len(target), fmt.Sprintf("%.20s", target), err)
			o.stat(d + "/" + n)
		}
		o.read(d + "/s")
		o.read(d + "/dangling")
		os.Symlink("loop", d+"/loop")
		o.read(d + "/loop")
		return s
	},
	"chmod, chown, utimens": func(d string) (s []string) {
		o := (*seen)(&s)
		os.WriteFile(d+"/f", []byte("x"), 0o644)
		os.Mkdir(d+"/dir", 0o755)
		os.Symlink("f", d+"/s")
		for _, mode := range []uint32{0o600, 0o4755, 0o2755, 0, 0o1777} {
			o.add("chmod", unix.Chmod(d+"/f", mode), unix.Chmod(d+"/dir", mode))
			o.stat(d + "/f")
			o.stat(d + "/dir")
		}
		o.add("chmod nothing", os.Chmod(d+"/nothing", 0o600))
		o.add("chown to oneself", os.Lchown(d+"/s", os.Getuid(), os.Getgid()), os.Chown(d+"/f", -1, -1))
		if os.Getuid() == 0 {
			o.add("chown", os.Chown(d+"/f", 12, 34), os.Chown(d+"/dir", 56, -1))
			o.stat(d + "/f")
			o.stat(d + "/dir")
		}
		for _, at := range []time.Time{time.Unix(1, 23), time.Unix(2_000_000_000, 999_999_999), time.Unix(-1000, 0)} {
			o.add("utimens", os.Chtimes(d+"/f", at, at), os.Chtimes(d+"/dir", at, at))
			for _, n := range []string{"f", "dir"} {
				var st unix.Stat_t
				o.add(n, unix.Stat(d+"/"+n, &st), st.Atim, st.Mtim)
			}
		}
		ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: 7, Nsec: 8}}
		o.add("utimens omit", unix.UtimesNanoAt(unix.AT_FDCWD, d+"/s", ts, unix.AT_SYMLINK_NOFOLLOW))
		var st unix.Stat_t
		o.add("of the link", unix.Lstat(d+"/s", &st), st.Mtim)
		before := time.Now().Add(-time.Second)
		os.WriteFile(d+"/f", []byte("y"), 0o644)
		info, _ := os.Stat(d + "/f")
		o.add("a write moves mtime", info.ModTime().After(before))
		return s
	},
	"xattr": func(d string) (s []string) {
		o := (*seen)(&s)
		os.WriteFile(d+"/f", nil, 0o644)
		os.Mkdir(d+"/dir", 0o755)
		b := make([]byte, 8192)
		for _, p := range []string{d + "/f", d + "/dir"} {
			o.add("set", unix.Setxattr(p, "user.a", []byte("1"), 0), unix.Setxattr(p, "user.empty", nil, 0), unix.Setxattr(p, "user.a", []byte("22"), unix.XATTR_REPLACE),
				unix.Setxattr(p, "user.a", []byte("3"), unix.XATTR_CREATE), unix.Setxattr(p, "user.none", []byte("3"), unix.XATTR_REPLACE))
			for _, name := range []string{"user.a", "user.empty", "user.none"} {
				n, err := unix.Getxattr(p, name, b)
				o.add("get "+name, fmt.Sprintf("%q", b[:max(n, 0)]), err)
			}
			n, err := unix.Getxattr(p, "user.a", b[:1])
			o.add("get into too little room", max(n, 0), err)
			n, err = unix.Getxattr(p, "user.a", nil)
			o.add("size", n, err)
			n, err = unix.Listxattr(p, b)
			names := strings.Split(strings.TrimSuffix(string(b[:max(n, 0)]), "\x00"), "\x00")
			names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, "user.") })
			slices.Sort(names)
			o.add("list", names, err)
			o.add("remove", unix.Removexattr(p, "user.a"), unix.Removexattr(p, "user.a"))
			_, err = unix.Getxattr(p, "user.a", b)
			o.add("get removed", err)
		}
		return s
	},
	"umask and special nodes": func(d string) (s []string) {
		o := (*seen)(&s)
		old := unix.Umask(0o027)
		os.WriteFile(d+"/f", nil, 0o666)
		os.Mkdir(d+"/dir", 0o777)
		o.add("mkfifo", unix.Mkfifo(d+"/fifo", 0o666))
		o.add("mknod", unix.Mknod(d+"/node", unix.S_IFREG|0o666, 0))
		unix.Umask(old)
		for _, n := range []string{"f", "dir", "fifo", "node"} {
			o.stat(d + "/" + n)
		}
		return s
	},
	"sparse and allocated": func(d string) (s []string) {
		o := (*seen)(&s)
		f, _ := os.OpenFile(d+"/f", os.O_CREATE|os.O_RDWR, 0o644)
		defer f.Close()
		fd := int(f.Fd())
		o.add("fallocate", unix.Fallocate(fd, 0, 0, 10_000))
		o.stat(d + "/f")
		o.add("keep size", unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, 50_000))
		f.WriteAt([]byte("xxxxxxxx"), 4096)
		o.add("punch", unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 4096, 4))
		o.stat(d + "/f")
		b := make([]byte, 8)
		n, err := f.ReadAt(b, 4096)
		o.add("read", fmt.Sprintf("%q", b[:n]), err)
		g, _ := os.Create(d + "/g")
		defer g.Close()
		n, err = unix.CopyFileRange(fd, new(int64), int(g.Fd()), nil, 10_000, 0)
		o.add("copy_file_range", n, err)
		o.stat(d + "/g")
		return s
	},
}

// TestPosix: each kind of call is seen on the mount as on a plain folder: with
// passthrough, without, and where the kernel collects writes.
func TestPosix(t *testing.T) {
	anna := newAccount(t, server(t), "anna")
	for mode, args := range map[string][]string{"passthrough": nil, "no-passthrough": {"--no-passthrough"}, "writeback": {"--no-passthrough", "--writeback"}} {
		t.Run(mode, func(t *testing.T) {
			laptop := anna.newDevice(t, mode)
			laptop.Args = args
			mount(t, laptop)
			for name, run := range scripts {
				t.Run(name, func(t *testing.T) {
					plain := filepath.Join(laptop.Home, "plain", name)
					mounted := filepath.Join(laptop.Mount, mode, name)
					must(t, os.MkdirAll(plain, 0o755))
					must(t, os.MkdirAll(mounted, 0o755))
					want, got := run(plain), run(mounted)
					for i := range max(len(want), len(got)) {
						var w, g string
						if i < len(want) {
							w = strings.ReplaceAll(want[i], plain, ".")
						}
						if i < len(got) {
							g = strings.ReplaceAll(got[i], mounted, ".")
						}
						if w != g {
							t.Errorf("plain folder: %s\n      the mount: %s", w, g)
						}
					}
				})
			}
			syncAll(t, laptop)
			if status, err := laptop.Status(t.Context()); err != nil || status.PendingMutations != 0 {
				t.Errorf("after all that: %+v %v", status, err)
			}
		})
	}
	desk := anna.mountNew(t, "desk")
	laptop := anna.mountNew(t, "again")
	command(t, "", "sh", "-c", fmt.Sprintf("cd '%s' && find . -type f -exec sha256sum {} + | sort >'%s/sums'", laptop.Mount, laptop.Home))
	command(t, desk.Mount, "sha256sum", "--quiet", "-c", laptop.Home+"/sums")
}

func TestStatfsAndFsync(t *testing.T) {
	anna := newAccount(t, server(t), "anna")
	laptop := anna.mountNew(t, "laptop")
	var st unix.Statfs_t
	must(t, unix.Statfs(laptop.Mount, &st))
	if st.Blocks == 0 || st.Bavail > st.Blocks || st.Bfree > st.Blocks || st.Bsize < 512 || st.Namelen != 255 {
		t.Errorf("statfs: %+v", st)
	}
	dir, err := os.Open(laptop.Mount)
	must(t, err)
	must(t, errors.Join(dir.Sync(), unix.Syncfs(int(dir.Fd())), dir.Close()))
}
