package posix

import (
	"bufio"
	"io"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// locker is a child that locks.
type locker struct {
	cmd *exec.Cmd
	in  io.Closer
	out *bufio.Scanner
}

func (t *T) locker(what string, names ...string) *locker {
	t.Helper()
	cmd := exec.Command(Child, what)
	for _, n := range names {
		cmd.Args = append(cmd.Args, t.at(n))
	}
	in, err := cmd.StdinPipe()
	t.must(err)
	out, err := cmd.StdoutPipe()
	t.must(err)
	t.must(cmd.Start())
	t.Cleanup(func() { in.Close(); cmd.Process.Kill(); cmd.Wait() })
	return &locker{cmd, in, bufio.NewScanner(out)}
}

func (l *locker) says() string { l.out.Scan(); return l.out.Text() }

var whole = unix.Flock_t{Type: unix.F_WRLCK}

func setlk(fd, cmd int) error { l := whole; return unix.FcntlFlock(uintptr(fd), cmd, &l) }

var lockCases = []Case{
	{Call: "flock", Rule: "shared and exclusive", Run: func(t *T) {
		a, b := t.open("file", unix.O_RDONLY, 0), t.open("file", unix.O_RDWR, 0)
		t.errno("shared", unix.Flock(a, unix.LOCK_SH|unix.LOCK_NB), 0)
		t.errno("shared again", unix.Flock(b, unix.LOCK_SH|unix.LOCK_NB), 0)
		t.errno("exclusive", unix.Flock(b, unix.LOCK_EX|unix.LOCK_NB), unix.EAGAIN)
		t.close(a)
		t.errno("exclusive after the close", unix.Flock(b, unix.LOCK_EX|unix.LOCK_NB), 0)
	}},
	{Call: "flock", Rule: "waits", Run: func(t *T) {
		a, b := t.open("file", unix.O_RDWR, 0), t.open("file", unix.O_RDWR, 0)
		t.must(unix.Flock(a, unix.LOCK_EX))
		got := make(chan error)
		go func() { got <- unix.Flock(b, unix.LOCK_EX) }()
		select {
		case err := <-got:
			t.Errorf("did not wait: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		t.must(unix.Flock(a, unix.LOCK_UN))
		t.errno("when it is free", <-got, 0)
	}},
	{Call: "fcntl", Rule: "POSIX locks between programs", Run: func(t *T) {
		l := t.locker("lock", "file")
		same(t, "child", l.says(), "locked")
		fd := t.open("file", unix.O_RDWR, 0)
		t.errno("lock", setlk(fd, unix.F_SETLK), unix.EAGAIN)
		seen := whole
		t.must(unix.FcntlFlock(uintptr(fd), unix.F_GETLK, &seen))
		same(t, "whose", int(seen.Pid), l.cmd.Process.Pid)
		l.in.Close()
		l.cmd.Wait()
		t.errno("after its end", setlk(fd, unix.F_SETLK), 0)
	}},
	{Call: "fcntl", Rule: "a lock goes with a killed program", Run: func(t *T) {
		l := t.locker("lock", "file")
		same(t, "child", l.says(), "locked")
		l.cmd.Process.Kill()
		l.cmd.Wait()
		t.errno("lock", setlk(t.open("file", unix.O_RDWR, 0), unix.F_SETLK), 0)
	}},
	{Call: "fcntl", Rule: "a waiter is granted, and can be interrupted", Run: func(t *T) {
		fd := t.open("file", unix.O_RDWR, 0)
		t.must(setlk(fd, unix.F_SETLK))
		first, second := t.locker("wait", "file"), t.locker("wait", "file")
		time.Sleep(50 * time.Millisecond)
		second.cmd.Process.Kill()
		if err := second.cmd.Wait(); err == nil {
			t.Error("the second had the lock")
		}
		t.must(unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &unix.Flock_t{Type: unix.F_UNLCK}))
		same(t, "first", first.says(), "locked")
	}},
	{Call: "fcntl", Rule: "closing any descriptor drops POSIX locks", Run: func(t *T) {
		fd := t.open("file", unix.O_RDWR, 0)
		t.must(setlk(fd, unix.F_SETLK))
		t.close(t.open("file", unix.O_RDONLY, 0))
		same(t, "child", t.locker("lock", "file").says(), "locked")
	}},
	{Call: "fcntl", Rule: "OFD locks belong to the open file", Run: func(t *T) {
		a, b := t.open("file", unix.O_RDWR, 0), t.open("file", unix.O_RDWR, 0)
		t.must(setlk(a, unix.F_OFD_SETLK))
		t.errno("by another open", setlk(b, unix.F_OFD_SETLK), unix.EAGAIN)
		t.close(t.open("file", unix.O_RDONLY, 0))
		t.errno("after a close of something else", setlk(b, unix.F_OFD_SETLK), unix.EAGAIN)
		t.close(a)
		t.errno("after its close", setlk(b, unix.F_OFD_SETLK), 0)
	}},
	{Call: "fcntl", Rule: "ranges", Run: func(t *T) {
		a, b := t.open("file", unix.O_RDWR, 0), t.open("file", unix.O_RDWR, 0)
		t.must(unix.FcntlFlock(uintptr(a), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: 0, Len: 10}))
		t.errno("beside", unix.FcntlFlock(uintptr(b), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: 10, Len: 10}), 0)
		t.errno("across", unix.FcntlFlock(uintptr(b), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_RDLCK, Start: 9, Len: 1}), unix.EAGAIN)
		t.errno("a reader's write lock", setlk(t.open("file", unix.O_RDONLY, 0), unix.F_OFD_SETLK), unix.EBADF)
	}},
	{Call: "flock", Rule: "goes with a killed program, whose waiter gets it", Run: func(t *T) { t.inherits("flock") }},
	{Call: "fcntl", Rule: "an OFD lock goes with a killed program, whose waiter gets it", Run: func(t *T) { t.inherits("ofd") }},
	{Call: "fcntl", Rule: "EDEADLK when two wait for each other", Run: func(t *T) {
		fd, inside := t.open("file", unix.O_RDWR, 0), t.open("dir/inside", unix.O_RDWR, 0)
		t.must(setlk(fd, unix.F_SETLK))
		l := t.locker("cross", "dir/inside", "file")
		same(t, "child", l.says(), "locked")
		// Who comes last hears of it: this process at once, or the other one, whose end gives the lock up.
		if err := setlk(inside, unix.F_SETLKW); err == nil {
			same(t, "the child", l.says(), unix.EDEADLK.Error())
		} else {
			t.errno("lock", err, unix.EDEADLK)
		}
	}},
}

// inherits has a child lock, two others wait, one of which is killed, and then the first.
func (t *T) inherits(how string) {
	first := t.locker(how, "file")
	same(t, "the first", first.says(), "locked")
	second, third := t.locker(how, "file"), t.locker(how, "file")
	time.Sleep(50 * time.Millisecond)
	second.cmd.Process.Kill()
	if err := second.cmd.Wait(); err == nil {
		t.Error("the second had the lock")
	}
	first.cmd.Process.Kill()
	same(t, "the third", third.says(), "locked")
}
