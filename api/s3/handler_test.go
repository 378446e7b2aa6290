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
// to continue with, and whatever the answer, but for HTTP/1.0, which has no such answers.
func TestContinue(t *testing.T) {
	h := &Handler{Fault: func(error) Fault { return Fault{Status: 405} }}
	refusing := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.Refuse(w, r, api.Errorf(api.Unavailable, "busy")) })
	for name, handler := range map[string]http.Handler{"served": h, "refused": refusing} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(handler)
			defer server.Close()
			for version, answers := range map[string][]int{"1.0": {405}, "1.1": {100, 405}} {
				c, err := net.Dial("tcp", server.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				io.WriteString(c, "PUT / HTTP/"+version+"\r\nHost: s3\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n")
				in := bufio.NewReader(c)
				for _, want := range answers {
					res, err := http.ReadResponse(in, nil)
					if err != nil {
						t.Fatal(err)
					}
					if res.StatusCode != want {
						t.Fatalf("HTTP/%s: the answer is %s, not %d", version, res.Status, want)
					}
				}
			}
		})
	}
}

// An ACL that is empty asks for none.
func TestOffered(t *testing.T) {
	for acl, refused := range map[string]bool{"": false, "private": false, "public-read": true} {
		q := &request{r: &http.Request{Header: http.Header{"X-Amz-Acl": {acl}}}}
		if err := q.offered(); (err != nil) != refused {
			t.Errorf("the ACL %q: %v", acl, err)
		}
	}
	q := &request{r: &http.Request{Header: http.Header{"Content-Range": {"bytes 5-8/9"}}}}
	if err := q.offered(); err == nil {
		t.Error("a part of an object is taken for all of it")
	}
}
