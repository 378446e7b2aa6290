package posix

import (
	"golang.org/x/sys/unix"
)

// Making and removing names.

var makeCases = append(append(append(
	errnos("mkdir", map[string]way{
		"over a file":          {unix.EEXIST, func(t *T) error { return unix.Mkdir(t.at("file"), 0o755) }},
		"over a directory":     {unix.EEXIST, func(t *T) error { return unix.Mkdir(t.at("dir"), 0o755) }},
		"over a dangling link": {unix.EEXIST, func(t *T) error { return unix.Mkdir(t.at("dangling"), 0o755) }},
		"over itself":          {unix.EEXIST, func(t *T) error { return unix.Mkdir(t.at("dir/."), 0o755) }},
		"in nothing":           {unix.ENOENT, func(t *T) error { return unix.Mkdir(t.at("nothing/d"), 0o755) }},
		"below a file":         {unix.ENOTDIR, func(t *T) error { return unix.Mkdir(t.at("file/d"), 0o755) }},
		"through a loop":       {unix.ELOOP, func(t *T) error { return unix.Mkdir(t.at("loop/d"), 0o755) }},
		"256 bytes":            {unix.ENAMETOOLONG, func(t *T) error { return unix.Mkdir(t.at(long(nameMax+1)), 0o755) }},
		"255 bytes":            {0, func(t *T) error { return unix.Mkdir(t.at(long(nameMax)), 0o755) }},
		"a trailing slash":     {0, func(t *T) error { return unix.Mkdir(t.at("new/"), 0o755) }},
	}),
	errnos("mknod", map[string]way{
		"over a file":        {unix.EEXIST, func(t *T) error { return unix.Mknod(t.at("file"), unix.S_IFREG|0o644, 0) }},
		"in nothing":         {unix.ENOENT, func(t *T) error { return unix.Mknod(t.at("nothing/f"), unix.S_IFIFO|0o644, 0) }},
		"below a file":       {unix.ENOTDIR, func(t *T) error { return unix.Mkfifo(t.at("file/f"), 0o644) }},
		"256 bytes":          {unix.ENAMETOOLONG, func(t *T) error { return unix.Mkfifo(t.at(long(nameMax+1)), 0o644) }},
		"a directory":        {unix.EPERM, func(t *T) error { return unix.Mknod(t.at("new"), unix.S_IFDIR|0o755, 0) }},
		"a trailing slash":   {unix.ENOENT, func(t *T) error { return unix.Mkfifo(t.at("new/"), 0o644) }},
		"no type is a file":  {0, func(t *T) error { return unix.Mknod(t.at("new"), 0o644, 0) }},
		"a socket":           {0, func(t *T) error { return unix.Mknod(t.at("new"), unix.S_IFSOCK|0o644, 0) }},
		"what is no type":    {unix.EINVAL, func(t *T) error { return unix.Mknod(t.at("new"), unix.S_IFMT|0o644, 0) }},
		"a symlink by mknod": {unix.EINVAL, func(t *T) error { return unix.Mknod(t.at("new"), unix.S_IFLNK|0o644, 0) }},
	})...),
	errnos("symlink", map[string]way{
		"over a file":          {unix.EEXIST, func(t *T) error { return unix.Symlink("x", t.at("file")) }},
		"over a dangling link": {unix.EEXIST, func(t *T) error { return unix.Symlink("x", t.at("dangling")) }},
		"in nothing":           {unix.ENOENT, func(t *T) error { return unix.Symlink("x", t.at("nothing/s")) }},
		"below a file":         {unix.ENOTDIR, func(t *T) error { return unix.Symlink("x", t.at("file/s")) }},
		"to an empty path":     {unix.ENOENT, func(t *T) error { return unix.Symlink("", t.at("new")) }},
		"256 bytes":            {unix.ENAMETOOLONG, func(t *T) error { return unix.Symlink("x", t.at(long(nameMax+1))) }},
		"to 4095 bytes":        {0, func(t *T) error { return unix.Symlink(long(pathMax-1), t.at("new")) }},
		"to 4096 bytes":        {unix.ENAMETOOLONG, func(t *T) error { return unix.Symlink(long(pathMax), t.at("new")) }},
		"readlink of a file":   {unix.EINVAL, func(t *T) error { _, err := unix.Readlink(t.at("file"), make([]byte, 9)); return err }},
		"readlink of nothing":  {unix.ENOENT, func(t *T) error { _, err := unix.Readlink(t.at("nothing"), make([]byte, 9)); return err }},
	})...), []Case{
	{Call: "symlink", Rule: "a long target comes back", Run: func(t *T) {
		t.must(unix.Symlink(long(pathMax-1), t.at("new")))
		b := make([]byte, 5000)
		n, err := unix.Readlink(t.at("new"), b)
		t.errno("readlink", err, 0)
		same(t, "target", string(b[:n]), long(pathMax-1))
		same(t, "size", t.stat("new").Size, pathMax-1)
		n, err = unix.Readlink(t.at("new"), b[:10])
		t.errno("readlink into little room", err, 0)
		same(t, "cut", n, 10)
	}},
	{Call: "mknod", Rule: "types and device numbers are kept", Root: true, Run: func(t *T) {
		t.must(unix.Mknod(t.at("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
		t.must(unix.Mknod(t.at("disk"), unix.S_IFBLK|0o640, int(unix.Mkdev(259, 70000))))
		t.must(unix.Mknod(t.at("sock"), unix.S_IFSOCK|0o600, 0))
		for n, want := range map[string]unix.Stat_t{
			"null": {Mode: unix.S_IFCHR | 0o644, Rdev: unix.Mkdev(1, 3)},
			"disk": {Mode: unix.S_IFBLK | 0o640, Rdev: unix.Mkdev(259, 70000)},
			"sock": {Mode: unix.S_IFSOCK | 0o600},
			"fifo": {Mode: unix.S_IFIFO | 0o644},
		} {
			st := t.stat(n)
			same(t, "mode of "+n, st.Mode, want.Mode)
			same(t, "device of "+n, st.Rdev, want.Rdev)
			same(t, "links of "+n, st.Nlink, 1)
		}
		t.must(unix.Chmod(t.Dir, 0o777))
		t.as(anna, func() {
			t.errno("a device by an ordinary user", unix.Mknod(t.at("mine"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))), unix.EPERM)
		})
	}},
	{Call: "mkdir", Rule: "counts in the parent's links", Run: func(t *T) {
		before := t.stat("dir").Nlink
		t.must(unix.Mkdir(t.at("dir/a"), 0o755))
		t.must(unix.Mkdir(t.at("dir/b"), 0o755))
		same(t, "links with two more", t.stat("dir").Nlink, before+2)
		same(t, "links of a new one", t.stat("dir/a").Nlink, 2)
		t.must(unix.Rmdir(t.at("dir/a")))
		same(t, "links with one less", t.stat("dir").Nlink, before+1)
	}},
	{Call: "mkdir", Rule: "EACCES without the right to write", Root: true, Run: func(t *T) {
		t.as(anna, func() {
			t.errno("mkdir", unix.Mkdir(t.at("new"), 0o755), unix.EACCES)
			t.errno("symlink", unix.Symlink("x", t.at("new")), unix.EACCES)
			t.errno("mkfifo", unix.Mkfifo(t.at("new"), 0o644), unix.EACCES)
			t.errno("mkdir over a file", unix.Mkdir(t.at("file"), 0o755), unix.EEXIST)
		})
	}},
	{Call: "fifo", Rule: "carries bytes between programs", Run: func(t *T) {
		r := t.open("fifo", unix.O_RDONLY|unix.O_NONBLOCK, 0)
		w := t.open("fifo", unix.O_WRONLY, 0)
		_, err := unix.Write(w, []byte("through"))
		t.errno("write", err, 0)
		b := make([]byte, 20)
		n, err := unix.Read(r, b)
		t.errno("read", err, 0)
		same(t, "content", string(b[:n]), "through")
		t.close(r)
		t.close(w)
	}},
	{Call: "socket", Rule: "is bound and found", Run: func(t *T) {
		// The path of a socket has at most 107 bytes, so it is reached from within.
		t.must(unix.Chdir(t.Dir))
		s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		t.must(err)
		defer t.close(s)
		t.errno("bind", unix.Bind(s, &unix.SockaddrUnix{Name: "sock"}), 0)
		t.errno("bind again", unix.Bind(s, &unix.SockaddrUnix{Name: "sock"}), unix.EADDRINUSE)
		t.errno("listen", unix.Listen(s, 1), 0)
		c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		t.must(err)
		defer t.close(c)
		t.errno("connect", unix.Connect(c, &unix.SockaddrUnix{Name: "sock"}), 0)
		same(t, "type", t.stat("sock").Mode&unix.S_IFMT, unix.S_IFSOCK)
	}},
}...)

var removeCases = append(append(
	errnos("unlink", map[string]way{
		"nothing":          {unix.ENOENT, func(t *T) error { return unix.Unlink(t.at("nothing")) }},
		"a directory":      {unix.EISDIR, func(t *T) error { return unix.Unlink(t.at("dir")) }},
		"below a file":     {unix.ENOTDIR, func(t *T) error { return unix.Unlink(t.at("file/f")) }},
		"a trailing slash": {unix.ENOTDIR, func(t *T) error { return unix.Unlink(t.at("file/")) }},
		"256 bytes":        {unix.ENAMETOOLONG, func(t *T) error { return unix.Unlink(t.at(long(nameMax + 1))) }},
		"a dangling link":  {0, func(t *T) error { return unix.Unlink(t.at("dangling")) }},
		"a fifo":           {0, func(t *T) error { return unix.Unlink(t.at("fifo")) }},
	}),
	errnos("rmdir", map[string]way{
		"nothing":                  {unix.ENOENT, func(t *T) error { return unix.Rmdir(t.at("nothing")) }},
		"a file":                   {unix.ENOTDIR, func(t *T) error { return unix.Rmdir(t.at("file")) }},
		"a symlink to a directory": {unix.ENOTDIR, func(t *T) error { t.must(unix.Symlink("empty", t.at("s"))); return unix.Rmdir(t.at("s")) }},
		"one that is not empty":    {unix.ENOTEMPTY, func(t *T) error { return unix.Rmdir(t.at("dir")) }},
		"a last component .":       {unix.EINVAL, func(t *T) error { return unix.Rmdir(t.at("empty/.")) }},
		"a last component ..":      {unix.ENOTEMPTY, func(t *T) error { return unix.Rmdir(t.at("empty/..")) }},
		"a trailing slash":         {0, func(t *T) error { return unix.Rmdir(t.at("empty/")) }},
		"256 bytes":                {unix.ENAMETOOLONG, func(t *T) error { return unix.Rmdir(t.at(long(nameMax + 1))) }},
		"one that somebody is in":  {0, func(t *T) error { t.must(unix.Chdir(t.at("empty"))); return unix.Rmdir(t.at("empty")) }},
		"create in one that is gone": {unix.ENOENT, func(t *T) error {
			t.must(unix.Chdir(t.at("empty")))
			t.must(unix.Rmdir(t.at("empty")))
			return unix.Mkdir("new", 0o755)
		}},
	})...), []Case{
	{Call: "unlink", Rule: "what is open lives on", Run: func(t *T) {
		fd := t.open("file", unix.O_RDWR, 0)
		defer t.close(fd)
		t.must(unix.Unlink(t.at("file")))
		var st unix.Stat_t
		t.must(unix.Fstat(fd, &st))
		same(t, "links", st.Nlink, 0)
		_, err := unix.Pwrite(fd, []byte("AB"), 8)
		t.errno("write", err, 0)
		b := make([]byte, 20)
		n, err := unix.Pread(fd, b, 0)
		t.errno("read", err, 0)
		same(t, "content", string(b[:n]), "01234567AB")
		t.errno("truncate", unix.Ftruncate(fd, 3), 0)
		t.errno("chmod", unix.Fchmod(fd, 0o600), 0)
		t.must(unix.Fstat(fd, &st))
		same(t, "size", st.Size, 3)
		same(t, "mode", st.Mode&0o777, 0o600)
		t.errno("sync", unix.Fsync(fd), 0)
		t.errno("give it a name again", linkFd(fd, t.at("again")), unix.ENOENT)
	}},
	{Call: "unlink", Rule: "sticky: only the owner", Root: true, Run: func(t *T) {
		t.must(unix.Chmod(t.at("dir"), 0o1777))
		t.as(anna, func() {
			t.errno("create", t.opens("dir/hers", unix.O_CREAT|unix.O_RDWR), 0)
			t.errno("mkdir", unix.Mkdir(t.at("dir/sub"), 0o755), 0)
		})
		t.as(berta, func() {
			t.errno("unlink", unix.Unlink(t.at("dir/hers")), unix.EPERM)
			t.errno("rmdir", unix.Rmdir(t.at("dir/sub")), unix.EPERM)
			t.errno("rename", unix.Rename(t.at("dir/hers"), t.at("dir/mine")), unix.EPERM)
			t.errno("create", t.opens("dir/mine", unix.O_CREAT|unix.O_RDWR), 0)
			t.errno("rename over it", unix.Rename(t.at("dir/mine"), t.at("dir/hers")), unix.EPERM)
		})
		t.as(anna, func() {
			t.errno("the owner's unlink", unix.Unlink(t.at("dir/hers")), 0)
			t.errno("the owner's rmdir", unix.Rmdir(t.at("dir/sub")), 0)
		})
	}},
	{Call: "unlink", Rule: "EACCES without the right to write", Root: true, Run: func(t *T) {
		t.as(anna, func() {
			t.errno("unlink", unix.Unlink(t.at("file")), unix.EACCES)
			t.errno("rmdir", unix.Rmdir(t.at("empty")), unix.EACCES)
		})
	}},
}...)

var linkCases = append(errnos("link", map[string]way{
	"to nothing":       {unix.ENOENT, func(t *T) error { return unix.Link(t.at("nothing"), t.at("new")) }},
	"a directory":      {unix.EPERM, func(t *T) error { return unix.Link(t.at("dir"), t.at("new")) }},
	"over a file":      {unix.EEXIST, func(t *T) error { return unix.Link(t.at("file"), t.at("fifo")) }},
	"over itself":      {unix.EEXIST, func(t *T) error { return unix.Link(t.at("file"), t.at("file")) }},
	"below a file":     {unix.ENOTDIR, func(t *T) error { return unix.Link(t.at("file"), t.at("fifo/new")) }},
	"in nothing":       {unix.ENOENT, func(t *T) error { return unix.Link(t.at("file"), t.at("nothing/new")) }},
	"256 bytes":        {unix.ENAMETOOLONG, func(t *T) error { return unix.Link(t.at("file"), t.at(long(nameMax+1))) }},
	"to another disk":  {unix.EXDEV, func(t *T) error { return unix.Link("/proc/self/status", t.at("new")) }},
	"a trailing slash": {unix.ENOENT, func(t *T) error { return unix.Link(t.at("file"), t.at("new/")) }},
	"a symlink itself": {0, func(t *T) error { return unix.Link(t.at("dangling"), t.at("new")) }},
	"a fifo":           {0, func(t *T) error { return unix.Link(t.at("fifo"), t.at("new")) }},
}), []Case{
	{Call: "link", Rule: "one inode with a count", Run: func(t *T) {
		t.must(unix.Link(t.at("file"), t.at("dir/hard")))
		a, b := t.stat("file"), t.stat("dir/hard")
		same(t, "inode", a.Ino, b.Ino)
		same(t, "links", a.Nlink, 2)
		t.write("dir/hard", "both")
		same(t, "content", t.content("file"), "both")
		t.must(unix.Rename(t.at("dir/hard"), t.at("moved")))
		same(t, "links after a rename", t.stat("file").Nlink, 2)
		t.must(unix.Unlink(t.at("file")))
		same(t, "links of the other", t.stat("moved").Nlink, 1)
		same(t, "content of the other", t.content("moved"), "both")
	}},
	{Call: "link", Rule: "a symlink's link is a symlink", Run: func(t *T) {
		t.must(unix.Link(t.at("link"), t.at("second")))
		same(t, "type", t.stat("second").Mode&unix.S_IFMT, unix.S_IFLNK)
		same(t, "inode", t.stat("second").Ino, t.stat("link").Ino)
	}},
}...)
