package fusefs

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"satchel/fusefs/backing"
)

// What mounting and FUSE are on Linux; os_darwin.go is macOS with macFUSE.

// capabilities are what is asked of the kernel beyond go-fuse's own. Without the first three it asks on every
// write for security.capability, truncates in a second request, and opens directories. The umask counts only where no
// default ACL does, which is ours to see. SETXATTR_EXT tells who sets an ACL. File handles
// (name_to_handle_at, NFS) are refused at once: a node that nobody uses could not be found by one.
const capabilities = fuse.CAP_HANDLE_KILLPRIV_V2 | fuse.CAP_ATOMIC_O_TRUNC | fuse.CAP_NO_OPENDIR_SUPPORT |
	fuse.CAP_DONT_MASK | fuse.CAP_SETXATTR_EXT | fuse.CAP_NO_EXPORT_SUPPORT

// noAtime is the flag of an open that moves no access time.
const noAtime = syscall.O_NOATIME

// systemOptions are mount options that only this system has.
func systemOptions() []string { return nil }

// target is what go-fuse is told to mount on: the directory, or for those who are not root the descriptor of
// what is mounted there.
func (f *filesystem) target(dir string, o Options) (string, error) {
	if os.Getuid() == 0 {
		return dir, nil
	}
	fd, err := userMount(dir, o)
	if err != nil {
		return "", err
	}
	if !o.NoPassthrough {
		f.findHelper(o.Helper, fd)
	}
	return fmt.Sprintf("/dev/fd/%d", fd), nil
}

// findHelper connects to satchel-helper, if it is there.
func (f *filesystem) findHelper(socket string, fd int) {
	if socket == "" {
		socket = backing.DefaultSocket
	}
	if _, err := os.Stat(socket); err != nil {
		return
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return
	}
	if f.helper, err = backing.Dial(socket, own); err != nil {
		unix.Close(own)
		f.warn("satchel-helper is not to be had; content goes through the daemon", err)
	}
}

// mountTable is what is mounted in this process's mount namespace.
type mountTable struct {
	mu    sync.Mutex
	open  bool
	fd    int  // not an os.File: Go's poller would take the news of a change for itself
	below bool // as of the last look
}

// mountedBelow tells whether something is mounted below a directory, always the same one. The table is read anew when it has
// changed (proc_pid_mountinfo(5)). Where that can't be told, something may be.
func (t *mountTable) mountedBelow(dir string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.open {
		fd, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return true
		}
		t.open, t.fd = true, fd
	} else if n, err := unix.Poll([]unix.PollFd{{Fd: int32(t.fd), Events: unix.POLLPRI}}, 0); n == 0 && err == nil {
		return t.below
	}
	dir = strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`).Replace(dir)
	table, err := readAll(t.fd)
	if err != nil {
		unix.Close(t.fd)
		t.open = false // else what changed by now would not be looked at until more does
		return true
	}
	t.below = bytes.Contains(table, []byte(" "+dir+"/"))
	return t.below
}

// readAll reads a file of /proc from its beginning.
func readAll(fd int) (all []byte, err error) {
	part := make([]byte, 64<<10)
	for {
		n, err := unix.Pread(fd, part, int64(len(all)))
		if n <= 0 || err != nil {
			return all, err
		}
		all = append(all, part[:n]...)
	}
}

func (t *mountTable) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open {
		unix.Close(t.fd)
		t.open = false
	}
}

// readAheadKiB is how much the kernel asks for at once when a program reads on in a file without passthrough.
const readAheadKiB = 512

// widenReads raises the kernel's read-ahead on the mount from 128 KiB: each request costs a switch to the daemon.
// Only root may; others keep the default.
func widenReads(dir string) {
	var st unix.Stat_t
	if os.Getuid() == 0 && unix.Stat(dir, &st) == nil {
		bdi := fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", unix.Major(st.Dev), unix.Minor(st.Dev))
		_ = os.WriteFile(bdi, []byte(strconv.Itoa(readAheadKiB)), 0) // where /sys is read-only, the default does
	}
}

func registerBacking(srv *fuse.Server, fd int) (int32, syscall.Errno) {
	return srv.RegisterBackingFd(&fuse.BackingMap{Fd: int32(fd)})
}

func unregisterBacking(srv *fuse.Server, id int32) { srv.UnregisterBackingFd(id) }

// setBirth: a GETATTR of Linux has no time of birth, a STATX does.
func setBirth(*fuse.Attr, int64) {}

// keptXattr is the name under which an extended attribute is kept, and shownXattr the way back.
func keptXattr(name string) string          { return name }
func shownXattr(name string) (string, bool) { return name, true }

// killsSgid tells whether setting an ACL clears setgid.
func killsSgid(in *fuse.SetXAttrIn) bool {
	return in.SetXAttrFlags&fuse.SETXATTR_ACL_KILL_SGID != 0
}
