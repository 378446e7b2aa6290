package main

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// Only other addresses are a change of the network, and the end ends the watch.
func TestWatchNetwork(t *testing.T) {
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	var mu sync.Mutex
	now := "192.0.2.1"
	looked := make(chan string, 16)
	told := make(chan bool, 16)
	addresses := func() string {
		mu.Lock()
		defer mu.Unlock()
		looked <- now
		return now
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan bool)
	go func() {
		defer close(ended)
		watchNetwork(ctx, from, addresses, time.Millisecond, func() { told <- true })
	}()
	wait := func(what string, heard <-chan bool) {
		t.Helper()
		select {
		case <-heard:
		case <-time.After(time.Minute):
			t.Fatalf("%s: nothing is heard", what)
		}
	}
	<-looked
	event := func() {
		t.Helper()
		if _, err := to.WriteString("x"); err != nil {
			t.Fatal(err)
		}
		<-looked
	}
	event()
	event() // after the first one was compared
	if len(told) > 0 {
		t.Error("the same addresses were told as others")
	}
	mu.Lock()
	now = "198.51.100.7"
	mu.Unlock()
	event()
	wait("other addresses", told)
	cancel()
	wait("the end", ended)
}

// The system tells of changes, and the addresses are those by which others are reached.
func TestNetworkEvents(t *testing.T) {
	events, err := networkEvents()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan bool)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(ended)
		watchNetwork(ctx, events, ownAddresses, time.Millisecond, func() {})
	}()
	cancel()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("it waits for ever")
	}
	if own := ownAddresses(); strings.Contains(own, "127.0.0.1") || strings.Contains(own, "fe80") {
		t.Errorf("own addresses: %s", own)
	}
}
