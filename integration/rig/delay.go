package rig

import (
	"io"
	"net"
	"sync"
	"time"
)

// Delay is a TCP proxy on this machine that makes a server seem far away: every byte arrives half a round
// trip later, in either direction, and a new connection takes one round trip more, as its handshake would.
// It does not limit how much passes.
type Delay struct {
	URL string // in place of the server's

	listener net.Listener
	to       string
	trip     time.Duration
	mu       sync.Mutex
	conns    map[net.Conn]bool
	wg       sync.WaitGroup
}

// NewDelay puts a server at a distance of so long a round trip.
func NewDelay(s *Server, trip time.Duration) (*Delay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &Delay{URL: "http://" + l.Addr().String(), listener: l, to: s.Addr, trip: trip, conns: map[net.Conn]bool{}}
	d.wg.Go(d.accept)
	return d, nil
}

// Close ends the proxy and cuts its connections.
func (d *Delay) Close() error {
	err := d.listener.Close()
	d.mu.Lock()
	for c := range d.conns {
		c.Close()
	}
	d.conns = nil
	d.mu.Unlock()
	d.wg.Wait()
	return err
}

// keep notes a connection for Close; false when that was called already.
func (d *Delay) keep(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conns == nil {
		c.Close()
		return false
	}
	d.conns[c] = true
	return true
}

func (d *Delay) drop(c net.Conn) {
	c.Close()
	d.mu.Lock()
	delete(d.conns, c)
	d.mu.Unlock()
}

func (d *Delay) accept() {
	for {
		near, err := d.listener.Accept()
		if err != nil {
			return
		}
		if !d.keep(near) {
			return
		}
		d.wg.Go(func() {
			defer d.drop(near)
			time.Sleep(d.trip)
			far, err := net.Dial("tcp", d.to)
			if err != nil || !d.keep(far) {
				return
			}
			defer d.drop(far)
			var both sync.WaitGroup
			both.Go(func() { d.carry(far, near) })
			both.Go(func() { d.carry(near, far) })
			both.Wait()
		})
	}
}

// parcel is bytes on their way.
type parcel struct {
	data []byte
	due  time.Time
}

// carry moves what comes from one end to the other, half a round trip later.
func (d *Delay) carry(to, from net.Conn) {
	way := make(chan parcel, 4096)
	go func() {
		defer close(way)
		for {
			buf := make([]byte, 64<<10)
			n, err := from.Read(buf)
			if n > 0 {
				way <- parcel{buf[:n], time.Now().Add(d.trip / 2)}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range way {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.data); err != nil {
			from.Close() // its reader ends
			for range way {
			}
			return
		}
	}
	if c, ok := to.(*net.TCPConn); ok {
		c.CloseWrite()
	} else {
		to.(io.Closer).Close()
	}
}
