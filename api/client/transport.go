package client

import (
	"net"
	"net/http"
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
func newTransport() *http.Transport {
	dialer := &net.Dialer{
		Timeout:         10 * time.Second,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control: func(network, address string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) {
				// Without it (an odd network) keep-alive probes still find a dead peer.
				_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unacked.Milliseconds()))
			})
		},
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConns:        128,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
		Protocols:           protocols,
		WriteBufferSize:     64 << 10,
		ReadBufferSize:      64 << 10,
	}
}
