package main

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

// settling is how long the network may take to be what it becomes: addresses come and go one by one.
const settling = time.Second

// watchNetwork tells when the machine has other addresses than before, until ctx ends. events has something to read
// whenever that may be; it is closed.
func watchNetwork(ctx context.Context, events io.ReadCloser, addresses func() string, settling time.Duration, tell func()) {
	stop := context.AfterFunc(ctx, func() { events.Close() })
	defer stop()
	defer events.Close()
	was, buf := addresses(), make([]byte, 64<<10)
	for {
		// An error is that too much came at once, or the end.
		if _, err := events.Read(buf); err != nil && !tooMuch(err) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(settling):
		}
		if now := addresses(); now != was {
			was = now
			tell()
		}
	}
}

// ownAddresses are the machine's addresses by which others can be reached, as one text.
func ownAddresses() string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	var own []string
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			own = append(own, n.IP.String())
		}
	}
	slices.Sort(own)
	return strings.Join(own, " ")
}

// reconnect makes the connections of all drives anew.
func (d *daemon) reconnect() {
	d.log.Info("the machine's addresses have changed")
	d.drive.Reconnect()
	for _, bound := range d.bound.all() {
		bound.Reconnect()
	}
}
