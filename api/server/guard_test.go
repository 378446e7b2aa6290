package server

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestStuckClient: who takes nothing of his answer, or sends nothing of his body, does not hold its handler for ever.
func TestStuckClient(t *testing.T) {
	s := newServer(Config{Log: slog.New(slog.DiscardHandler)})
	s.stall = 200 * time.Millisecond
	ended := make(chan error, 2)
	h := s.guarded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		if r.Method == http.MethodPost {
			_, err = io.ReadAll(r.Body)
		} else {
			for piece := make([]byte, 1<<20); err == nil; {
				_, err = w.Write(piece)
			}
		}
		ended <- err
	}))
	server := httptest.NewServer(h)
	defer server.Close()
	for _, request := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%.4s ended well", request)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%.4s goes on", request)
		}
	}
}
