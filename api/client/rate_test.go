package client

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// What passes slowly is whole, and takes at least as long as the rate says.
func TestRates(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 4<<10) // 64 KiB
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b, err := io.ReadAll(r.Body); err == nil { // whole, before the answer begins
			w.Write(b)
		}
	}))
	defer s.Close()
	for name, r := range map[string]Rates{"up": {Up: 128 << 10}, "down": {Down: 128 << 10}} {
		c := NewHTTPClient(r)
		start := time.Now()
		resp, err := c.Post(s.URL, "", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		c.CloseIdleConnections()
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		// 64 KiB at 128 KiB/s are half a second, but for what passes at once.
		if took := time.Since(start); took < 400*time.Millisecond {
			t.Errorf("%s: took %v", name, took)
		}
	}
}
