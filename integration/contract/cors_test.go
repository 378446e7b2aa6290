package contract

import (
	"slices"
	"strings"
	"testing"
)

// Pages of an origin that --cors-origin names use the APIs with tokens, and
// never with the cookie of whoever is logged in; pages of others do neither.
func TestCORS(t *testing.T) {
	must(t, parts.UseBlobs(t.Context(), "file", ""))
	s, err := parts.NewServer("cors", "--open-signup", "--cors-origin", "https://app.example.org", "--cors-origin", "http://localhost:3000")
	must(t, err)
	must(t, s.Start(t.Context()))
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	p := (&world{server: s}).newPerson(t)
	p.store(t, "a", "content")
	nobody := p.w.stranger()
	for _, origin := range []string{"https://app.example.org", "http://localhost:3000"} {
		ask := nobody.send(t, "OPTIONS", "/rpc/store_file", object{"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,file-path"}, nil)
		if ask.status != 204 || ask.header.Get("Access-Control-Allow-Origin") != origin || !strings.Contains(ask.header.Get("Access-Control-Allow-Methods"), "POST") ||
			ask.header.Get("Access-Control-Allow-Headers") != "authorization,file-path" || ask.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s asks: %v %v", origin, ask, ask.header)
		}
		got := p.send(t, "GET", "/rpc/retrieve_file?p_file_path=a", object{"Origin": origin, "Sec-Fetch-Site": "cross-site"}, nil)
		got.is(t, 200, "content")
		if got.header.Get("Access-Control-Allow-Origin") != origin || !strings.Contains(strings.Join(got.header.Values("Vary"), ","), "Origin") || !strings.Contains(got.header.Get("Access-Control-Expose-Headers"), "ETag") {
			t.Errorf("%s: %v", origin, got.header)
		}
		// What a tus client must read to go on.
		begun := p.send(t, "POST", "/uploads", object{"Origin": origin, "Sec-Fetch-Site": "cross-site", "Tus-Resumable": "1.0.0", "Upload-Length": "1", "Upload-Metadata": "path dXA="}, nil)
		begun.is(t, 201, "")
		for _, name := range []string{"Location", "Tus-Resumable", "Upload-Offset", "Upload-Expires", "Upload-Length", "Satchel-Next", "DAV"} {
			if !slices.Contains(strings.Split(begun.header.Get("Access-Control-Expose-Headers"), ", "), name) {
				t.Errorf("%s may not read %s", origin, name)
			}
		}
		p.send(t, "POST", "/rpc/store_file", object{"Origin": origin, "Sec-Fetch-Site": "cross-site", "File-Path": "b"}, "by a page").is(t, 200, "")
		p.send(t, "POST", "/rpc/store_file", object{"Origin": origin, "Sec-Fetch-Site": "cross-site", "File-Path": "c", "Cookie": p.cookie}, "by a cookie").fails(t, 401, "")
		p.send(t, "GET", "/files", object{"Origin": origin, "Cookie": p.cookie}, nil).fails(t, 401, "")
	}
	for _, origin := range []string{"https://evil.example", "https://app.example.org.evil.example", "http://app.example.org", "https://app.example.org:8443", "null"} {
		got := p.send(t, "GET", "/files", object{"Origin": origin}, nil)
		if got.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s may read answers: %v", origin, got.header)
		}
		p.send(t, "POST", "/rpc/store_file", object{"Origin": origin, "Sec-Fetch-Site": "cross-site", "File-Path": "d"}, "x").fails(t, 403, "")
	}
	if got := p.paths(t, "order=file_path"); got != "a b" {
		t.Errorf("the files are %s", got)
	}
	if _, err := s.Satcheld(t.Context(), "", "serve", "--cors-origin", "app.example.org/page"); err == nil || !strings.Contains(err.Error(), "no origin such as") {
		t.Errorf("what is no origin: %v", err)
	}
}
