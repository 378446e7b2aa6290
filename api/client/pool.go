package client

import (
	"net"
	"net/http"
	"sync"
)

// A pool is a transport that knows its connections.
type pool struct {
	*http.Transport
	slow bool                       // what comes is at a bounded rate
	here func() ([]net.Addr, error) // this machine's addresses; a seam for tests

	mu   sync.Mutex
	open map[*wideConn]bool
}

// dropStranded closes the connections from addresses that this machine has no more: nothing comes through them, and
// nobody would say so for half a minute.
func (p *pool) dropStranded() {
	here, err := p.here()
	if err != nil {
		return
	}
	p.mu.Lock()
	var stranded []*wideConn
	for c := range p.open {
		if from, ok := c.LocalAddr().(*net.TCPAddr); ok && !among(here, from.IP) {
			stranded = append(stranded, c)
		}
	}
	p.mu.Unlock()
	for _, c := range stranded {
		c.Close()
	}
}

// among tells whether an address is one of a machine's, which has all of 127.0.0.0/8.
func among(all []net.Addr, ip net.IP) bool {
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && (n.IP.Equal(ip) || n.IP.IsLoopback() && n.Contains(ip)) {
			return true
		}
	}
	return false
}
