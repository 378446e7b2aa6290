package server

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"math"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"satchel/api"
	"satchel/api/auth"
	"satchel/storage"
)

// A Range of rows stays within what limit and offset allow.
func FuzzRows(f *testing.F) {
	f.Add("items=0-9", 0, 0)
	f.Add("5-", 3, 2)
	f.Add("9-5", 0, 0)
	f.Add("-5", 1, 1)
	f.Add("bytes=0-1", 7, 7)
	f.Fuzz(func(t *testing.T, header string, limit, offset int) {
		if limit < 0 || offset < 0 || limit > maxRows || offset > maxRows {
			return
		}
		req := tableRequest{query: storage.FileQuery{Limit: limit, Offset: offset}}
		if err := req.narrow(header); err != nil {
			if api.KindOf(err) != api.Invalid {
				t.Fatalf("%q is refused with kind %s", header, api.KindOf(err))
			}
			return
		}
		if q := req.query; q.Offset < offset || q.Offset > offset+maxRows || limit > 0 && (q.Limit > limit || q.Limit <= 0) || q.Limit < 0 {
			t.Fatalf("%q makes %d from %d of %d from %d", header, q.Limit, q.Offset, limit, offset)
		}
	})
}

// Text in headers comes as it was meant, by all the ways to write it there.
func FuzzHeaderText(f *testing.F) {
	for _, s := range []string{"plain.txt", "100%25.txt", "caf\u00e9", "caf%C3%A9", "%", "%ff", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := headerText(s)
		if decoded, err := url.PathUnescape(s); got != s && (err != nil || got != decoded) {
			t.Fatalf("%q became %q", s, got)
		}
		if utf8.ValidString(s) && headerText(url.PathEscape(s)) != s && strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) {
			t.Fatalf("%q, escaped, became %q", s, headerText(url.PathEscape(s)))
		}
		path, err := filePath(got)
		if err == nil && (len(path) == 0 || strings.HasSuffix(got, "/")) {
			t.Fatalf("%q names a file", got)
		}
	})
}

// What an upload says of itself is what was coded, and nothing is said twice.
func FuzzTusMetadata(f *testing.F) {
	f.Add("path bm90ZXMvdHVzLnR4dA==,description")
	f.Add("a eA==, a eA==")
	f.Add(" , b !")
	f.Fuzz(func(t *testing.T, header string) {
		fields, err := tusMetadata(header)
		if err != nil {
			return
		}
		var pairs []string
		for key, value := range fields {
			if key == "" || !utf8.ValidString(key) || !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
				t.Fatalf("%q has %q: %q", header, key, value)
			}
			pairs = append(pairs, key+" "+base64.StdEncoding.EncodeToString([]byte(value)))
		}
		if len(pairs) > strings.Count(header, ",")+1 {
			t.Fatalf("%q has %d fields", header, len(pairs))
		}
		again, err := tusMetadata(strings.Join(pairs, ","))
		if err != nil || len(again) != len(fields) {
			t.Fatalf("%q was written as %q: %v", header, pairs, err)
		}
		for key, value := range fields {
			if again[key] != value {
				t.Fatalf("%q of %q became %q", value, key, again[key])
			}
		}
	})
}

// The files of a form have the content that mime/multipart's own form has, and
// names that are one name.
func FuzzForm(f *testing.F) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.SetBoundary("b"); err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"a.txt", `C:\dir\b.txt`, "../c", "d\r\ne", ".."} {
		part, err := w.CreateFormFile("file", name)
		if err == nil {
			_, err = io.WriteString(part, "content of "+name)
		}
		if err != nil {
			f.Fatal(err)
		}
	}
	w.Close()
	f.Add(b.Bytes())
	f.Add([]byte("--b\r\nContent-Disposition: form-data; filename*=utf-8''%2e%2e%2fx\r\n\r\nx\r\n--b--"))
	f.Add([]byte("--b\r\nContent-Disposition: form-data; filename=x\r\n\r\nbroken off"))
	f.Fuzz(func(t *testing.T, b []byte) {
		form := multipart.NewReader(bytes.NewReader(b), "b")
		sum := 0
		for {
			part, err := form.NextPart()
			if err != nil {
				break
			}
			name := uploadName(part)
			if strings.ContainsAny(string(name), `/\`) || cleanName(name) != name || strings.ContainsFunc(string(name), unicode.IsControl) {
				t.Fatalf("%q is a file's name", name)
			}
			content, err := io.ReadAll(formBody{part})
			if sum += len(content); sum > len(b) {
				t.Fatalf("%d bytes of content in %d", sum, len(b))
			}
			if err != nil && api.KindOf(err) != api.Invalid {
				// Whoever reads the part's headers has no better kind; nothing of it is stored.
				if _, known := err.(*api.Error); known {
					t.Fatalf("a form broke off with kind %s: %v", api.KindOf(err), err)
				}
				break
			}
		}
	})
}

// A settings file makes a bounded number of grants, each of which is one of the
// file's, and what is shown of them can be imported again.
func FuzzSettings(f *testing.F) {
	f.Add([]byte(`{"owner":"x","groups":[{"name":"g","members":["anonymous","01890a5d-ac96-774b-bcce-b302099a8057"]}],"acl":[{"path":"/a","permissions":["read"],"group":"g"},{"path":"/","permissions":["list"],"userId":"authenticated"}]}`))
	f.Add([]byte(`{"acl":[{"group":"none"}]}`))
	f.Add([]byte(`{"acl":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		read := func(b []byte) (in vfsSettings, err error) {
			r := httptest.NewRequest(http.MethodPut, "/", bytes.NewReader(b))
			return in, readSettings(httptest.NewRecorder(), r, &in)
		}
		in, err := read(b)
		if err != nil {
			if kind := api.KindOf(err); kind != api.Invalid && kind != api.TooLarge {
				t.Fatalf("refused with kind %s: %v", kind, err)
			}
			return
		}
		grants, err := in.grants()
		if err != nil {
			return
		}
		if len(grants) > maxGrants {
			t.Fatalf("%d grants", len(grants))
		}
		shown := vfsSettings{ACL: []vfsGrant{}}
		for _, g := range grants {
			if g.Permissions&^api.AllPermissions != 0 || !slices.ContainsFunc(in.ACL, func(e vfsGrant) bool { return e.Path == g.Path && e.Permissions == g.Permissions }) {
				t.Fatalf("%+v is not in %s", g, b)
			}
			shown.ACL = append(shown.ACL, vfsGrant{Grant: g})
		}
		text, err := json.Marshal(shown)
		if err != nil {
			t.Fatal(err)
		}
		second, err := read(text)
		if err != nil {
			t.Fatalf("%s can't be imported: %v", text, err)
		}
		if again, err := second.grants(); err != nil || !slices.Equal(again, grants) {
			t.Fatalf("%+v became %+v, %v", grants, again, err)
		}
	})
}

// Groups multiply what a small file asks for.
func TestGrantsOfGroupsAreBounded(t *testing.T) {
	in := vfsSettings{Groups: []vfsGroup{{"g", make([]string, maxGrants/10)}}, ACL: slices.Repeat([]vfsGrant{{Group: "g"}}, 10)}
	if grants, err := in.grants(); err != nil || len(grants) != maxGrants {
		t.Errorf("%d grants: %d, %v", maxGrants, len(grants), err)
	}
	in.ACL = append(in.ACL, vfsGrant{})
	if _, err := in.grants(); api.KindOf(err) != api.TooLarge {
		t.Errorf("one more: %v", err)
	}
}

// However a path leads to a link, its secret is in no log.
func FuzzLoggedPath(f *testing.F) {
	for _, s := range []string{"/s/%s/a", "//s/%s", "/x/../s/%s/", "/s/./%s", "/s//%s/b", "/browse/%s"} {
		f.Add(strings.ReplaceAll(s, "%s", "TOKEN"))
	}
	mux := http.NewServeMux()
	var token string
	mux.HandleFunc("/s/{token}/{path...}", func(_ http.ResponseWriter, r *http.Request) { token = r.PathValue("token") })
	mux.HandleFunc("/s/{token}", func(_ http.ResponseWriter, r *http.Request) { token = r.PathValue("token") })
	f.Fuzz(func(t *testing.T, path string) {
		token = ""
		r := &http.Request{Method: http.MethodGet, Host: "h", URL: &url.URL{Path: path}, RequestURI: path, Header: http.Header{}}
		for range 3 { // as a client follows the mux's redirects
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			to, err := url.Parse(w.Header().Get("Location"))
			if err != nil || w.Code/100 != 3 {
				break
			}
			r.URL, r.RequestURI = to, to.EscapedPath()
		}
		if token == "" || len(token) < 3 {
			return
		}
		// What follows the token may be the same text; it is no secret.
		logged := loggedPath(path)
		if before, _, _ := strings.Cut(logged, "…"); !strings.HasPrefix(logged, "/s/…") || strings.Contains(before, token) {
			t.Fatalf("%q leads to the link %q and is logged as %q", path, token, logged)
		}
	})
}

// A path is the same after a page has made a link of it, and a form text.
func FuzzPagePath(f *testing.F) {
	f.Add("a b/caf\u00e9/%2F?#")
	f.Add("\xff/\U0010F780")
	f.Fuzz(func(t *testing.T, s string) {
		names, err := api.ParsePath(s)
		if err != nil {
			return
		}
		escaped, ok := strings.CutPrefix(pathURL("/browse/", names), "/browse/")
		raw, err := url.PathUnescape(escaped)
		if !ok || err != nil || raw != api.JoinPath(names) || strings.ContainsAny(escaped, "?#\"<> ") {
			t.Fatalf("%q is linked as %q", s, escaped)
		}
		if again, err := webPath(webText(names)); err != nil || !slices.Equal(again, names) {
			t.Fatalf("%q is the text %q, which is %q, %v", s, webText(names), again, err)
		}
	})
}

// Where a request says that it comes from is an address, in one form.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "10.0.0.1, ::ffff:192.0.2.1", "[2001:db8::1%eth0]:80", "unknown", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		b := &bans{config: BanConfig{AddressHeader: "X-Forwarded-For"}}
		from := b.address(&http.Request{RemoteAddr: "127.0.0.1:1", Header: http.Header{"X-Forwarded-For": {header}}})
		if !from.IsValid() {
			return
		}
		if from != from.Unmap() || !auth.Network(from).Contains(from.WithZone("")) {
			t.Fatalf("%q is %s, in %s", header, from, auth.Network(from))
		}
		last := strings.TrimSpace(header[strings.LastIndexByte(header, ',')+1:])
		port, err1 := netip.ParseAddrPort(last)
		plain, err2 := netip.ParseAddr(last)
		if (err1 != nil || port.Addr().Unmap() != from) && (err2 != nil || plain.Unmap() != from) {
			t.Fatalf("%q is %s", header, from)
		}
	})
}

// What admins ask for is bounded, and a cursor leads to where it says.
func FuzzAdminQuery(f *testing.F) {
	f.Add("min=20MB&max=1.5G&since=2026-01-02&until=2026-01-02&limit=5&name=a%00")
	f.Add("after=01890a5d-ac96-774b-bcce-b302099a8057~01890a5d-ac96-774b-bcce-b302099a8058")
	f.Add("after=2026-01-02T00:00:00Z~01890a5d-ac96-774b-bcce-b302099a8057&action=x")
	f.Add("min=1e300&max=NaN&limit=-1")
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		if n, err := parseSize(values.Get("min")); err == nil && (n < 0 || n == math.MaxInt64) {
			t.Fatalf("%q is %d bytes", query, n)
		}
		if n, err := strconv.ParseInt(values.Get("min"), 10, 52); err == nil && n >= 0 {
			if got, err := parseSize(values.Get("min")); err != nil || got != n {
				t.Fatalf("%q is %d bytes, %v", query, got, err)
			}
		}
		if q, err := eventQuery(values); err == nil {
			if q.Limit < 1 || q.Limit > maxAdminPage || len(q.Text) > 3000 || strings.ContainsRune(q.Text+q.Action+q.Actor, 0) || !utf8.ValidString(q.Text) {
				t.Fatalf("%q asks for %+v", query, q)
			}
		}
		if _, kind, limit, offset, err := loginFilter(values); err == nil && (limit < 1 || limit > maxAdminPage || offset < 0 || !loginKinds[kind]) {
			t.Fatalf("%q asks for %d from %d", query, limit, offset)
		}
	})
}
