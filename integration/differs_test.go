package integration

import (
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestWhatDiffers: what docs/design.md says is not as on ext4 ends at once, with the errno that it names.
func TestWhatDiffers(t *testing.T) {
	laptop := newAccount(t, server(t), "anna").mountNew(t, "laptop")
	at := func(name string) string { return filepath.Join(laptop.Mount, name) }
	write(t, at("file"), "text")
	write(t, at("other"), "")
	f, err := os.OpenFile(at("file"), os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	g, err := os.OpenFile(at("other"), os.O_RDWR, 0)
	must(t, err)
	defer g.Close()
	fd := int(f.Fd())
	ioctl := func(request uintptr) error {
		var b [4096]byte
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&b)))
		if errno == 0 {
			return nil
		}
		return errno
	}
	_, _, handle := unix.NameToHandleAt(unix.AT_FDCWD, at("file"), 0)
	const (
		fsIocGetversion = 0x80087601 // generation number
		fsIocFiemap     = 0xc020660b
	)
	for what, c := range map[string]struct{ got, want error }{
		"collapse":          {unix.Fallocate(fd, unix.FALLOC_FL_COLLAPSE_RANGE, 0, 4096), unix.EOPNOTSUPP},
		"insert":            {unix.Fallocate(fd, unix.FALLOC_FL_INSERT_RANGE, 0, 4096), unix.EOPNOTSUPP},
		"FICLONE":           {unix.IoctlFileClone(int(g.Fd()), fd), unix.EOPNOTSUPP},
		"FIEMAP":            {ioctl(fsIocFiemap), unix.EOPNOTSUPP},
		"file flags":        {ioctl(unix.FS_IOC_GETFLAGS), unix.ENOTTY},
		"generation":        {ioctl(fsIocGetversion), unix.ENOTTY},
		"name_to_handle_at": {handle, unix.EOPNOTSUPP},
		"RENAME_WHITEOUT":   {unix.Renameat2(unix.AT_FDCWD, at("file"), unix.AT_FDCWD, at("new"), unix.RENAME_WHITEOUT), unix.EINVAL},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, not %v", what, c.got, c.want)
		}
	}
	var fs unix.Statfs_t
	must(t, unix.Statfs(laptop.Mount, &fs))
	if fs.Flags&unix.ST_NOSUID == 0 || fs.Flags&unix.ST_NODEV == 0 {
		t.Errorf("mount flags: %#x", fs.Flags)
	}
}
