package client

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unacked is how long sent bytes may stay unacknowledged before the kernel
// gives the connection up (TCP_USER_TIMEOUT, RFC 5482); probes of an idle one
// take as long.
const unacked = 30 * time.Second

// newTransport is HTTP/1.1 with a large pool: many requests at once go over
// many connections, so that a film does not hold up a letter as it would
// within one HTTP/2 connection.
func newTransport() *pool {
	dialer := &net.Dialer{
		Timeout:         10 * time.Second,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control: func(network, address string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) {
				// Without it (an odd network) keep-alive probes still find a dead peer.
				_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, userTimeout, userTimeoutOf(unacked))
			})
		},
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	p := &pool{open: map[*wideConn]bool{}, here: net.InterfaceAddrs}
	p.Transport = &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return p.widely(dialer.DialContext(ctx, network, address))
		},
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConns:        128,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
		Protocols:           protocols,
		WriteBufferSize:     64 << 10,
		ReadBufferSize:      64 << 10,
	}
	return p
}

// wideConn is a connection that sends a body in larger pieces than the 32 KiB
// of [io.Copy]: on a fast link most of the cost is that of each piece. What it
// receives can go right into a file.
type wideConn struct {
	*net.TCPConn
	pool *pool
	pipe atomic.Pointer[pipe] // where a read may be meant to go
}

func (p *pool) widely(c net.Conn, err error) (net.Conn, error) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c, err
	}
	w := &wideConn{TCPConn: tcp, pool: p}
	p.mu.Lock()
	p.open[w] = true
	p.mu.Unlock()
	return w, nil
}

// Close is that of [net.Conn].
func (c *wideConn) Close() error {
	c.pool.mu.Lock()
	delete(c.pool.open, c)
	c.pool.mu.Unlock()
	return c.TCPConn.Close()
}

// Read is that of [net.Conn].
func (c *wideConn) Read(p []byte) (int, error) {
	if l := c.pipe.Load(); l != nil && l.standsIn(p) {
		return l.read(c.TCPConn, p)
	}
	return c.TCPConn.Read(p)
}

var wideBuffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// ReadFrom is part of [io.ReaderFrom]; net/http sends bodies through it.
func (c *wideConn) ReadFrom(r io.Reader) (int64, error) {
	buf := wideBuffers.Get().(*[256 << 10]byte)
	defer wideBuffers.Put(buf)
	return io.CopyBuffer(onlyWriter{c.TCPConn}, r, buf[:])
}

// onlyWriter hides all that would make io.CopyBuffer leave its buffer unused.
type onlyWriter struct{ io.Writer }
