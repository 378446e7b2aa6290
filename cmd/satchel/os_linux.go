package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What commands ask of the operating system, as Linux has it; os_darwin.go is macOS.

// fsType is how our mounts show in /proc/self/mountinfo.
const fsType = "fuse.satchel"

// thisProgram runs this program again, also when its file was replaced meanwhile.
func thisProgram() (string, error) { return "/proc/self/exe", nil }

// helperHere and serviceHere are nil where the commands of that name can work.
func helperHere() error  { return nil }
func serviceHere() error { return nil }

// peer is the user and the process at the other end (SO_PEERCRED, unix(7)).
func peer(conn *net.UnixConn) (uid, pid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, -1, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return -1, -1, err
	}
	if credErr != nil {
		return -1, -1, credErr
	}
	return int(cred.Uid), int(cred.Pid), nil
}

// watch returns a function that waits, up to closing, until the daemon has ended.
func (m mounted) watch() (ended func()) {
	fd, err := unix.PidfdOpen(m.PID, 0)
	if err != nil {
		return func() {}
	}
	return func() {
		defer unix.Close(fd)
		for until := time.Now().Add(closing); time.Now().Before(until); {
			left := int(time.Until(until).Milliseconds())
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, left); err != unix.EINTR {
				return
			}
		}
	}
}

// mountedType is the type of the file system that is mounted at exactly this
// directory, the topmost one; "" when none is.
func mountedType(dir string) (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer f.Close()
	kind := ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// 36 35 98:0 /root /mount\040point options [optional…] - type source options (proc(5))
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if len(fields) >= 5 && unescapeOctal(fields[4]) == dir {
			kind, _, _ = strings.Cut(after, " ")
		}
	}
	return kind, nil
}

func unescapeOctal(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// detach unmounts at once and lazily: programs that have files open there keep
// them, and everybody else sees the directory below.
func detach(dir string) error {
	if os.Geteuid() == 0 {
		return unix.Unmount(dir, unix.MNT_DETACH)
	}
	return fusermount("-u", "-z", "--", dir)
}

// unmount unmounts and fails when the mount is in use.
func unmount(dir string) error {
	if os.Geteuid() == 0 {
		return unix.Unmount(dir, 0)
	}
	return fusermount("-u", "--", dir)
}

func fusermount(args ...string) error {
	out, err := exec.Command("fusermount3", args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("fusermount3 is not installed: install the package fuse3")
	}
	if err != nil {
		return errors.New(strings.TrimPrefix(strings.TrimSpace(string(out)), "fusermount3: "))
	}
	return nil
}

// checkFUSE tells what keeps this user from mounting anything.
func checkFUSE(allowOther bool) error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no /dev/fuse\nload the kernel's module with: sudo modprobe fuse")
	case errors.Is(err, fs.ErrPermission):
		return errors.New("no permission to open /dev/fuse\nmend it with: sudo chmod 0666 /dev/fuse")
	case err != nil:
		return fmt.Errorf("/dev/fuse cannot be opened: %w", cause(err))
	}
	f.Close()
	if os.Geteuid() == 0 {
		return nil
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		return errors.New("fusermount3 is not installed\ninstall it with: sudo apt install fuse3")
	}
	if allowOther && !userAllowOther() {
		return errors.New("--allow-other is for root, unless /etc/fuse.conf has a line user_allow_other")
	}
	return nil
}

func userAllowOther() bool {
	b, _ := os.ReadFile("/etc/fuse.conf")
	for line := range strings.Lines(string(b)) {
		if strings.TrimSpace(line) == "user_allow_other" {
			return true
		}
	}
	return false
}

// networkEvents has something to read when the machine's addresses may have changed (rtnetlink(7)).
func networkEvents() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}

// tooMuch tells whether events were lost, of which one says as much as many.
func tooMuch(err error) bool { return errors.Is(err, unix.ENOBUFS) }

// renameNew renames a file to a name that nothing has, or fails with [os.ErrExist].
func renameNew(from, to string) error {
	if err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}
