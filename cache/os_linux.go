package cache

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What the cache asks of the operating system, as Linux has it; os_darwin.go is macOS.

// The flags of rename(2) as the kernel sends them.
const (
	RenameNoReplace = unix.RENAME_NOREPLACE
	RenameExchange  = unix.RENAME_EXCHANGE
)

// noAtime opens without moving the access time.
const noAtime = unix.O_NOATIME

// unwritten tells whether nobody can change the file: no descriptor for
// writing and no shared mapping exists anywhere. The lease is given back at
// once, since a held one would block opens.
func (c *content) unwritten() bool { return c.counted || c.lease(unix.F_RDLCK) }

// unused tells whether nobody has the file open or mapped at all, except
// this one descriptor.
func (c *content) unused() bool { return c.counted || c.lease(unix.F_WRLCK) }

func (c *content) lease(kind int) bool {
	if _, err := unix.FcntlInt(uintptr(c.fd), unix.F_SETLEASE, kind); err != nil {
		return false
	}
	unix.FcntlInt(uintptr(c.fd), unix.F_SETLEASE, unix.F_UNLCK)
	return true
}

// Leases tells whether the file system that a directory is on gives leases. NFS and many of SMB do not.
func Leases(dir string) bool {
	f, err := os.CreateTemp(dir, "lease")
	if err != nil {
		return true // a full disk is no answer
	}
	defer os.Remove(f.Name())
	f.Close()
	fd, err := unix.Open(f.Name(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	return (&content{fd: fd}).lease(unix.F_RDLCK)
}

// syncFile is fsync(2), or with dataOnly fdatasync(2).
func syncFile(fd int, dataOnly bool) error {
	if dataOnly {
		return unix.Fdatasync(fd)
	}
	return unix.Fsync(fd)
}

// riderable tells whether fsync(2) is known to make a file's attributes durable with it where a directory is: it was tried on
// these file systems by taking them away right afterwards. (OpenZFS is known not to.) tmpfs has nothing durable anyway.
func riderable(dir string) bool {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return false
	}
	switch int64(st.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.TMPFS_MAGIC:
		return true
	}
	return false
}

// noAttr is the error of an attribute that is not there.
const noAttr = unix.ENODATA

// syncsAll tells whether syncAll can be had.
const syncsAll = true

// syncAll makes all of the file system that has a file durable.
func syncAll(fd int) error { return unix.Syncfs(fd) }

// syncTree makes durable what was written below a directory.
func syncTree(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

// writeSoon has the disk begin with a range of a file that will be synced.
func writeSoon(fd int, off, length int64) {
	unix.SyncFileRange(fd, off, length, unix.SYNC_FILE_RANGE_WRITE)
}

// reserve gives a file that many bytes of room.
func reserve(fd int, size int64) error { return unix.Fallocate(fd, 0, 0, size) }

// grows tells whether a mode of fallocate(2) may make the file larger.
func grows(mode uint32) bool {
	return mode&(unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE) == 0
}

func fallocate(fd int, mode uint32, off, length int64) error {
	return unix.Fallocate(fd, mode, off, length)
}

// punch makes a hole of a part of a file.
func punch(fd int, off, length int64) error {
	return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, length)
}

// copyRange is copy_file_range(2).
func copyRange(from int, fromOff int64, to int, toOff int64, length int) (int, error) {
	return unix.CopyFileRange(from, &fromOff, to, &toOff, length, 0)
}

// bootID names this run of the machine.
func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(b)
}

// mountMark tells the mount that a directory is in from all others of this run of the machine, from Linux 6.8 on: before, a later
// one may have the number of one that is gone. One file system may be mounted several times: a container that starts again has another mount of it.
func mountMark(dir string) string {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_MNT_ID_UNIQUE, &st); err != nil || st.Mask&(unix.STATX_MNT_ID|unix.STATX_MNT_ID_UNIQUE) == 0 {
		return ""
	}
	return fmt.Sprintf("%d:%d %d", st.Dev_major, st.Dev_minor, st.Mnt_id)
}

// machineID names the machine, where it has a name.
func machineID() string {
	b, _ := os.ReadFile("/etc/machine-id")
	return strings.TrimSpace(string(b))
}

// birthMark tells a directory from its copies: its number, and when it was made.
func birthMark(dir string) (string, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d %d.%09d", st.Ino, st.Btime.Sec, st.Btime.Nsec), nil
}

// memberOf tells whether a process is of a group, besides the one that the kernel tells.
func memberOf(pid, gid uint32) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	_, after, _ := bytes.Cut(status, []byte("\nGroups:"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	for _, g := range bytes.Fields(line) {
		if n, err := strconv.ParseUint(string(g), 10, 32); err == nil && uint32(n) == gid {
			return true
		}
	}
	return false
}
