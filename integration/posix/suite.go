// Package posix is what POSIX and Linux say about files, as cases that any file
// system must pass: one for each errno and rule, by call. They are run on a plain
// folder too, so that ext4 proves them right.
package posix

import (
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A Case is one rule of one call.
type Case struct {
	Call, Rule string
	Root       bool // needs several users, so only root can run it
	Run        func(t *T)
}

// A T is a case under test, in a directory of its own that has
//
//	file       "0123456789", 0644     link      a symlink to file
//	dir        with the file inside   dangling  a symlink to nothing
//	empty      a directory            loop      a symlink to itself
//	fifo
//
// It runs on a thread of its own, so that it may change its umask and its user.
type T struct {
	testing.TB
	Dir string
	Me  User
	fds map[int]bool // that open opened
}

// User is whom a call is made by.
type User struct {
	UID, GID int
	Groups   []int
}

// The users of cases that need several.
var (
	anna  = User{UID: 2001, GID: 2001, Groups: []int{3000}}
	berta = User{UID: 2002, GID: 2002}
)

// Cases is all of them.
func Cases() []Case {
	var all []Case
	for _, part := range [][]Case{openCases, makeCases, removeCases, linkCases, renameCases, permissionCases, aclCases,
		timeCases, sizeCases, holeCases, dataCases, mapCases, lockCases, xattrCases, directoryCases, pathCases, refusedCases, everyCallCases()} {
		all = append(all, part...)
	}
	return all
}

// Run runs the cases below dir as a user who owns it; those that need root only as root.
func Run(t *testing.T, dir string, me User) {
	for _, c := range Cases() {
		if c.Root && me.UID != 0 {
			continue
		}
		t.Run(c.Call+"/"+strings.ReplaceAll(c.Rule, " ", "_"), func(t *testing.T) {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			if err := me.become(); err != nil {
				t.Fatal(err)
			}
			unix.Umask(0o022)
			ct := &T{TB: t, Me: me, fds: map[int]bool{}}
			defer ct.closeAll()
			ct.Dir = filepath.Join(dir, strings.NewReplacer("/", "_", " ", "_").Replace(c.Call+" "+c.Rule))
			ct.must(unix.Mkdir(ct.Dir, 0o755))
			ct.fixture()
			c.Run(ct)
		})
	}
}

// become makes the calling thread, which must be locked, act for u alone.
func (u User) become() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // umask and working directory
		return err
	}
	if unix.Geteuid() != 0 {
		return nil
	}
	// The functions of package unix change all threads; the calls themselves only this one.
	groups := make([]uint32, len(u.Groups)+1)
	for i, g := range u.Groups {
		groups[i] = uint32(g)
	}
	for _, call := range [...]func() unix.Errno{
		func() unix.Errno { return setgroups(groups[:len(u.Groups)]) },
		func() unix.Errno {
			_, _, e := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(u.GID), uintptr(u.GID), uintptr(u.GID))
			return e
		},
		func() unix.Errno {
			_, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(u.UID), uintptr(u.UID), uintptr(u.UID))
			return e
		},
	} {
		if e := call(); e != 0 {
			return e
		}
	}
	return nil
}

// as makes calls for another user; fn must not end the test.
func (t *T) as(u User, fn func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := u.become()
		if err == nil {
			unix.Umask(0o022)
			fn()
		}
		done <- err
	}()
	t.must(<-done)
}

func (t *T) fixture() {
	t.Helper()
	t.write("file", "0123456789")
	t.must(unix.Mkdir(t.at("dir"), 0o755))
	t.write("dir/inside", "")
	t.must(unix.Mkdir(t.at("empty"), 0o755))
	t.must(unix.Mkfifo(t.at("fifo"), 0o644))
	t.must(unix.Symlink("file", t.at("link")))
	t.must(unix.Symlink("nothing", t.at("dangling")))
	t.must(unix.Symlink("loop", t.at("loop")))
}

// at is a path below the case's directory. It is not cleaned: a trailing slash counts.
func (t *T) at(name string) string { return t.Dir + "/" + name }

func (t *T) must(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// errno checks how a call ended; 0 is success.
func (t *T) errno(what string, err error, want unix.Errno) {
	t.Helper()
	var got unix.Errno
	if err != nil && !errors.As(err, &got) {
		t.Errorf("%s: %v", what, err)
	} else if got != want {
		t.Errorf("%s: %s, not %s", what, name(got), name(want))
	}
}

func name(e unix.Errno) string {
	if e == 0 {
		return "success"
	}
	return unix.ErrnoName(e)
}

// same checks a value.
func same[V comparable](t *T, what string, got, want V) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, not %v", what, got, want)
	}
}

func (t *T) write(name, content string) {
	t.Helper()
	fd := t.open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC, 0o644)
	defer t.close(fd)
	if n, err := unix.Write(fd, []byte(content)); err != nil || n != len(content) {
		t.Fatalf("write %s: %d, %v", name, n, err)
	}
}

func (t *T) open(name string, flags int, mode uint32) int {
	t.Helper()
	fd, err := unix.Open(t.at(name), flags, mode)
	if err != nil {
		t.Fatalf("open %s: %v", name, err)
	}
	t.fds[fd] = true
	return fd
}

func (t *T) close(fd int) {
	delete(t.fds, fd)
	unix.Close(fd)
}

// closeAll closes what a case left open.
func (t *T) closeAll() {
	for fd := range t.fds {
		unix.Close(fd)
	}
}

func (t *T) stat(name string) (st unix.Stat_t) {
	t.Helper()
	if err := unix.Lstat(t.at(name), &st); err != nil {
		t.Fatalf("lstat %s: %v", name, err)
	}
	return st
}

func (t *T) mode(name string) uint32 {
	t.Helper()
	return t.stat(name).Mode & 0o7777
}

func (t *T) content(name string) string {
	t.Helper()
	fd := t.open(name, unix.O_RDONLY, 0)
	defer t.close(fd)
	var all []byte
	b := make([]byte, 1<<16)
	for {
		n, err := unix.Read(fd, b)
		if err != nil {
			t.Fatalf("read %s: %v", name, err)
		}
		if n == 0 {
			return string(all)
		}
		all = append(all, b[:n]...)
	}
}

// opens is how an open ends.
func (t *T) opens(name string, flags int) error {
	fd, err := unix.Open(t.at(name), flags, 0o644)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// errnos makes a case of each way in which a call ends.
func errnos(call string, ways map[string]way) []Case {
	var all []Case
	for rule, w := range ways {
		all = append(all, Case{Call: call, Rule: rule, Run: func(t *T) { t.errno(rule, w.try(t), w.want) }})
	}
	return all
}

type way struct {
	want unix.Errno
	try  func(t *T) error
}

// long is a name of so many bytes.
func long(n int) string { return strings.Repeat("x", n) }

const (
	nameMax = 255
	pathMax = 4096
)
