package client

import (
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// A pipe is a way from a connection into a file past this process's memory: the kernel moves what has come into the
// pipe, and from there into the file (splice(2)). net/http reads into a buffer as ever, of which the connection
// knows that it stands for the pipe.
type pipe struct {
	r, w int
	buf  *[takeAtOnce]byte
	held int // bytes in it
}

// newPipe is nil where there is none to be had.
func newPipe(buf *[takeAtOnce]byte) *pipe {
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_CLOEXEC) != nil {
		return nil
	}
	// A connection's pages are small, and each takes a place, of which an ordinary user has 16,384 in all pipes (pipe(7)). Where
	// there are no more, less is moved at once.
	_, _ = unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, 2*takeAtOnce)
	return &pipe{r: fds[0], w: fds[1], buf: buf}
}

func (l *pipe) close() {
	unix.Close(l.r)
	unix.Close(l.w)
}

// standsIn tells whether a read into b is meant for the pipe.
func (l *pipe) standsIn(b []byte) bool { return len(b) > 0 && &b[0] == &l.buf[0] }

// read is a read of c into b, which stands for the pipe.
func (l *pipe) read(c *net.TCPConn, b []byte) (n int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	closed := raw.Read(func(fd uintptr) bool {
		n, err = splice(int(fd), l.w, nil, len(b))
		return err != unix.EAGAIN
	})
	switch {
	case closed != nil:
		return 0, closed
	case unable(err):
		return c.Read(b)
	case err != nil:
		return 0, &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("splice", err)}
	case n == 0:
		return 0, io.EOF
	}
	l.held = n
	return n, nil
}

// put moves what is in the pipe to f, from offset off on, and returns how much that was. For a file that can't, it leaves it
// in the buffer instead.
func (l *pipe) put(f *os.File, off int64) (moved int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	closed := raw.Control(func(fd uintptr) {
		for l.held > 0 && err == nil {
			at, n := off+int64(moved), 0
			if n, err = splice(l.r, int(fd), &at, l.held); n == 0 && err == nil {
				err = io.ErrShortWrite
			}
			moved += n
			l.held -= n
		}
	})
	switch {
	case closed != nil:
		return 0, closed
	case unable(err) && moved == 0:
		return 0, l.drain()
	case err != nil:
		err = &os.PathError{Op: "write", Path: f.Name(), Err: err}
	}
	return moved, err
}

// drain leaves what is in the pipe in the buffer: all of it, or there is an error.
func (l *pipe) drain() error {
	for at := 0; l.held > 0; {
		n, err := unix.Read(l.r, l.buf[at:at+l.held])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return os.NewSyscallError("read", err)
		case n == 0:
			return io.ErrUnexpectedEOF
		}
		at += n
		l.held -= n
	}
	return nil
}

// unable tells whether splice(2) can't do it at all: with this socket or file, on this kernel, or in this sandbox.
func unable(err error) bool {
	return err == unix.EINVAL || err == unix.ENOSYS || err == unix.EPERM || err == unix.EOPNOTSUPP
}

var sysSplice = unix.Splice // a seam for tests

// splice is splice(2), without an offset for a pipe, or from a socket.
func splice(from, to int, off *int64, n int) (int, error) {
	for {
		moved, err := sysSplice(from, nil, to, off, n, unix.SPLICE_F_NONBLOCK)
		if err != unix.EINTR {
			return int(max(moved, 0)), err
		}
	}
}
