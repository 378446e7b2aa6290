package client

import (
	"net"
	"net/http"
	"testing"
	"time"

	"satchel/api"
)

// A call over a connection from an address that the machine has lost ends or is made anew at once, and the next one goes
// another way; while the address is there, calls go on.
func TestStrandedConnections(t *testing.T) {
	for name, open := range map[string]func(*edge) *Client{
		"unlimited": func(e *edge) *Client { return e.client(t) },
		"limited": func(e *edge) *Client {
			c, err := New(e.URL, api.Credentials{Secret: "s3cret"}, NewHTTPClient(Rates{Up: 1 << 20, Down: 1 << 20}))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t)
			asked, release := make(chan bool, 8), make(chan bool)
			e.mux.HandleFunc("GET /v1/drives/home/changes", func(w http.ResponseWriter, r *http.Request) {
				asked <- true
				select {
				case <-release:
					answer(api.Changes{})(w, r)
				case <-r.Context().Done():
				}
			})
			e.mux.HandleFunc("GET /v1/whoami", answer(api.Credentials{Email: "ada@example.org"}))
			c := open(e)
			d := c.Drive("home")
			poll := func() <-chan error {
				done := make(chan error, 1)
				go func() {
					_, err := d.Changes(t.Context(), api.ID{}, epoch, 1, 20*time.Second)
					done <- err
				}()
				<-asked
				return done
			}
			end := func(done <-chan error) error {
				t.Helper()
				select {
				case err := <-done:
					return err
				case <-time.After(time.Minute):
					t.Fatal("the poll goes on")
					return nil
				}
			}

			done := poll()
			d.Reconnect() // the address is there
			release <- true
			if err := end(done); err != nil {
				t.Errorf("a connection that is good was cut: %v", err)
			}

			done = poll()
			p := poolOf(t, c)
			p.here = func() ([]net.Addr, error) {
				return []net.Addr{&net.IPNet{IP: net.IPv4(192, 0, 2, 1), Mask: net.CIDRMask(24, 32)}}, nil
			}
			d.Reconnect()
			select {
			case err := <-done:
				if api.KindOf(err) != api.Unavailable {
					t.Errorf("a stranded call: %v", err)
				}
			case <-asked: // net/http has made it anew, over another connection
				release <- true
				if err := end(done); err != nil {
					t.Errorf("a stranded call that was made anew: %v", err)
				}
			case <-time.After(time.Minute):
				t.Fatal("the stranded call goes on")
			}
			if who, err := c.Whoami(t.Context()); err != nil || who.Email != "ada@example.org" {
				t.Errorf("afterwards: %+v, %v", who, err)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.open) != 1 {
				t.Errorf("%d connections are known, want the new one", len(p.open))
			}
		})
	}
}

func poolOf(t *testing.T, c *Client) *pool {
	t.Helper()
	switch tr := c.http.Transport.(type) {
	case *pool:
		return tr
	case *limited:
		return tr.pool
	}
	t.Fatal("the client has no pool of ours")
	return nil
}
