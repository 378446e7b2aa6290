package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// What the cache asks of the operating system, as macOS has it; os_linux.go says what each is for.

// The flags of renamex_np(2) as the kernel sends them.
const (
	RenameNoReplace = unix.RENAME_EXCL
	RenameExchange  = unix.RENAME_SWAP
)

// noAtime is not to be had: what this process reads moves access times.
const noAtime = 0

// There is no passthrough, so nobody but this process has a content file open, and what it writes
// it records.
func (c *content) unwritten() bool { return true }
func (c *content) unused() bool    { return true }

// Leases tells whether a file system gives leases, on which nothing depends here.
func Leases(string) bool { return true }

// syncFile makes a file durable: fsync(2) leaves it in the disk's own cache. Where a file system knows no more
// than that, it is what can be had.
func syncFile(fd int, _ bool) error {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_FULLFSYNC, 0); err == nil {
		return nil
	}
	return unix.Fsync(fd)
}

// riderable tells whether fsync(2) is known to make a file's attributes durable with it.
func riderable(string) bool { return false }

// noAttr is the error of an attribute that is not there.
const noAttr = unix.ENOATTR

const syncsAll = false

func syncAll(int) error { return unix.ENOTSUP }

func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() && !e.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		err = syncFile(int(f.Fd()), false)
		return errors.Join(err, f.Close())
	})
}

func writeSoon(int, int64, int64) {} // the sync that follows does it

func reserve(fd int, size int64) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if more := size - st.Blocks*512; more > 0 {
		room := unix.Fstore_t{Flags: unix.F_ALLOCATEALL, Posmode: unix.F_PEOFPOSMODE, Length: more}
		if err := unix.FcntlFstore(uintptr(fd), unix.F_PREALLOCATE, &room); err != nil {
			return err
		}
	}
	return unix.Ftruncate(fd, size)
}

func grows(uint32) bool { return true }

// fallocate is what F_PREALLOCATE of a program would be; those go on without.
func fallocate(int, uint32, int64, int64) error { return unix.ENOTSUP }

// punch is F_PUNCHHOLE, whose fpunchhole_t begins like an fstore_t.
func punch(fd int, off, length int64) error {
	return unix.FcntlFstore(uintptr(fd), unix.F_PUNCHHOLE, &unix.Fstore_t{Offset: off, Length: length})
}

// copyRange is never asked for: the system copies by reading and writing.
func copyRange(int, int64, int, int64, int) (int, error) { return 0, unix.ENOTSUP }

func bootID() string {
	id, _ := unix.Sysctl("kern.bootsessionuuid")
	return id
}

// mountMark may be the same when a disk comes back: the system has no more to say.
func mountMark(dir string) string {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return ""
	}
	return fmt.Sprintf("%d:%d", st.Fsid.Val[0], st.Fsid.Val[1])
}

func machineID() string {
	out, _ := exec.Command("/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice").Output()
	_, after, _ := strings.Cut(string(out), `"IOPlatformUUID" = "`)
	id, _, _ := strings.Cut(after, `"`)
	return id
}

func birthMark(dir string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d %d.%09d", st.Ino, st.Btim.Sec, st.Btim.Nsec), nil
}

func memberOf(pid, gid uint32) bool {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", int(pid))
	if err != nil {
		return false
	}
	c := &p.Eproc.Ucred
	for i := range min(int(c.Ngroups), len(c.Groups)) {
		if c.Groups[i] == gid {
			return true
		}
	}
	return false
}
