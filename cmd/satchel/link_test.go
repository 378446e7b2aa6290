package main

import (
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// link is a slow line to a server, for scenarios: it is at $LINK.
type link struct {
	listener net.Listener
	to       string

	mu     sync.Mutex
	change sync.Cond
	rate   int64 // bytes a second to the client; 0 = as many as come
	left   int64 // bytes until it stalls; <0: it does not
	passed int64
	conns  []net.Conn
	closed bool
}

func newLink(to string) (*link, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	k := &link{listener: l, to: to, left: -1}
	k.change.L = &k.mu
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go k.carry(c)
		}
	}()
	return k, nil
}

func (k *link) carry(c net.Conn) {
	s, err := net.Dial("tcp", k.to)
	if err != nil {
		c.Close()
		return
	}
	k.mu.Lock()
	k.conns = append(k.conns, c, s)
	k.mu.Unlock()
	go func() {
		io.Copy(s, c)
		s.Close()
	}()
	defer c.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := s.Read(buf)
		for sent := 0; sent < n; {
			part := k.take(int64(n - sent))
			if part == 0 {
				return
			}
			if _, err := c.Write(buf[sent : sent+int(part)]); err != nil {
				return
			}
			sent += int(part)
		}
		if err != nil {
			return
		}
	}
}

// take waits until some of n bytes may pass; 0: the link is closed.
func (k *link) take(n int64) int64 {
	k.mu.Lock()
	for k.left == 0 && !k.closed {
		k.change.Wait()
	}
	if k.closed {
		k.mu.Unlock()
		return 0
	}
	if k.left > 0 {
		n = min(n, k.left)
		k.left -= n
	}
	k.passed += n
	rate := k.rate
	k.mu.Unlock()
	if rate > 0 {
		time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
	}
	return n
}

func (k *link) close() {
	k.listener.Close()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	k.change.Broadcast()
	for _, c := range k.conns {
		c.Close()
	}
}

// linkCmd is the scenario's command: link rate N (bytes a second) | link stall N
// (after as many bytes) | link free | link passed MAX (since the last of these).
func linkCmd(ts *testscript.TestScript, neg bool, args []string) {
	k := ts.Value("link").(*link)
	n := int64(0)
	if len(args) == 2 {
		var err error
		n, err = strconv.ParseInt(args[1], 10, 64)
		ts.Check(err)
	} else if len(args) != 1 || args[0] != "free" {
		ts.Fatalf("usage: link rate N|stall N|free|passed MAX")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	passed := k.passed
	if args[0] != "passed" {
		k.rate, k.left, k.passed = 0, -1, 0
	}
	switch args[0] {
	case "rate":
		k.rate = n
	case "stall":
		k.left = n
	case "passed":
		if passed > n {
			ts.Fatalf("%d bytes passed, more than %d", passed, n)
		}
	}
	k.change.Broadcast()
}
