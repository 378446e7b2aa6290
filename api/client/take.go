package client

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync"
)

// takeAtOnce is how many bytes Take gets at most.
const takeAtOnce = 256 << 10

var takeBuffers = sync.Pool{New: func() any { return new([takeAtOnce]byte) }}

// A contentBody is the body of content that is to be kept in a file. What it takes stays with the kernel until the file gets it;
// where that can't be (under TLS, at a bounded rate, on macOS), it is in memory meanwhile.
type contentBody struct {
	io.ReadCloser
	conn *wideConn // nil = all goes through memory
	pipe *pipe     // nil until the first Take
	buf  *[takeAtOnce]byte
	n    int // bytes taken, all of them in the pipe or all in buf
}

// traced is a context with which a request tells over which connection it goes.
func traced(ctx context.Context, conn **wideConn) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { *conn, _ = info.Conn.(*wideConn) },
	})
}

// newContentBody is the body of an answer that came over conn.
func newContentBody(resp *http.Response, conn *wideConn) *contentBody {
	if resp.ContentLength < 0 || resp.Uncompressed || conn != nil && conn.pool.slow { // its bytes are not the connection's, or come in small pieces
		conn = nil
	}
	return &contentBody{ReadCloser: resp.Body, conn: conn}
}

// Take reads once, up to n bytes, and adds them to what Put is to write. It reads nothing, without an error, while the kernel
// holds what was taken before, or where there is no room. Errors are those of Read.
func (b *contentBody) Take(n int) (took int, err error) {
	if b.buf == nil {
		b.buf = takeBuffers.Get().(*[takeAtOnce]byte)
		if b.conn != nil {
			b.pipe = newPipe(b.buf)
		}
	}
	if b.pipe != nil {
		if b.pipe.held > 0 {
			return 0, nil
		}
		b.conn.pipe.Store(b.pipe)
		defer b.conn.pipe.CompareAndSwap(b.pipe, nil) // at the end, the connection may be another's already
	}
	took, err = b.Read(b.buf[b.n:min(b.n+n, takeAtOnce)])
	b.n += took
	return took, err
}

// Put writes what Take got to f, from offset off on, and returns how many bytes f has now. Errors are f's own.
func (b *contentBody) Put(f *os.File, off int64) (n int, err error) {
	if b.pipe != nil {
		if n, err = b.pipe.put(f, off); err != nil {
			return n, err
		}
	}
	k, err := f.WriteAt(b.buf[n:b.n], off+int64(n))
	b.n = 0
	return n + k, err
}

// Close ends the request.
func (b *contentBody) Close() error {
	err := b.ReadCloser.Close()
	if b.pipe != nil {
		b.pipe.close()
	}
	if b.buf != nil {
		takeBuffers.Put(b.buf)
		b.buf, b.pipe = nil, nil
	}
	return err
}
