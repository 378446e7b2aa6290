package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxSize is how large the file grows, bytes.
const maxSize = 256 << 10

// content is a file and what it should be.
type content struct {
	path string
	fd   int // -1 = closed
	want []byte
}

func newContent(path string) (*content, error) {
	c := &content{path: path, fd: -1}
	return c, c.open(unix.O_CREAT | unix.O_TRUNC)
}

func (c *content) open(flags int) (err error) {
	if c.fd < 0 {
		c.fd, err = unix.Open(c.path, unix.O_RDWR|flags, 0o644)
	}
	return err
}

func (c *content) rest() error {
	if c.fd < 0 {
		return nil
	}
	err := unix.Close(c.fd)
	c.fd = -1
	return err
}

func (c *content) step(r *rand.Rand) (string, error) {
	if err := c.open(0); err != nil {
		return "open", err
	}
	off, n := r.IntN(maxSize), 1+r.IntN(32<<10)
	n = min(n, maxSize-off)
	ways := []struct {
		name string
		do   func(off, n int, r *rand.Rand) error
	}{
		{"write", c.write}, {"write", c.write}, {"read", c.read}, {"read", c.read}, {"append", c.append}, {"truncate", c.truncate}, {"map", c.mapped},
		{"punch", c.punch}, {"zero", c.zero}, {"copy", c.copy}, {"direct write", c.directWrite}, {"direct read", c.directRead}, {"allocate", c.allocate},
		{"sync", func(int, int, *rand.Rand) error { return unix.Fsync(c.fd) }},
		{"reopen", func(int, int, *rand.Rand) error { return errors.Join(c.rest(), c.open(0)) }},
		{"data", c.data},
	}
	w := ways[r.IntN(len(ways))]
	what := fmt.Sprintf("%s %d bytes at %d of %d", w.name, n, off, len(c.want))
	if err := w.do(off, n, r); err != nil {
		return what, err
	}
	var st unix.Stat_t
	if err := unix.Stat(c.path, &st); err != nil || st.Size != int64(len(c.want)) {
		return what, fmt.Errorf("size %d, not %d (%v)", st.Size, len(c.want), err)
	}
	return what, nil
}

// reach makes the model at least n long.
func (c *content) reach(n int) {
	if n > len(c.want) {
		c.want = append(c.want, make([]byte, n-len(c.want))...)
	}
}

func random(b []byte, r *rand.Rand) []byte {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func all(n, want int, err error) error {
	if err == nil && n != want {
		err = fmt.Errorf("%d bytes of %d", n, want)
	}
	return err
}

func (c *content) write(off, n int, r *rand.Rand) error {
	b := random(make([]byte, n), r)
	c.reach(off + n)
	copy(c.want[off:], b)
	got, err := unix.Pwrite(c.fd, b, int64(off))
	return all(got, n, err)
}

func (c *content) append(_, n int, r *rand.Rand) error {
	n = min(n, maxSize-len(c.want))
	b := random(make([]byte, n), r)
	fd, err := unix.Open(c.path, unix.O_WRONLY|unix.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	c.want = append(c.want, b...)
	got, err := unix.Write(fd, b)
	return all(got, n, err)
}

func (c *content) compare(b []byte, off int) error {
	want := c.want[min(off, len(c.want)):min(off+len(b), len(c.want))]
	if bytes.Equal(b, want) {
		return nil
	}
	for i := range min(len(b), len(want)) {
		if b[i] != want[i] {
			return fmt.Errorf("at %d is %#x, not %#x", off+i, b[i], want[i])
		}
	}
	return fmt.Errorf("%d bytes at %d, not %d", len(b), off, len(want))
}

func (c *content) read(off, n int, _ *rand.Rand) error {
	b := make([]byte, n)
	got, err := unix.Pread(c.fd, b, int64(off))
	if err != nil {
		return err
	}
	return c.compare(b[:got], off)
}

func (c *content) truncate(off, _ int, r *rand.Rand) error {
	c.reach(off)
	c.want = c.want[:off:off]
	if r.IntN(2) == 0 {
		return unix.Truncate(c.path, int64(off))
	}
	return unix.Ftruncate(c.fd, int64(off))
}

// mapped stores through a shared map, which lives on after the handle, and reads through it.
func (c *content) mapped(off, n int, r *rand.Rand) error {
	if len(c.want) == 0 {
		return nil
	}
	m, err := unix.Mmap(c.fd, 0, len(c.want), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	if r.IntN(4) == 0 {
		if err := c.rest(); err != nil {
			return err
		}
	}
	off %= len(c.want)
	n = min(n, len(c.want)-off)
	random(m[off:off+n], r)
	copy(c.want[off:], m[off:off+n])
	err = c.compare(m, 0)
	if r.IntN(2) == 0 {
		err = errors.Join(err, unix.Msync(m, unix.MS_SYNC))
	}
	return errors.Join(err, unix.Munmap(m))
}

func (c *content) clear(off, n int) {
	if off < len(c.want) {
		clear(c.want[off:min(off+n, len(c.want))])
	}
}

func (c *content) punch(off, n int, _ *rand.Rand) error {
	c.clear(off, n)
	return unix.Fallocate(c.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(off), int64(n))
}

func (c *content) zero(off, n int, _ *rand.Rand) error {
	c.reach(off + n)
	c.clear(off, n)
	return unix.Fallocate(c.fd, unix.FALLOC_FL_ZERO_RANGE, int64(off), int64(n))
}

func (c *content) allocate(off, n int, r *rand.Rand) error {
	if r.IntN(2) == 0 {
		return unix.Fallocate(c.fd, unix.FALLOC_FL_KEEP_SIZE, int64(off), int64(n))
	}
	c.reach(off + n)
	return unix.Fallocate(c.fd, 0, int64(off), int64(n))
}

func (c *content) copy(to, n int, r *rand.Rand) error {
	if len(c.want) == 0 {
		return nil
	}
	from := r.IntN(len(c.want))
	n = min(n, len(c.want)-from)
	if from < to+n && to < from+n {
		return nil // overlaps
	}
	b := bytes.Clone(c.want[from : from+n])
	c.reach(to + n)
	copy(c.want[to:], b)
	in, out := int64(from), int64(to)
	for n > 0 {
		got, err := unix.CopyFileRange(c.fd, &in, c.fd, &out, n, 0)
		if err != nil || got == 0 {
			return fmt.Errorf("copied %d: %w", got, err)
		}
		n -= got
	}
	return nil
}

const block = 4096

// direct opens the file for O_DIRECT and gives fn memory that it takes.
func (c *content) direct(n int, fn func(fd int, b []byte) error) error {
	fd, err := unix.Open(c.path, unix.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	b := make([]byte, n+block)
	skip := int(-uintptr(unsafe.Pointer(&b[0])) & (block - 1))
	return fn(fd, b[skip:skip+n])
}

func (c *content) directWrite(off, n int, r *rand.Rand) error {
	off, n = off/block*block, (n+block-1)/block*block
	return c.direct(n, func(fd int, b []byte) error {
		random(b, r)
		c.reach(off + n)
		copy(c.want[off:], b)
		got, err := unix.Pwrite(fd, b, int64(off))
		return all(got, n, err)
	})
}

func (c *content) directRead(off, n int, _ *rand.Rand) error {
	off, n = off/block*block, (n+block-1)/block*block
	return c.direct(n, func(fd int, b []byte) error {
		got, err := unix.Pread(fd, b, int64(off))
		if err != nil {
			return err
		}
		return c.compare(b[:got], off)
	})
}

// data checks that all that is not zero is in what SEEK_DATA calls data.
func (c *content) data(off, _ int, _ *rand.Rand) error {
	if off >= len(c.want) {
		return nil
	}
	at, err := unix.Seek(c.fd, int64(off), unix.SEEK_DATA)
	if err == unix.ENXIO {
		at, err = int64(len(c.want)), nil
	}
	if err != nil {
		return err
	}
	if at < int64(off) || len(bytes.Trim(c.want[off:min(int(at), len(c.want))], "\x00")) > 0 {
		return fmt.Errorf("the next data after %d shall be at %d, which is wrong", off, at)
	}
	return nil
}

func (c *content) check() error {
	if err := c.open(0); err != nil {
		return err
	}
	return errors.Join(c.read(0, maxSize, nil), c.rest())
}
