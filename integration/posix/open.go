package posix

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"unsafe"

	"golang.org/x/sys/unix"
)

var openCases = append(errnos("open", map[string]way{
	"no such file":                      {unix.ENOENT, func(t *T) error { return t.opens("nothing", unix.O_RDONLY) }},
	"an empty path":                     {unix.ENOENT, func(t *T) error { _, err := unix.Open("", 0, 0); return err }},
	"no such directory":                 {unix.ENOENT, func(t *T) error { return t.opens("nothing/f", unix.O_CREAT|unix.O_RDWR) }},
	"below a file":                      {unix.ENOTDIR, func(t *T) error { return t.opens("file/f", unix.O_RDONLY) }},
	"a file with a trailing slash":      {unix.ENOTDIR, func(t *T) error { return t.opens("file/", unix.O_RDONLY) }},
	"create with a trailing slash":      {unix.EISDIR, func(t *T) error { return t.opens("new/", unix.O_CREAT|unix.O_RDWR) }},
	"O_DIRECTORY of a file":             {unix.ENOTDIR, func(t *T) error { return t.opens("file", unix.O_RDONLY|unix.O_DIRECTORY) }},
	"write a directory":                 {unix.EISDIR, func(t *T) error { return t.opens("dir", unix.O_WRONLY) }},
	"create over a directory":           {unix.EISDIR, func(t *T) error { return t.opens("dir", unix.O_CREAT|unix.O_RDWR) }},
	"O_EXCL of a file":                  {unix.EEXIST, func(t *T) error { return t.opens("file", unix.O_CREAT|unix.O_EXCL|unix.O_RDWR) }},
	"O_EXCL of a dangling link":         {unix.EEXIST, func(t *T) error { return t.opens("dangling", unix.O_CREAT|unix.O_EXCL|unix.O_RDWR) }},
	"O_EXCL of a directory":             {unix.EEXIST, func(t *T) error { return t.opens("dir", unix.O_CREAT|unix.O_EXCL|unix.O_RDWR) }},
	"O_NOFOLLOW of a symlink":           {unix.ELOOP, func(t *T) error { return t.opens("link", unix.O_RDONLY|unix.O_NOFOLLOW) }},
	"a symlink to itself":               {unix.ELOOP, func(t *T) error { return t.opens("loop", unix.O_RDONLY) }},
	"a dangling link":                   {unix.ENOENT, func(t *T) error { return t.opens("dangling", unix.O_RDONLY) }},
	"a name of 255 bytes":               {0, func(t *T) error { return t.opens(long(nameMax), unix.O_CREAT|unix.O_RDWR) }},
	"a name of 256 bytes":               {unix.ENAMETOOLONG, func(t *T) error { return t.opens(long(nameMax+1), unix.O_CREAT|unix.O_RDWR) }},
	"look for a name of 256 bytes":      {unix.ENAMETOOLONG, func(t *T) error { return t.opens(long(nameMax+1), unix.O_RDONLY) }},
	"a fifo for writing without reader": {unix.ENXIO, func(t *T) error { return t.opens("fifo", unix.O_WRONLY|unix.O_NONBLOCK) }},
	"a fifo for reading without writer": {0, func(t *T) error { return t.opens("fifo", unix.O_RDONLY|unix.O_NONBLOCK) }},
	"a socket": {unix.ENXIO, func(t *T) error {
		t.must(unix.Mknod(t.at("socket"), unix.S_IFSOCK|0o644, 0))
		return t.opens("socket", unix.O_RDWR)
	}},
	"O_TMPFILE read only":       {unix.EINVAL, func(t *T) error { return t.opens("dir", unix.O_TMPFILE|unix.O_RDONLY) }},
	"O_TMPFILE below a file":    {unix.ENOTDIR, func(t *T) error { return t.opens("file", unix.O_TMPFILE|unix.O_RDWR) }},
	"O_TMPFILE in no directory": {unix.ENOENT, func(t *T) error { return t.opens("nothing", unix.O_TMPFILE|unix.O_RDWR) }},
}), []Case{
	{Call: "open", Rule: "creates through a dangling link", Run: func(t *T) {
		t.errno("open", t.opens("dangling", unix.O_CREAT|unix.O_WRONLY), 0)
		same(t, "size", t.stat("nothing").Size, 0)
	}},
	{Call: "open", Rule: "O_TRUNC with O_RDONLY cuts", Run: func(t *T) {
		t.errno("open", t.opens("file", unix.O_RDONLY|unix.O_TRUNC), 0)
		same(t, "size", t.stat("file").Size, 0)
	}},
	{Call: "open", Rule: "EACCES by mode and directory", Root: true, Run: func(t *T) {
		t.must(unix.Chmod(t.at("file"), 0o640))
		t.must(unix.Chown(t.at("file"), 0, 3000))
		t.must(unix.Chmod(t.at("dir"), 0o700))
		t.as(anna, func() { // in the file's group
			t.errno("read as one of the group", t.opens("file", unix.O_RDONLY), 0)
			t.errno("write as one of the group", t.opens("file", unix.O_WRONLY), unix.EACCES)
			t.errno("truncate as one of the group", t.opens("file", unix.O_RDONLY|unix.O_TRUNC), unix.EACCES)
			t.errno("search", t.opens("dir/inside", unix.O_RDONLY), unix.EACCES)
			t.errno("create", t.opens("new", unix.O_CREAT|unix.O_RDWR), unix.EACCES)
			t.errno("create what is there", t.opens("file", unix.O_CREAT|unix.O_RDONLY), 0)
		})
		t.as(berta, func() { t.errno("read as another", t.opens("file", unix.O_RDONLY), unix.EACCES) })
	}},
	{Call: "open", Rule: "O_NOATIME only by the owner", Root: true, Run: func(t *T) {
		t.as(anna, func() { t.errno("open", t.opens("file", unix.O_RDONLY|unix.O_NOATIME), unix.EPERM) })
	}},
	{Call: "open", Rule: "a new file belongs to the caller and the setgid directory's group", Root: true, Run: func(t *T) {
		t.must(unix.Chmod(t.at("dir"), 0o2777))
		t.must(unix.Chown(t.at("dir"), 0, 3000))
		t.as(berta, func() {
			t.errno("create", t.opens("dir/f", unix.O_CREAT|unix.O_RDWR), 0)
			t.errno("mkdir", unix.Mkdir(t.at("dir/d"), 0o755), 0)
		})
		f, d := t.stat("dir/f"), t.stat("dir/d")
		same(t, "owner", f.Uid, 2002)
		same(t, "group", f.Gid, 3000)
		same(t, "group of the directory", d.Gid, 3000)
		same(t, "mode of the directory", d.Mode&0o7777, 0o2755)
	}},
	{Call: "open", Rule: "setgid is dropped by who is not of the group", Root: true, Run: func(t *T) {
		t.must(unix.Chmod(t.at("dir"), 0o2777))
		t.must(unix.Chown(t.at("dir"), 0, 3000))
		t.as(berta, func() {
			fd, err := unix.Open(t.at("dir/f"), unix.O_CREAT|unix.O_RDWR, 0o2755)
			t.errno("create", err, 0)
			t.close(fd)
		})
		same(t, "mode", t.mode("dir/f"), 0o755)
	}},
	{Call: "open", Rule: "the umask counts once", Run: func(t *T) {
		unix.Umask(0o027)
		t.errno("create", t.opens("f", unix.O_CREAT|unix.O_RDWR), 0)
		fd := t.open("g", unix.O_CREAT|unix.O_RDWR, 0o777)
		t.close(fd)
		t.must(unix.Mkdir(t.at("d"), 0o777))
		t.must(unix.Mkfifo(t.at("p"), 0o666))
		t.must(unix.Mknod(t.at("n"), unix.S_IFREG|0o666, 0))
		for n, want := range map[string]uint32{"f": 0o640, "g": 0o750, "d": 0o750, "p": 0o640, "n": 0o640} {
			same(t, n, t.mode(n), want)
		}
	}},
	{Call: "open", Rule: "a handle of mode 0 goes on", Run: func(t *T) {
		fd := t.open("new", unix.O_CREAT|unix.O_EXCL|unix.O_RDWR, 0)
		defer t.close(fd)
		_, err := unix.Write(fd, []byte("abc"))
		t.errno("write", err, 0)
		same(t, "mode", t.mode("new"), 0)
		same(t, "size", t.stat("new").Size, 3)
	}},
	{Call: "open", Rule: "ETXTBSY for a running program", Run: func(t *T) {
		self, err := os.ReadFile("/bin/sleep")
		t.must(err)
		t.must(os.WriteFile(t.at("sleep"), self, 0o755))
		cmd := exec.Command(t.at("sleep"), "60")
		t.must(cmd.Start())
		defer cmd.Wait()
		defer cmd.Process.Kill()
		t.errno("write", t.opens("sleep", unix.O_WRONLY), unix.ETXTBSY)
		t.errno("truncate", unix.Truncate(t.at("sleep"), 0), unix.ETXTBSY)
		t.errno("read", t.opens("sleep", unix.O_RDONLY), 0)
		t.errno("unlink", unix.Unlink(t.at("sleep")), 0)
	}},
	{Call: "open", Rule: "ETXTBSY for the program that is being written", Run: func(t *T) {
		self, err := os.ReadFile("/bin/true")
		t.must(err)
		t.must(os.WriteFile(t.at("true"), self, 0o755))
		fd := t.open("true", unix.O_WRONLY, 0)
		t.errno("run", exec.Command(t.at("true")).Run(), unix.ETXTBSY)
		t.close(fd)
		t.errno("run after the close", exec.Command(t.at("true")).Run(), 0)
	}},
	{Call: "open", Rule: "O_DIRECT", Run: func(t *T) {
		fd := t.open("direct", unix.O_CREAT|unix.O_RDWR|unix.O_DIRECT, 0o644)
		defer t.close(fd)
		b := aligned(8192)
		copy(b, bytes.Repeat([]byte("direct! "), 1024))
		n, err := unix.Pwrite(fd, b, 4096)
		t.errno("write", err, 0)
		same(t, "written", n, 8192)
		got := aligned(12288)
		n, err = unix.Pread(fd, got, 0)
		t.errno("read", err, 0)
		same(t, "read", n, 12288)
		same(t, "content", string(got), string(make([]byte, 4096))+string(b))
		same(t, "content without it", t.content("direct"), string(got))
	}},
	{Call: "open", Rule: "O_TMPFILE has no name", Run: func(t *T) {
		fd := t.open("empty", unix.O_TMPFILE|unix.O_RDWR, 0o640)
		defer t.close(fd)
		_, err := unix.Write(fd, []byte("hidden"))
		t.errno("write", err, 0)
		var st unix.Stat_t
		t.must(unix.Fstat(fd, &st))
		same(t, "links", st.Nlink, 0)
		same(t, "mode", st.Mode, unix.S_IFREG|0o640)
		t.errno("the directory is empty", unix.Rmdir(t.at("empty")), 0)
	}},
	{Call: "open", Rule: "O_TMPFILE gets a name by linkat", Run: func(t *T) {
		fd := t.open("dir", unix.O_TMPFILE|unix.O_RDWR, 0o640)
		_, err := unix.Write(fd, []byte("hidden"))
		t.errno("write", err, 0)
		t.errno("link", linkFd(fd, t.at("dir/shown")), 0)
		_, err = unix.Write(fd, []byte(" no more"))
		t.errno("write", err, 0)
		t.errno("link over it", linkFd(fd, t.at("dir/shown")), unix.EEXIST)
		t.close(fd)
		same(t, "content", t.content("dir/shown"), "hidden no more")
		same(t, "links", t.stat("dir/shown").Nlink, 1)
		same(t, "mode", t.mode("dir/shown"), 0o640)
	}},
	{Call: "open", Rule: "O_TMPFILE with O_EXCL gets none", Run: func(t *T) {
		fd := t.open("dir", unix.O_TMPFILE|unix.O_RDWR|unix.O_EXCL, 0o640)
		defer t.close(fd)
		t.errno("link", linkFd(fd, t.at("dir/shown")), unix.ENOENT)
	}},
}...)

func linkFd(fd int, to string) error {
	return unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/thread-self/fd/%d", fd), unix.AT_FDCWD, to, unix.AT_SYMLINK_FOLLOW)
}

// aligned is memory that O_DIRECT takes.
func aligned(n int) []byte {
	b := make([]byte, n+4096)
	skip := -uintptr(unsafe.Pointer(&b[0])) & 4095
	return b[skip : int(skip)+n]
}
