package client

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"satchel/api"
)

// An upload that moves is no server that does not answer; one that has arrived without an answer is.
func TestSilenceOfUploads(t *testing.T) {
	release := make(chan struct{})
	slow := true
	e := newEdge(t)
	e.mux.HandleFunc("POST /v1/drives/home/packs", func(w http.ResponseWriter, r *http.Request) {
		if slow {
			for range 20 {
				io.CopyN(io.Discard, r.Body, 1<<20)
				time.Sleep(20 * time.Millisecond)
			}
			io.Copy(io.Discard, r.Body)
			return
		}
		io.Copy(io.Discard, r.Body)
		<-release
	})
	c := e.client(t)
	told := make(chan string, 1)
	ctx := WithSilence(t.Context(), func(server string) { told <- server })

	c.limits = limits{answer: time.Second, pack: 10 * time.Minute, body: time.Minute, quiet: 100 * time.Millisecond}
	if err := c.Drive("home").PutPack(ctx, make([]byte, 20<<20)); err != nil {
		t.Fatal(err)
	}
	if len(told) > 0 {
		t.Error("a server that takes an upload was said not to answer")
	}

	slow = false
	c.limits = limits{answer: time.Minute, pack: time.Minute, body: time.Minute, quiet: 100 * time.Millisecond}
	done := make(chan error)
	go func() { done <- c.Drive("home").PutPack(ctx, make([]byte, 20<<20)) }()
	select {
	case server := <-told:
		if server != c.server {
			t.Errorf("told of %s", server)
		}
	case <-time.After(time.Minute):
		t.Error("nothing was told of a server that took all and does not answer")
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// What a deadline says: that it was not all sent, or for how long there was no answer, which is never no time at all.
func TestDeadlines(t *testing.T) {
	e := newEdge(t)
	e.mux.HandleFunc("GET /v1/whoami", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	e.mux.HandleFunc("POST /v1/drives/home/packs", func(w http.ResponseWriter, r *http.Request) {
		for b := make([]byte, 64<<10); ; time.Sleep(10 * time.Millisecond) {
			if _, err := r.Body.Read(b); err != nil {
				return
			}
		}
	})
	c := e.client(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := c.Drive("home").PutPack(ctx, make([]byte, 64<<20))
	if api.KindOf(err) != api.Cancelled || !strings.Contains(err.Error(), "the time was over before all was sent to "+c.server) {
		t.Errorf("an upload: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = c.Whoami(ctx)
	if api.KindOf(err) != api.Cancelled || !strings.Contains(err.Error(), c.server+" does not answer: it was waited for ") || strings.Contains(err.Error(), "for 0s") {
		t.Errorf("no answer: %v", err)
	}
}
