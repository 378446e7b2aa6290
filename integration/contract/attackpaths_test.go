package contract

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// Attack paths are refused, and their sender is banned: by a server that bans
// this machine's own addresses, which the others do not.
func TestAttackPaths(t *testing.T) {
	shared := worldOf(t, "file")
	must(t, parts.UseBlobs(t.Context(), "file", ""))
	s, err := parts.NewServer("banning", "--ban-loopback", "--ban-time", "1h")
	must(t, err)
	must(t, s.Start(t.Context()))
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	nobody := &person{w: &world{server: s}}
	raw := func(addr, target string) int {
		c, err := net.Dial("tcp", addr)
		must(t, err)
		defer c.Close()
		_, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, addr)
		must(t, err)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		must(t, err)
		res.Body.Close()
		return res.StatusCode
	}
	for _, target := range []string{
		"/api/vfs/ls/home/../x", "/api/vfs/ls/home/%2e%2e/x", "/api/vfs/ls/home/%2e%2E%2fx", "/api/vfs/get/home/%252e%252e/x", `/api/vfs/ls/home/..\x`,
		"/api/vfs/ls/home/..%5cx", "/api/vfs/ls/home/a%255cb", "/api/vfs/ls/home/a%00b", "/api/vfs/ls/home/a%2500b", "/api/vfs/acl/grant/..",
	} {
		if got := raw(shared.server.Addr, target); got != 403 {
			t.Errorf("%s: %d", target, got)
		}
		shared.stranger().get(t, "/health").is(t, 200, "ok") // loopback is exempt
	}
	if got := raw(shared.server.Addr, "/api/vfs/ls/home/a\x00b"); got != 403 && got != 400 {
		t.Errorf("a raw NUL: %d", got)
	}
	for _, target := range []string{"/api/vfs/ls/home/..a", "/api/vfs/ls/home/...", "/api/vfs/ls/home/100%25.txt"} {
		if got := raw(shared.server.Addr, target); got != 401 {
			t.Errorf("%s, which is no attack: %d", target, got)
		}
	}
	if got := raw(s.Addr, "/api/vfs/ls/home/../x"); got != 403 {
		t.Errorf("an attack: %d", got)
	}
	if got := nobody.get(t, "/health"); got.status != 403 {
		t.Errorf("afterwards its sender gets %v", got)
	}
	out, err := s.Satcheld(t.Context(), "", "bans", "list")
	if err != nil || !strings.Contains(out, "127.0.0.1/32") {
		t.Errorf("bans list: %s %v", out, err)
	}
	_, err = s.Satcheld(t.Context(), "", "bans", "lift", "127.0.0.1")
	must(t, err)
	for end := time.Now().Add(30 * time.Second); nobody.get(t, "/health").status != 200; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a lifted ban stays")
		}
	}
	log, err := os.ReadFile(s.Log)
	if err != nil || !strings.Contains(string(log), "attack refused") {
		t.Errorf("attacks are not in the log: %v", err)
	}
}
