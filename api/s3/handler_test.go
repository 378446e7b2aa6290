package s3

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"satchel/api"
)

// TestContinue shows that who expects "100 Continue" gets it also where there is no body
// to continue with, and whatever the answer.
func TestContinue(t *testing.T) {
	h := &Handler{Fault: func(error) Fault { return Fault{Status: 405} }}
	refusing := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.Refuse(w, r, api.Errorf(api.Unavailable, "busy")) })
	for name, handler := range map[string]http.Handler{"served": h, "refused": refusing} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(handler)
			defer server.Close()
			c, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, "PUT / HTTP/1.1\r\nHost: s3\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n")
			answers := bufio.NewReader(c)
			for _, want := range []int{100, 405} {
				res, err := http.ReadResponse(answers, nil)
				if err != nil {
					t.Fatal(err)
				}
				if res.StatusCode != want {
					t.Fatalf("the answer is %s, not %d", res.Status, want)
				}
			}
		})
	}
}
