package posix

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// Child is the path of the program in ./child; who runs the cases sets it.
var Child string

const huge = 1 << 50 // more than ext4 can have in a file

var sizeCases = append(errnos("truncate", map[string]way{
	"nothing":         {unix.ENOENT, func(t *T) error { return unix.Truncate(t.at("nothing"), 0) }},
	"a directory":     {unix.EISDIR, func(t *T) error { return unix.Truncate(t.at("dir"), 0) }},
	"below a file":    {unix.ENOTDIR, func(t *T) error { return unix.Truncate(t.at("file/f"), 0) }},
	"a loop":          {unix.ELOOP, func(t *T) error { return unix.Truncate(t.at("loop"), 0) }},
	"a fifo":          {unix.EINVAL, func(t *T) error { return unix.Truncate(t.at("fifo"), 0) }},
	"negative":        {unix.EINVAL, func(t *T) error { return unix.Truncate(t.at("file"), -1) }},
	"too large":       {unix.EFBIG, func(t *T) error { return unix.Truncate(t.at("file"), huge) }},
	"a reader's":      {unix.EINVAL, func(t *T) error { return unix.Ftruncate(t.open("file", unix.O_RDONLY, 0), 0) }},
	"through a link":  {0, func(t *T) error { return unix.Truncate(t.at("link"), 0) }},
	"a name too long": {unix.ENAMETOOLONG, func(t *T) error { return unix.Truncate(t.at(long(nameMax+1)), 0) }},
}), []Case{
	{Call: "truncate", Rule: "cuts and fills with zeros", Run: func(t *T) {
		t.must(unix.Truncate(t.at("file"), 5))
		same(t, "cut", t.content("file"), "01234")
		t.must(unix.Truncate(t.at("file"), 8))
		same(t, "filled", t.content("file"), "01234\x00\x00\x00")
		t.must(unix.Truncate(t.at("file"), 1<<40))
		same(t, "size", t.stat("file").Size, 1<<40)
		same(t, "few blocks", t.stat("file").Blocks < 100, true)
		t.must(unix.Unlink(t.at("file"))) // nobody shall send it
	}},
	{Call: "truncate", Rule: "EACCES without the right to write", Root: true, Run: func(t *T) {
		t.as(anna, func() { t.errno("truncate", unix.Truncate(t.at("file"), 0), unix.EACCES) })
	}},
	{Call: "write", Rule: "beyond what a file can have", Run: func(t *T) {
		fd := t.open("file", unix.O_RDWR, 0)
		_, err := unix.Pwrite(fd, []byte("x"), huge)
		t.errno("pwrite", err, unix.EFBIG)
		_, err = unix.Pwrite(fd, []byte("x"), -1)
		t.errno("pwrite at -1", err, unix.EINVAL)
	}},
	{Call: "read", Rule: "what is not open for it", Run: func(t *T) {
		w := t.open("file", unix.O_WRONLY, 0)
		_, err := unix.Read(w, make([]byte, 1))
		t.errno("read", err, unix.EBADF)
		r := t.open("file", unix.O_RDONLY, 0)
		_, err = unix.Write(r, []byte("x"))
		t.errno("write", err, unix.EBADF)
		d := t.open("dir", unix.O_RDONLY, 0)
		_, err = unix.Read(d, make([]byte, 1))
		t.errno("read a directory", err, unix.EISDIR)
	}},
}...)

func fallocate(flags uint32, off, n int64) func(t *T) error {
	return func(t *T) error { return unix.Fallocate(t.open("file", unix.O_RDWR, 0), flags, off, n) }
}

var holeCases = append(errnos("fallocate", map[string]way{
	"nothing at all":        {unix.EINVAL, fallocate(0, 0, 0)},
	"a negative offset":     {unix.EINVAL, fallocate(0, -1, 10)},
	"a negative length":     {unix.EINVAL, fallocate(0, 0, -1)},
	"too large":             {unix.EFBIG, fallocate(0, 0, huge)},
	"punch and grow":        {unix.EOPNOTSUPP, fallocate(unix.FALLOC_FL_PUNCH_HOLE, 0, 10)},
	"a reader's":            {unix.EBADF, func(t *T) error { return unix.Fallocate(t.open("file", unix.O_RDONLY, 0), 0, 0, 10) }},
	"a directory":           {unix.EBADF, func(t *T) error { return unix.Fallocate(t.open("dir", unix.O_RDONLY, 0), 0, 0, 10) }},
	"a fifo":                {unix.ESPIPE, func(t *T) error { return unix.Fallocate(t.open("fifo", unix.O_RDWR, 0), 0, 0, 10) }},
	"posix_fallocate grows": {0, fallocate(0, 5, 10)},
}), []Case{
	{Call: "fallocate", Rule: "takes blocks and grows or does not", Run: func(t *T) {
		fd := t.open("file", unix.O_RDWR, 0)
		t.errno("keep size", unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, 1<<20), 0)
		same(t, "size kept", t.stat("file").Size, 10)
		same(t, "blocks", t.stat("file").Blocks >= 2048, true)
		t.errno("grow", unix.Fallocate(fd, 0, 0, 1<<20), 0)
		same(t, "size grown", t.stat("file").Size, 1<<20)
		t.errno("punch", unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 1<<20), 0)
		same(t, "size", t.stat("file").Size, 1<<20)
		same(t, "blocks after the punch", t.stat("file").Blocks < 16, true)
		same(t, "zeros", t.content("file") == string(make([]byte, 1<<20)), true)
	}},
	{Call: "fallocate", Rule: "zero range", Run: func(t *T) {
		t.write("file", strings.Repeat("x", 10000))
		fd := t.open("file", unix.O_RDWR, 0)
		t.errno("zero", unix.Fallocate(fd, unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_KEEP_SIZE, 5, 5000), 0)
		same(t, "content", t.content("file") == "xxxxx"+string(make([]byte, 5000))+strings.Repeat("x", 4995), true)
		t.errno("zero and grow", unix.Fallocate(fd, unix.FALLOC_FL_ZERO_RANGE, 9990, 100), 0)
		same(t, "size", t.stat("file").Size, 10090)
	}},
	{Call: "lseek", Rule: "finds data and holes", Run: func(t *T) {
		fd := t.open("sparse", unix.O_CREAT|unix.O_RDWR, 0o644)
		t.must(unix.Ftruncate(fd, 1<<20))
		_, err := unix.Pwrite(fd, []byte("data"), 256<<10)
		t.must(err)
		for _, c := range []struct {
			off    int64
			whence int
			want   int64
		}{{0, unix.SEEK_DATA, 256 << 10}, {0, unix.SEEK_HOLE, 0}, {256 << 10, unix.SEEK_HOLE, 260 << 10}, {256<<10 + 2, unix.SEEK_DATA, 256<<10 + 2}} {
			got, err := unix.Seek(fd, c.off, c.whence)
			t.errno("seek", err, 0)
			same(t, fmt.Sprintf("from %d by %d", c.off, c.whence), got, c.want)
		}
		for _, c := range []struct {
			off    int64
			whence int
		}{{512 << 10, unix.SEEK_DATA}, {1 << 20, unix.SEEK_HOLE}, {2 << 20, unix.SEEK_DATA}} {
			_, err := unix.Seek(fd, c.off, c.whence)
			t.errno(fmt.Sprintf("from %d by %d", c.off, c.whence), err, unix.ENXIO)
		}
		_, err = unix.Seek(fd, -1, unix.SEEK_SET)
		t.errno("to -1", err, unix.EINVAL)
		same(t, "blocks", t.stat("sparse").Blocks, 8)
	}},
}...)

var dataCases = []Case{
	{Call: "append", Rule: "two programs lose no line", Run: func(t *T) {
		t.write("file", "")
		var both []*exec.Cmd
		for range 2 {
			cmd := exec.Command(Child, "append", t.at("file"))
			t.must(cmd.Start())
			both = append(both, cmd)
		}
		for _, cmd := range both {
			t.errno("child", cmd.Wait(), 0)
		}
		next := map[string]int{}
		for line := range strings.Lines(t.content("file")) {
			var who, i int
			if _, err := fmt.Sscanf(line, "%d %d\n", &who, &i); err != nil || next[fmt.Sprint(who)] != i {
				t.Fatalf("line %q: %v", line, err)
			}
			next[fmt.Sprint(who)]++
		}
		for who, n := range next {
			same(t, "lines of "+who, n, 1000)
		}
	}},
	{Call: "append", Rule: "moves to the end each time", Run: func(t *T) {
		fd := t.open("file", unix.O_RDWR|unix.O_APPEND, 0)
		unix.Seek(fd, 2, unix.SEEK_SET)
		unix.Write(fd, []byte("A"))
		t.must(unix.Truncate(t.at("file"), 3))
		unix.Write(fd, []byte("B"))
		same(t, "content", t.content("file"), "012B")
	}},
	{Call: "copy_file_range", Rule: "copies", Run: func(t *T) {
		in, out := t.open("file", unix.O_RDONLY, 0), t.open("copy", unix.O_CREAT|unix.O_RDWR, 0o644)
		from, to := int64(2), int64(5)
		n, err := unix.CopyFileRange(in, &from, out, &to, 100, 0)
		t.errno("copy", err, 0)
		same(t, "copied", n, 8)
		same(t, "offset", from, 10)
		same(t, "content", t.content("copy"), "\x00\x00\x00\x00\x0023456789")
		n, err = unix.CopyFileRange(in, &from, out, &to, 100, 0)
		t.errno("at the end", err, 0)
		same(t, "copied at the end", n, 0)
		from, to = 0, 5
		_, err = unix.CopyFileRange(out, &from, out, &to, 10, 0)
		t.errno("onto itself", err, unix.EINVAL)
		_, err = unix.CopyFileRange(out, &from, in, &to, 1, 0)
		t.errno("into a reader", err, unix.EBADF)
		_, err = unix.CopyFileRange(in, nil, out, nil, 1, 1)
		t.errno("an unknown flag", err, unix.EINVAL)
	}},
	{Call: "copy_file_range", Rule: "a large file", Run: func(t *T) {
		b := bytes.Repeat([]byte("0123456789abcdef"), 5<<20>>4)
		t.must(os.WriteFile(t.at("big"), b, 0o644))
		in, out := t.open("big", unix.O_RDONLY, 0), t.open("copy", unix.O_CREAT|unix.O_WRONLY, 0o644)
		for {
			n, err := unix.CopyFileRange(in, nil, out, nil, 1<<30, 0)
			t.errno("copy", err, 0)
			if n <= 0 {
				break
			}
		}
		same(t, "content", t.content("copy") == string(b), true)
	}},
}

var mapCases = []Case{
	{Call: "mmap", Rule: "a shared map is the file", Run: func(t *T) {
		fd := t.open("file", unix.O_RDWR, 0)
		m, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		t.must(err)
		t.close(fd)
		t.must(setTimes(t, "file", at(5, 0), at(5, 0)))
		m[3] = 'X'
		t.errno("msync", unix.Msync(m, unix.MS_SYNC), 0)
		same(t, "through the map", t.content("file"), "012X456789")
		same(t, "mtime moved", t.stat("file").Mtim.Sec > 5, true)
		w := t.open("file", unix.O_WRONLY, 0)
		unix.Pwrite(w, []byte("Y"), 4)
		same(t, "in the map", m[4], 'Y')
		t.errno("munmap", unix.Munmap(m), 0)
	}},
	{Call: "mmap", Rule: "a private map is not", Run: func(t *T) {
		fd := t.open("file", unix.O_RDONLY, 0)
		m, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
		t.must(err)
		m[0] = 'X'
		same(t, "file", t.content("file"), "0123456789")
		same(t, "after the end", m[11], 0)
		unix.Munmap(m)
		_, err = unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		t.errno("shared and writable of a reader", err, unix.EACCES)
	}},
	{Call: "mmap", Rule: "truncate cuts it", Run: func(t *T) {
		t.write("file", strings.Repeat("x", 8192))
		fd := t.open("file", unix.O_RDWR, 0)
		m, err := unix.Mmap(fd, 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		t.must(err)
		m[8000] = 'y'
		t.must(unix.Ftruncate(fd, 100))
		same(t, "behind the end", m[200], 0)
		t.must(unix.Ftruncate(fd, 8192))
		same(t, "grown again", m[8000], 0)
		m[8000] = 'z'
		unix.Munmap(m)
		same(t, "file", t.content("file") == strings.Repeat("x", 100)+string(make([]byte, 7900))+"z"+string(make([]byte, 191)), true)
	}},
}
