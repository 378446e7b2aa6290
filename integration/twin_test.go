package integration

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"satchel/integration/require"
)

// twinRounds and twinSteps say how long TestTwin goes on; `make twin` says more.
const twinRounds, twinSteps = "SATCHEL_TWIN_ROUNDS", "SATCHEL_TWIN_STEPS"

// TestTwin does random operations on a mount and on a plain folder, and compares the two operation by
// operation: what each call returns, data and error number, and what stat, readdir, readlink and xattrs show.
// A difference is shrunk to the shortest sequence that has it.
func TestTwin(t *testing.T) {
	require.Root(t) // chown, and no umask of somebody else's
	anna := newAccount(t, server(t), "anna")
	laptop := anna.mountNew(t, "laptop")
	plain := t.TempDir()
	rounds, steps := setting(twinRounds, 300), setting(twinSteps, 60)
	setRapid(t, "rapid.checks", strconv.Itoa(rounds))
	setRapid(t, "rapid.steps", strconv.Itoa(steps))
	setRapid(t, "rapid.nofailfile", "true")
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		name := fmt.Sprint("round-", round)
		w := &twin{t: rt, dirs: [2]string{filepath.Join(plain, name), filepath.Join(laptop.Mount, name)}}
		for _, d := range w.dirs {
			if err := os.Mkdir(d, 0o755); err != nil {
				rt.Fatal(err)
			}
		}
		defer func() {
			w.closeAll()
			for _, d := range w.dirs {
				os.RemoveAll(d)
			}
		}()
		rt.Repeat(map[string]func(*rapid.T){
			"": func(rt *rapid.T) { w.t = rt }, "open": w.open, "write": w.write, "read": w.read, "close": w.close,
			"truncate": w.truncate, "ftruncate": w.ftruncate, "mkdir": w.mkdir, "rmdir": w.rmdir, "unlink": w.unlink, "rename": w.rename,
			"link": w.link, "symlink": w.symlink, "chmod": w.chmod, "chown": w.chown, "utimes": w.utimes, "xattr": w.xattr, "fallocate": w.fallocate,
			"copy": w.copy, "stat": w.stat, "fstat": w.fstat, "access": w.access,
			"all": func(rt *rapid.T) { w.t = rt; w.compare() },
		})
		w.compare()
	})
	syncAll(t, laptop)
}

// setRapid sets one of rapid's flags for the time of a test.
func setRapid(t *testing.T, name, value string) {
	t.Helper()
	was := flag.Lookup(name).Value.String()
	must(t, flag.Set(name, value))
	t.Cleanup(func() { flag.Set(name, was) })
}

func setting(variable string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
		return n
	}
	return otherwise
}

// A twin is a plain folder and one in a mount, which should not be told apart.
type twin struct {
	t    *rapid.T
	dirs [2]string

	files []*[2]int // open in both
}

var twinNames = []string{"a", "b", "c", "d", "a/b", "a/c", "b/a", "b/c", "a/b/c", "d/é", "d/ e", "x"}

func (w *twin) draw(what string) string { return rapid.SampledFrom(twinNames).Draw(w.t, what) }

// both does the same to both and compares what came of it.
func (w *twin) both(what string, call func(dir string) (any, error)) (ok bool) {
	w.t.Helper()
	var got [2]any
	var errs [2]error
	for i, d := range w.dirs {
		got[i], errs[i] = call(d)
	}
	if number(errs[0]) != number(errs[1]) {
		w.t.Fatalf("%s: the plain folder says %v, the mount %v", what, errs[0], errs[1])
	}
	if errs[0] == nil && fmt.Sprint(got[0]) != fmt.Sprint(got[1]) {
		w.t.Fatalf("%s: the plain folder has\n%.300v\nthe mount\n%.300v", what, got[0], got[1])
	}
	return errs[0] == nil
}

// number is the error's number, or its text.
func number(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[unix.Errno](err); ok {
		return e.Error()
	}
	return err.Error()
}

// handle does the same to a file that is open in both.
func (w *twin) handle(what string, call func(fd int) (any, error)) {
	w.t.Helper()
	if len(w.files) == 0 {
		w.t.Skip("nothing is open")
	}
	f := rapid.SampledFrom(w.files).Draw(w.t, "file")
	i := -1
	w.both(what, func(string) (any, error) { i++; return call(f[i]) })
}

func (w *twin) open(t *rapid.T) {
	w.t = t
	name := w.draw("name")
	flags := rapid.SampledFrom([]int{unix.O_RDONLY, unix.O_WRONLY, unix.O_RDWR}).Draw(t, "mode")
	for _, f := range []int{unix.O_CREAT, unix.O_EXCL, unix.O_TRUNC, unix.O_APPEND, unix.O_NOFOLLOW} {
		if rapid.IntRange(0, 3).Draw(t, "flag") == 0 || f == unix.O_CREAT && rapid.Bool().Draw(t, "create") {
			flags |= f
		}
	}
	if flags&unix.O_CREAT == 0 {
		flags &^= unix.O_EXCL // without it EXCL has no meaning
	}
	if len(w.files) > 6 {
		w.close(t)
	}
	var fds [2]int
	i := -1
	if w.both(fmt.Sprintf("open %s %#x", name, flags), func(dir string) (any, error) {
		i++
		fd, err := unix.Open(filepath.Join(dir, name), flags|unix.O_CLOEXEC, 0o640)
		fds[i] = fd
		return nil, err
	}) {
		w.files = append(w.files, &fds)
	} else {
		for k, fd := range fds {
			if k <= i && fd > 0 {
				unix.Close(fd)
			}
		}
	}
}

func (w *twin) closeAll() {
	for _, f := range w.files {
		unix.Close(f[0])
		unix.Close(f[1])
	}
	w.files = nil
}

func (w *twin) close(t *rapid.T) {
	w.t = t
	if len(w.files) == 0 {
		t.Skip("nothing is open")
	}
	i := rapid.IntRange(0, len(w.files)-1).Draw(t, "which")
	unix.Close(w.files[i][0])
	unix.Close(w.files[i][1])
	w.files = slices.Delete(w.files, i, i+1)
}

func (w *twin) offset() int64 { return rapid.Int64Range(0, 20_000).Draw(w.t, "offset") }

func (w *twin) write(t *rapid.T) {
	w.t = t
	off := w.offset()
	data := []byte(strings.Repeat(rapid.StringN(1, 8, 32).Draw(t, "text"), rapid.IntRange(0, 900).Draw(t, "times")))
	w.handle(fmt.Sprintf("write %d at %d", len(data), off), func(fd int) (any, error) { return pwrite(fd, data, off) })
}

func pwrite(fd int, data []byte, off int64) (any, error) {
	n, err := unix.Pwrite(fd, data, off)
	return n, err
}

func (w *twin) read(t *rapid.T) {
	w.t = t
	off, size := w.offset(), rapid.IntRange(0, 30_000).Draw(t, "size")
	w.handle(fmt.Sprintf("read %d at %d", size, off), func(fd int) (any, error) {
		b := make([]byte, size)
		n, err := unix.Pread(fd, b, off)
		return string(b[:max(n, 0)]), err
	})
}

func (w *twin) truncate(t *rapid.T) {
	w.t = t
	name, size := w.draw("name"), w.offset()
	w.both(fmt.Sprintf("truncate %s to %d", name, size), func(dir string) (any, error) { return nil, unix.Truncate(filepath.Join(dir, name), size) })
}

func (w *twin) ftruncate(t *rapid.T) {
	w.t = t
	size := w.offset()
	w.handle(fmt.Sprint("ftruncate to ", size), func(fd int) (any, error) { return nil, unix.Ftruncate(fd, size) })
}

func (w *twin) fallocate(t *rapid.T) {
	w.t = t
	mode := rapid.SampledFrom([]uint32{0, unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE}).Draw(t, "mode")
	off, n := w.offset(), rapid.Int64Range(1, 9000).Draw(t, "length")
	w.handle(fmt.Sprintf("fallocate %#x %d+%d", mode, off, n), func(fd int) (any, error) { return nil, unix.Fallocate(fd, mode, off, n) })
}

func (w *twin) copy(t *rapid.T) {
	w.t = t
	if len(w.files) < 2 {
		t.Skip("too few are open")
	}
	from, to := rapid.SampledFrom(w.files).Draw(t, "from"), rapid.SampledFrom(w.files).Draw(t, "to")
	if from == to {
		t.Skip("the same")
	}
	a, b, n := w.offset(), w.offset(), rapid.IntRange(0, 9000).Draw(t, "length")
	i := -1
	w.both(fmt.Sprintf("copy_file_range %d from %d to %d", n, a, b), func(string) (any, error) {
		i++
		a, b := a, b
		return unix.CopyFileRange(from[i], &a, to[i], &b, n, 0)
	})
}

func (w *twin) mkdir(t *rapid.T) {
	w.t = t
	name, mode := w.draw("name"), w.mode()
	w.both("mkdir "+name, func(dir string) (any, error) { return nil, unix.Mkdir(filepath.Join(dir, name), mode) })
}

func (w *twin) rmdir(t *rapid.T) {
	w.t = t
	name := w.draw("name")
	w.both("rmdir "+name, func(dir string) (any, error) { return nil, unix.Rmdir(filepath.Join(dir, name)) })
}

func (w *twin) unlink(t *rapid.T) {
	w.t = t
	name := w.draw("name")
	w.both("unlink "+name, func(dir string) (any, error) { return nil, unix.Unlink(filepath.Join(dir, name)) })
}

func (w *twin) rename(t *rapid.T) {
	w.t = t
	from, to := w.draw("from"), w.draw("to")
	flags := rapid.SampledFrom([]uint{0, 0, 0, unix.RENAME_NOREPLACE, unix.RENAME_EXCHANGE}).Draw(t, "flags")
	w.both(fmt.Sprintf("rename %s %s %#x", from, to, flags), func(dir string) (any, error) {
		return nil, unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, from), unix.AT_FDCWD, filepath.Join(dir, to), flags)
	})
}

func (w *twin) link(t *rapid.T) {
	w.t = t
	from, to := w.draw("from"), w.draw("to")
	w.both(fmt.Sprintf("link %s %s", from, to), func(dir string) (any, error) {
		return nil, unix.Link(filepath.Join(dir, from), filepath.Join(dir, to))
	})
}

func (w *twin) symlink(t *rapid.T) {
	w.t = t
	target, name := rapid.SampledFrom([]string{"a", "b", "../a", ".", "x", "nowhere", "c/d"}).Draw(t, "target"), w.draw("name")
	w.both(fmt.Sprintf("symlink %s %s", target, name), func(dir string) (any, error) {
		return nil, unix.Symlink(target, filepath.Join(dir, name))
	})
}

// mode has no sticky bit: what root may open in another one's sticky directory (fs.protected_regular) the
// kernel checks before or after other things, as the file system has it.
func (w *twin) mode() uint32 { return rapid.Uint32Range(0, 0o777).Draw(w.t, "mode") }

func (w *twin) chmod(t *rapid.T) {
	w.t = t
	name, mode := w.draw("name"), w.mode()
	w.both(fmt.Sprintf("chmod %s %o", name, mode), func(dir string) (any, error) { return nil, unix.Chmod(filepath.Join(dir, name), mode) })
}

func (w *twin) chown(t *rapid.T) {
	w.t = t
	name := w.draw("name")
	uid, gid := rapid.SampledFrom([]int{-1, 0, 1000, 70_000}).Draw(t, "uid"), rapid.SampledFrom([]int{-1, 0, 1000}).Draw(t, "gid")
	w.both(fmt.Sprintf("lchown %s %d %d", name, uid, gid), func(dir string) (any, error) { return nil, unix.Lchown(filepath.Join(dir, name), uid, gid) })
}

func (w *twin) utimes(t *rapid.T) {
	w.t = t
	name := w.draw("name")
	at := rapid.Int64Range(0, 2_000_000_000).Draw(t, "seconds")
	times := []unix.Timespec{{Sec: at, Nsec: 5}, {Sec: at + 1, Nsec: 123456789}}
	w.both("utimensat "+name, func(dir string) (any, error) {
		// Opened before: a look-up through a symlink may set that link's own atime, which is the file system's choice.
		path := filepath.Join(dir, name)
		fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		defer unix.Close(fd)
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return nil, err
		}
		var st unix.Stat_t
		err = unix.Fstat(fd, &st)
		return []int64{st.Atim.Sec, st.Atim.Nsec, st.Mtim.Sec, st.Mtim.Nsec}, err
	})
}

func (w *twin) xattr(t *rapid.T) {
	w.t = t
	name, key := w.draw("name"), "user."+rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key")
	value := []byte(rapid.StringN(0, 20, 60).Draw(t, "value"))
	flags := rapid.SampledFrom([]int{0, 0, unix.XATTR_CREATE, unix.XATTR_REPLACE, -1}).Draw(t, "flags")
	w.both(fmt.Sprintf("xattr %s %s %d", name, key, flags), func(dir string) (any, error) {
		if flags < 0 {
			return nil, unix.Lremovexattr(filepath.Join(dir, name), key)
		}
		return nil, unix.Lsetxattr(filepath.Join(dir, name), key, value, flags)
	})
}

func (w *twin) access(t *rapid.T) {
	w.t = t
	name, mode := w.draw("name"), rapid.Uint32Range(0, 7).Draw(t, "mode")
	w.both(fmt.Sprintf("access %s %d", name, mode), func(dir string) (any, error) { return nil, unix.Access(filepath.Join(dir, name), mode) })
}

// shape is what stat shows and both must have alike. Directories have no sizes here and others there,
// and times of changes are those of two calls.
func shape(st *unix.Stat_t) string {
	size, links := st.Size, uint64(st.Nlink)
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		size = 0
	}
	return fmt.Sprintf("%o uid %d gid %d links %d size %d", st.Mode, st.Uid, st.Gid, links, size)
}

func (w *twin) stat(t *rapid.T) {
	w.t = t
	name := w.draw("name")
	w.both("stat "+name, func(dir string) (any, error) {
		var st unix.Stat_t
		err := unix.Stat(filepath.Join(dir, name), &st)
		return shape(&st), err
	})
}

func (w *twin) fstat(t *rapid.T) {
	w.t = t
	w.handle("fstat", func(fd int) (any, error) {
		var st unix.Stat_t
		err := unix.Fstat(fd, &st)
		return shape(&st), err
	})
}

// compare compares all there is.
func (w *twin) compare() {
	w.t.Helper()
	var all [2]map[string]string
	for i, dir := range w.dirs {
		found := map[string]string{}
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			found[strings.TrimPrefix(path, dir)], err = everything(path)
			return err
		})
		if err != nil {
			w.t.Fatal(err)
		}
		all[i] = found
	}
	for _, path := range slices.Sorted(maps.Keys(all[0])) {
		if all[0][path] != all[1][path] {
			w.t.Fatalf("%q is on the plain folder\n%.400s\nand on the mount\n%.400s", path, all[0][path], all[1][path])
		}
	}
	if len(all[0]) != len(all[1]) {
		w.t.Fatalf("the plain folder has %q, the mount %q", slices.Sorted(maps.Keys(all[0])), slices.Sorted(maps.Keys(all[1])))
	}
}

// everything is what can be seen of a path.
func everything(path string) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return "", err
	}
	out := shape(&st)
	buf := make([]byte, 4096)
	n, err := unix.Llistxattr(path, buf)
	if err != nil {
		return "", err
	}
	keys := strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00")
	slices.Sort(keys)
	for _, key := range keys {
		if strings.HasPrefix(key, "user.") {
			n, err := unix.Lgetxattr(path, key, buf)
			if err != nil {
				return "", err
			}
			out += fmt.Sprintf(" %s=%q", key, buf[:n])
		}
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		b, err := os.ReadFile(path)
		return fmt.Sprintf("%s %q", out, b), err
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		return out + " → " + target, err
	}
	return out, nil
}
