package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What commands ask of the operating system, as macOS has it; os_linux.go says what each is for.

// fsType is how mounts of macFUSE show, ours among them.
const fsType = "macfuse"

func thisProgram() (string, error) { return os.Executable() }

func helperHere() error {
	return errors.New("satchel-helper is for Linux: macFUSE has nothing that it could do\nfolders work without it")
}

func serviceHere() error {
	return errors.New("satchel service is for systemd, which macOS does not have\nmount at every login with an agent of launchd that runs: satchel mount --foreground DIR")
}

// peer is the user and the process at the other end (LOCAL_PEERCRED and LOCAL_PEERPID, unix(4)).
func peer(conn *net.UnixConn) (uid, pid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, -1, err
	}
	var cred *unix.Xucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		if cred, credErr = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED); credErr == nil {
			pid, credErr = unix.GetsockoptInt(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERPID)
		}
	}); err != nil {
		return -1, -1, err
	}
	if credErr != nil {
		return -1, -1, credErr
	}
	return int(cred.Uid), pid, nil
}

// watch returns a function that waits, up to closing, until the daemon has ended.
func (m mounted) watch() (ended func()) {
	return func() {
		for until := time.Now().Add(closing); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
			if syscall.Kill(m.PID, 0) == syscall.ESRCH {
				return
			}
		}
	}
}

// mountedType is the type of the file system that is mounted at exactly this directory, the topmost one; "" when
// none is. It asks for what is known and does not wait for a dead one.
func mountedType(dir string) (string, error) {
	n, err := unix.Getfsstat(nil, unix.MNT_NOWAIT)
	if err != nil {
		return "", err
	}
	all := make([]unix.Statfs_t, n+16) // some may be mounted meanwhile
	if n, err = unix.Getfsstat(all, unix.MNT_NOWAIT); err != nil {
		return "", err
	}
	kind := ""
	for i := range all[:n] {
		if unix.ByteSliceToString(all[i].Mntonname[:]) == dir {
			kind = unix.ByteSliceToString(all[i].Fstypename[:])
		}
	}
	return kind, nil
}

// detach unmounts at once, also under programs that have files open there.
func detach(dir string) error { return unix.Unmount(dir, unix.MNT_FORCE) }

// unmount unmounts and fails when the mount is in use.
func unmount(dir string) error { return unix.Unmount(dir, 0) }

// macFUSE is where it is installed.
const macFUSE = "/Library/Filesystems/macfuse.fs"

// checkFUSE tells what keeps this user from mounting anything.
func checkFUSE(bool) error {
	if _, err := os.Stat(macFUSE); err != nil {
		return fmt.Errorf("macFUSE is not installed: there is no %s\ninstall it with: brew install --cask macfuse, and allow its system extension", macFUSE)
	}
	return nil
}

func (cmd *doctorCmd) lookAtPassthrough(*shell) finding {
	return finding{State: ok, Found: "macFUSE has none: content goes through the daemon"}
}

func lookAtSearch(*shell) finding {
	return finding{State: ok, Found: "Spotlight reads local volumes only, and the drive is mounted as one that is not"}
}

// networkEvents has something to read when the machine's addresses or routes may have changed (route(4)).
func networkEvents() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_ROUTE, unix.SOCK_RAW, 0)
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "route"), nil
}

func tooMuch(err error) bool { return errors.Is(err, unix.ENOBUFS) }

func renameNew(from, to string) error {
	if err := unix.RenamexNp(from, to, unix.RENAME_EXCL); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}
