package contract

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestOversizedBodies: what is not content has a bound, and a claim of a huge
// one is refused before it is sent.
func TestOversizedBodies(t *testing.T) {
	w := worldOf(t, "siege")
	s := newSiege(t, w)
	huge := strings.Repeat(" ", 40<<20)
	for _, o := range describedOperations(t, w) {
		if o.bodyType != "application/json" || len(o.fields) == 0 || o.id == "rpc-logout" || o.id == "logout" {
			continue
		}
		c := o.baseline(s.values)
		req, err := http.NewRequestWithContext(t.Context(), o.method, w.server.URL+c.url(nil), io.MultiReader(strings.NewReader(`{"a":"`), strings.NewReader(huge), strings.NewReader(`"}`)))
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+s.you.token)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil { // cut off while it was sent
			continue
		}
		res.Body.Close()
		if res.StatusCode/100 != 4 {
			t.Errorf("%s took a body of 40 MiB: %d", o.id, res.StatusCode)
		}
	}
	w.stranger().get(t, "/health").is(t, 200, "ok")
}

// TestSlowClients: many clients that stop in the middle of a request do not
// keep others from being served, and are not waited for forever.
func TestSlowClients(t *testing.T) {
	w := worldOf(t, "siege")
	p := w.newPerson(t)
	p.store(t, "a", "served")
	const clients = 200
	var heads, bodies []net.Conn
	defer func() {
		for _, c := range append(heads, bodies...) {
			c.Close()
		}
	}()
	for range clients {
		c, err := net.Dial("tcp", w.server.Addr)
		must(t, err)
		heads = append(heads, c)
		fmt.Fprintf(c, "GET /files HTTP/1.1\r\nHost: %s\r\nX-Slow: ", w.server.Addr)
		if c, err = net.Dial("tcp", w.server.Addr); err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, c)
		fmt.Fprintf(c, "POST /rpc/store_file HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nFile-Path: slow\r\nContent-Length: 1000\r\n\r\nx", w.server.Addr, p.token)
	}
	for range 10 {
		begin := time.Now()
		p.retrieve(t, "a").is(t, 200, "served")
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("beside %d slow clients a request took %v", 2*clients, took)
		}
	}
	// Whoever does not finish a head within 10 s is cut off.
	heads[0].SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.ReadAll(heads[0]); err != nil {
		t.Errorf("a client that stopped in its head: %v", err)
	}
	if got := p.paths(t, ""); got != "a" {
		t.Errorf("files are %s: half a body became one", got)
	}
}
