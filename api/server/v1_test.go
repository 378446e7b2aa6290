package server

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/api/web"
)

// rawRequest sends bytes as they are.
func rawRequest(t *testing.T, f *fixture, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

// problems checks an error under /v1.
func (f *fixture) problem(a answerData, status int, kind api.Kind) {
	f.t.Helper()
	var p struct {
		Type, Title, Detail string
		Status              int
		Kind                api.Kind
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		f.t.Fatalf("problem %q: %v", a.body, err)
	}
	if a.status != status || p.Status != status || p.Kind != kind || p.Detail == "" || p.Title == "" || p.Type == "" || a.header.Get("Content-Type") != problemJSON {
		f.t.Errorf("%d %s (%s); want %d %s", a.status, a.body, a.header.Get("Content-Type"), status, kind)
	}
}

func into[T any](f *fixture, a answerData) T {
	f.t.Helper()
	var v T
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || a.status != 200 {
		f.t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return v
}

func TestV1Account(t *testing.T) {
	f := newFixture(t)
	c := into[api.Credentials](f, f.do(request{method: "POST", path: "/v1/login", body: api.Login{Email: alice, Password: password, Device: "laptop"}}))
	bearer := func(token string) map[string]string { return map[string]string{"Authorization": "Bearer " + token} }
	if c.Secret == "" || c.Role != "editor" || time.Until(c.Token.Expires) < time.Minute {
		t.Errorf("credentials = %+v", c)
	}
	token := into[api.Token](f, f.do(request{method: "POST", path: "/v1/token", body: map[string]string{"secret": c.Secret}}))
	who := into[api.Credentials](f, f.do(request{path: "/v1/whoami", header: bearer(token.Token)}))
	if who.User != c.User || who.Device != c.Device || who.Secret != "" || who.Token.Token != "" {
		t.Errorf("whoami = %+v", who)
	}
	other := into[api.Credentials](f, f.do(request{method: "POST", path: "/v1/login", body: api.Login{Email: alice, Password: password, Device: "phone"}}))
	devices := into[[]api.Device](f, f.do(request{path: "/v1/devices", header: bearer(token.Token)}))
	if len(devices) != 2 || devices[0].Current == devices[1].Current {
		t.Errorf("devices = %+v", devices)
	}
	if a := f.do(request{method: "DELETE", path: "/v1/devices/" + other.Device.String(), header: bearer(token.Token)}); a.status != 204 {
		t.Errorf("revoke = %d %s", a.status, a.body)
	}
	f.problem(f.do(request{path: "/v1/whoami", header: bearer(other.Token.Token)}), 401, api.Unauthenticated)
	f.problem(f.do(request{method: "POST", path: "/v1/token", body: map[string]string{"secret": other.Secret}}), 401, api.Unauthenticated)
	f.problem(f.do(request{method: "DELETE", path: "/v1/devices/" + other.Device.String(), header: bearer(token.Token)}), 404, api.NotFound)
	f.problem(f.do(request{method: "DELETE", path: "/v1/devices/" + c.Device.String(), as: bob}), 404, api.NotFound)
	if a := f.do(request{method: "POST", path: "/v1/logout", header: bearer(token.Token)}); a.status != 204 {
		t.Errorf("logout = %d %s", a.status, a.body)
	}
	f.problem(f.do(request{path: "/v1/whoami", header: bearer(token.Token)}), 401, api.Unauthenticated)
}

func TestV1Errors(t *testing.T) {
	f := newFixture(t)
	home := into[api.DriveInfo](f, f.do(request{path: "/v1/drives/home", as: alice}))
	theirs := "/v1/drives/" + home.ID.String()
	for _, tt := range []struct {
		name   string
		r      request
		status int
		kind   api.Kind
	}{
		{"wrong password", request{method: "POST", path: "/v1/login", body: api.Login{Email: alice, Password: "x"}}, 401, api.Unauthenticated},
		{"no JSON", request{method: "POST", path: "/v1/login", body: "{"}, 400, api.Invalid},
		{"no body", request{method: "POST", path: "/v1/login"}, 400, api.Invalid},
		{"another type", request{method: "POST", path: "/v1/login", body: "x", header: map[string]string{"Content-Type": "text/xml"}}, 400, api.Invalid},
		{"a body over its limit", request{method: "POST", path: "/v1/login", body: `"` + strings.Repeat("x", 1<<20)}, 413, api.TooLarge},
		{"nobody", request{path: "/v1/drives/home"}, 401, api.Unauthenticated},
		{"a bad token", request{path: "/v1/whoami", header: map[string]string{"Authorization": "Bearer x"}}, 401, api.Unauthenticated},
		{"a batch of nobody is not read", request{method: "POST", path: "/v1/drives/home/batches", body: "{"}, 401, api.Unauthenticated},
		{"an admin has no home", request{path: "/v1/drives/home", as: root}, 403, api.Permission},
		{"another's drive", request{path: theirs, as: bob}, 404, api.NotFound},
		{"another's drive for an admin", request{path: theirs, as: root}, 404, api.NotFound},
		{"another's root", request{path: theirs + "/nodes/" + home.Root.String(), as: bob}, 404, api.NotFound},
		{"another's root in one's own drive", request{path: "/v1/drives/home/nodes/" + home.Root.String(), as: bob}, 404, api.NotFound},
		{"another's changes", request{path: theirs + "/changes", as: bob}, 404, api.NotFound},
		{"listings of another's", request{method: "POST", path: theirs + "/listings", as: bob, body: map[string][]api.ID{"dirs": {home.Root}}}, 404, api.NotFound},
		{"listings for nobody", request{method: "POST", path: theirs + "/listings", body: map[string][]api.ID{"dirs": {home.Root}}}, 401, api.Unauthenticated},
		{"writing to another's", request{method: "POST", path: theirs + "/batches", as: bob, body: api.Batch{Incarnation: api.NewID(), Number: 1}}, 404, api.NotFound},
		{"no such drive", request{path: "/v1/drives/" + api.NewID().String(), as: alice}, 404, api.NotFound},
		{"no UUID", request{path: "/v1/drives/x", as: alice}, 400, api.Invalid},
		{"a node that is no UUID", request{path: "/v1/drives/home/nodes/x", as: alice}, 400, api.Invalid},
		{"no such node", request{path: "/v1/drives/home/nodes/" + api.NewID().String(), as: alice}, 404, api.NotFound},
		{"no such path", request{path: "/v1/drives/home/lookup?path=a/b", as: alice}, 404, api.NotFound},
		{"a path upwards", request{path: "/v1/drives/home/lookup?path=../x", as: alice}, 400, api.Invalid},
		{"a name too long", request{path: "/v1/drives/home/lookup?path=" + strings.Repeat("x", 256), as: alice}, 400, api.NameTooLong},
		{"content of a directory", request{path: "/v1/drives/home/nodes/" + home.Root.String() + "/content", as: alice}, 409, api.IsDirectory},
		{"an unknown epoch", request{path: "/v1/drives/home/changes?epoch=" + api.NewID().String(), as: alice}, 409, api.Resync},
		{"a cursor of the future", request{path: fmt.Sprintf("/v1/drives/home/changes?epoch=%s&after=%d", home.Epoch, 1000), as: alice}, 409, api.Resync},
		{"no pack", request{method: "POST", path: "/v1/drives/home/packs", as: alice, body: "x"}, 400, api.Invalid},
		{"too many hashes", request{method: "POST", path: "/v1/drives/home/missing", as: alice, body: map[string][]api.Hash{"hashes": make([]api.Hash, maxMissing+1)}}, 413, api.TooLarge},
		{"a method that is not allowed", request{method: "PUT", path: "/v1/login", body: "{}"}, 405, api.Invalid},
		{"nothing", request{path: "/v1/nothing", as: alice}, 404, api.NotFound},
	} {
		t.Run(tt.name, func(t *testing.T) { f.problem(f.do(tt.r), tt.status, tt.kind) })
	}
}

// commit sends one mutation of a new incarnation.
func (f *fixture) commit(as string, m ...api.Mutation) api.Committed {
	f.t.Helper()
	b := api.Batch{Incarnation: api.NewID(), Number: 1, Mutations: m}
	return into[api.Committed](f, f.do(request{method: "POST", path: "/v1/drives/home/batches", as: as, body: b}))
}

func TestV1Drive(t *testing.T) {
	f := newFixture(t)
	home := into[api.DriveInfo](f, f.do(request{path: "/v1/drives/home", as: alice}))
	again := into[api.DriveInfo](f, f.do(request{path: "/v1/drives/" + home.ID.String(), as: alice}))
	if again.Root != home.Root || home.Epoch.IsZero() {
		t.Errorf("home = %+v, then %+v", home, again)
	}
	if drives := into[[]api.DriveInfo](f, f.do(request{path: "/v1/drives", as: alice})); len(drives) != 1 || drives[0].ID != home.ID {
		t.Errorf("drives = %+v", drives)
	}
	if a := f.do(request{path: "/v1/drives", as: root}); strings.TrimSpace(a.body) != "[]" {
		t.Errorf("an admin's drives = %s", a.body)
	}

	content := []byte("hello, packs")
	h := api.Hash(sha256.Sum256(content))
	var pack chunk.PackWriter
	if err := pack.Add(h, content); err != nil {
		t.Fatal(err)
	}
	version := api.Version{ID: api.NewID(), Size: int64(len(content)), SHA256: h, Chunks: []api.Chunk{{Hash: h, Size: uint32(len(content))}}}
	missing := func() string {
		return f.do(request{method: "POST", path: "/v1/drives/home/missing", as: alice, body: map[string][]api.Hash{"hashes": {h}}}).body
	}
	if got := missing(); !strings.Contains(got, h.String()) {
		t.Errorf("missing before = %s", got)
	}
	stored := into[struct {
		Pack   api.ID
		Chunks int
	}](f, f.do(request{method: "POST", path: "/v1/drives/home/packs", as: alice, body: pack.Bytes(), header: map[string]string{"Content-Type": "application/octet-stream"}}))
	if stored.Chunks != 1 || stored.Pack.IsZero() {
		t.Errorf("pack = %+v", stored)
	}
	if got := strings.TrimSpace(missing()); got != `{"missing":[]}` {
		t.Errorf("missing after = %s", got)
	}

	dir, file := api.NewID(), api.NewID()
	odd := api.Name("odd \xff name")
	done := f.commit(alice,
		api.Mutation{Op: api.OpCreate, Node: dir, Parent: home.Root, Name: "dir", Attr: &api.Attr{Type: api.Directory}, Time: 1},
		api.Mutation{Op: api.OpCreate, Node: file, Parent: dir, Name: odd, Attr: &api.Attr{Type: api.File}, Version: &version, Time: 2})
	for i, o := range done.Outcomes {
		if o.Status != api.Applied {
			t.Errorf("outcome %d = %+v", i, o)
		}
	}
	list := into[api.Listing](f, f.do(request{path: "/v1/drives/home/nodes/" + dir.String() + "/children", as: alice}))
	if len(list.Entries) != 1 || list.Entries[0].Name != odd || len(list.Nodes) != 2 {
		t.Errorf("children = %+v", list)
	}
	after := into[api.Listing](f, f.do(request{path: "/v1/drives/home/nodes/" + dir.String() + "/children?limit=1&after=" + url.QueryEscape(odd.Escape()), as: alice}))
	if len(after.Entries) != 0 {
		t.Errorf("children after the last = %+v", after.Entries)
	}
	f.commit(alice, api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: dir, Name: "the next", Attr: &api.Attr{Type: api.Directory}, Time: 3})
	for query, next := range map[string]string{"": "", "?limit=1": url.QueryEscape(odd.Escape()), "?limit=1&after=" + url.QueryEscape(odd.Escape()): ""} {
		if got := f.do(request{path: "/v1/drives/home/nodes/" + dir.String() + "/children" + query, as: alice}).header.Get(api.NextHeader); got != next {
			t.Errorf("children%s: the next page begins after %q, not %q", query, got, next)
		}
	}
	together := func(limit int, dirs ...api.ID) answerData {
		return f.do(request{method: "POST", path: "/v1/drives/home/listings", as: alice, body: map[string]any{"dirs": dirs, "limit": limit}})
	}
	all := into[[]api.Listed](f, together(0, home.Root, dir, file))
	if len(all) != 3 || len(all[0].Entries) != 1 || len(all[1].Entries) != 2 || len(all[1].Nodes) != 3 || all[1].Entries[0].Name != odd || all[2].Problem != api.NotDirectory {
		t.Errorf("listings = %+v", all)
	}
	if cut := into[[]api.Listed](f, together(2, home.Root, dir, file)); len(cut) != 2 || cut[0].More || !cut[1].More || len(cut[1].Entries) != 1 {
		t.Errorf("listings with two entries = %+v", cut)
	}
	if none := together(0); none.status != 200 || strings.TrimSpace(none.body) != "[]" {
		t.Errorf("listings of nothing = %d %s", none.status, none.body)
	}
	f.problem(together(0, make([]api.ID, api.MaxListings+1)...), 413, api.TooLarge)
	node := into[api.Node](f, f.do(request{path: "/v1/drives/home/lookup?path=" + url.QueryEscape("dir/"+odd.Escape()), as: alice}))
	if node.ID != file || node.SHA256 != h {
		t.Errorf("lookup = %+v", node)
	}
	if got := into[api.Node](f, f.do(request{path: "/v1/drives/home/nodes/" + file.String(), as: alice})); got.ID != file {
		t.Errorf("node = %+v", got)
	}
	a := f.do(request{path: "/v1/drives/home/nodes/" + file.String() + "/content?version=" + version.ID.String(), as: alice, header: map[string]string{"Range": "bytes=7-11"}})
	if a.status != 206 || a.body != "packs" || a.header.Get("Etag") != `"`+h.String()+`"` {
		t.Errorf("content = %d %q %v", a.status, a.body, a.header)
	}
	f.problem(f.do(request{path: "/v1/drives/home/nodes/" + file.String() + "/content", as: alice, header: map[string]string{"Range": "bytes=99-"}}), 416, api.Invalid)
}

// A pack is refused whole if one chunk is not what its hash says.
func TestV1PackWithAWrongHash(t *testing.T) {
	f := newFixture(t)
	var pack chunk.PackWriter
	good := api.Hash(sha256.Sum256([]byte("good")))
	for _, add := range []struct {
		h    api.Hash
		data string
	}{{good, "good"}, {sha256.Sum256([]byte("other")), "bad"}} {
		if err := pack.Add(add.h, []byte(add.data)); err != nil {
			t.Fatal(err)
		}
	}
	bytes := pack.Bytes()
	f.problem(f.do(request{method: "POST", path: "/v1/drives/home/packs", as: alice, body: bytes}), 400, api.Invalid)
	a := f.do(request{method: "POST", path: "/v1/drives/home/missing", as: alice, body: map[string][]api.Hash{"hashes": {good}}})
	if !strings.Contains(a.body, good.String()) {
		t.Errorf("the good chunk of a refused pack is there: %s", a.body)
	}
}

func TestV1ChangesWait(t *testing.T) {
	f := newFixture(t)
	home := into[api.DriveInfo](f, f.do(request{path: "/v1/drives/home", as: alice}))
	poll := func(wait int) request {
		return request{path: fmt.Sprintf("/v1/drives/home/changes?epoch=%s&after=%d&wait=%d", home.Epoch, home.Seq, wait), as: alice}
	}
	f.token(alice)
	answers := make(chan answerData, 1)
	begin := time.Now()
	go func() { answers <- f.do(poll(30)) }()
	time.Sleep(200 * time.Millisecond)
	// Another login is another device.
	c := into[api.Credentials](f, f.do(request{method: "POST", path: "/v1/login", body: api.Login{Email: alice, Password: password}}))
	b := api.Batch{Incarnation: api.NewID(), Number: 1, Mutations: []api.Mutation{
		{Op: api.OpCreate, Node: api.NewID(), Parent: home.Root, Name: "new", Attr: &api.Attr{Type: api.Directory}, Time: 1},
	}}
	if a := f.do(request{method: "POST", path: "/v1/drives/home/batches", body: b, header: map[string]string{"Authorization": "Bearer " + c.Token.Token}}); a.status != 200 {
		t.Fatalf("commit = %d %s", a.status, a.body)
	}
	changes := into[api.Changes](f, <-answers)
	if len(changes.Entries) != 1 || changes.Entries[0].Name != "new" || time.Since(begin) > 25*time.Second {
		t.Errorf("changes = %+v after %v", changes, time.Since(begin))
	}
	home.Seq = changes.Seq
	if quiet := into[api.Changes](f, f.do(poll(0))); len(quiet.Entries) != 0 || quiet.Seq != home.Seq {
		t.Errorf("nothing new = %+v", quiet)
	}

	// A server that ends does not wait for those that wait.
	go func() { answers <- f.do(poll(30)) }()
	time.Sleep(200 * time.Millisecond)
	begin = time.Now()
	f.stop()
	f.problem(<-answers, 503, api.Unavailable)
	if time.Since(begin) > 25*time.Second {
		t.Errorf("the poll ended %v after the server was told to stop", time.Since(begin))
	}
}

func TestOpenAPI(t *testing.T) {
	f := newFixture(t)
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct{ OperationID string }
	}
	a := f.do(request{path: "/openapi.json"})
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		t.Fatalf("%d %.200s: %v", a.status, a.body, err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("openapi = %q", doc.OpenAPI)
	}
	for path, method := range map[string]string{
		"/v1/login": "post", "/v1/drives/{drive}/batches": "post", "/v1/drives/{drive}/packs": "post",
		"/v1/drives/{drive}/nodes/{node}/content": "get", "/v1/drives/{drive}/changes": "get", "/v1/devices/{device}": "delete",
	} {
		if doc.Paths[path][method].OperationID == "" {
			t.Errorf("%s %s is not described", method, path)
		}
	}
}

func TestHealth(t *testing.T) {
	f := newFixture(t)
	if a := f.do(request{path: "/health"}); a.status != 200 || strings.TrimSpace(a.body) != `{"status":"ok"}` {
		t.Errorf("health = %d %s", a.status, a.body)
	}
	f.db.Close()
	if a := f.do(request{path: "/health"}); a.status != 503 {
		t.Errorf("health without a database = %d %s", a.status, a.body)
	}
}

func TestPage(t *testing.T) {
	f := newFixture(t)
	a := f.do(request{path: "/"})
	if a.status != 200 || !strings.Contains(a.body, "satchel login "+f.url+" ") || !strings.Contains(a.body, "satchel mount ") {
		t.Errorf("page = %d %s", a.status, a.body)
	}
	if csp := a.header.Get("Content-Security-Policy"); csp != web.Policy {
		t.Errorf("policy = %q", csp)
	}
	for _, host := range []string{`x";rm -rf ~;"`, "a<script>", "$(id)", "a b", "evil.example;id"} {
		conn := rawRequest(t, f, "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), host) {
			t.Errorf("the host %q is shown", host)
		}
	}
}

// A raw `..` or NUL in request targets must not panic, nor lead anywhere.
func TestRawTargets(t *testing.T) {
	f := newFixture(t)
	for _, target := range []string{"/../../etc/passwd", "/v1/../health", "//x", "/v1//drives", "/\x00", "/v1/drives/%00", "/v1/drives/%2e%2e/nodes/..%2f", "*", "http://x/../y", "/files?\x00", "/rpc/%ff"} {
		conn := rawRequest(t, f, "GET "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%q: %v", target, err)
			continue
		}
		if resp.StatusCode < 300 || resp.StatusCode >= 500 {
			t.Errorf("%q: %s", target, resp.Status)
		}
	}
	if strings.Contains(f.log.String(), "panicked") {
		t.Errorf("a handler panicked: %s", f.log.String())
	}
}

// What is left of a body that was not read is not the next request.
func TestUnreadBodyIsNoRequest(t *testing.T) {
	f := newFixture(t)
	smuggled := "DELETE /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, path := range []string{"/v1/login", "/rpc/login", "/rpc/store_file", "/v1/drives/home/packs", "/nothing"} {
		body := strings.Repeat("x", 2<<20)
		conn := rawRequest(t, f, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", path, len(body)+len(smuggled)))
		go func() {
			io.WriteString(conn, body)
			io.WriteString(conn, smuggled)
		}()
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		b, _ := io.ReadAll(conn) // ends with the connection
		if n := strings.Count(string(b), "HTTP/1.1 "); n != 1 {
			t.Errorf("%s: %d answers to one request", path, n)
		}
	}
	if strings.Contains(f.log.String(), "smuggled") {
		t.Error("a part of a body was taken for a request")
	}
}

func TestSecurityHeaders(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/", "/health", "/files", "/v1/whoami", "/nothing"} {
		a := f.do(request{path: path})
		for _, name := range []string{"X-Content-Type-Options", "Content-Security-Policy", "Referrer-Policy", "X-Frame-Options"} {
			if a.header.Get(name) == "" {
				t.Errorf("%s has no %s", path, name)
			}
		}
	}
}
