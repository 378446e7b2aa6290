package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"satchel/api"
	"satchel/storage"
	"satchel/storage/postgres/pgtest"
)

// tusClient speaks tus as a client that an interruption does not surprise.
type tusClient struct {
	f  *fixture
	as string
}

func (c tusClient) do(t *testing.T, method, path string, body io.Reader, header ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.f.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Tus-Resumable", "1.0.0")
	r.Header.Set("Authorization", "Bearer "+c.f.token(c.as))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil
	}
	resp.Body.Close()
	return resp
}

func (c tusClient) create(t *testing.T, path string, size int, body io.Reader, more ...string) *http.Response {
	t.Helper()
	header := []string{"Upload-Length", strconv.Itoa(size), "Upload-Metadata", "path " + base64.StdEncoding.EncodeToString([]byte(path))}
	if body != nil {
		header = append(header, "Content-Type", tusBody)
	}
	return c.do(t, http.MethodPost, "/uploads", body, append(header, more...)...)
}

func (c tusClient) offset(t *testing.T, at string) int {
	t.Helper()
	resp := c.do(t, http.MethodHead, at, nil)
	n, err := strconv.Atoi(resp.Header.Get("Upload-Offset"))
	if resp.StatusCode != 200 || err != nil {
		t.Fatalf("HEAD: %s %v", resp.Status, resp.Header)
	}
	return n
}

func (c tusClient) patch(t *testing.T, at string, offset int, body io.Reader) *http.Response {
	t.Helper()
	return c.do(t, http.MethodPatch, at, body, "Upload-Offset", strconv.Itoa(offset), "Content-Type", tusBody)
}

func (f *fixture) stored(t *testing.T, as, path string) string {
	t.Helper()
	a := f.do(request{method: "GET", path: "/rpc/retrieve_file?p_file_path=" + path, as: as})
	if a.status != 200 {
		return fmt.Sprintf("%d %s", a.status, a.body)
	}
	return a.body
}

// breaking gives n bytes and then breaks the connection.
type breaking struct {
	r io.Reader
	n int
}

func (b *breaking) Read(p []byte) (int, error) {
	if b.n == 0 {
		return 0, fmt.Errorf("the network went away")
	}
	n, err := b.r.Read(p[:min(len(p), b.n)])
	b.n -= n
	return n, err
}

func TestTus(t *testing.T) {
	f := newFixture(t)
	c := tusClient{f, alice}
	content := make([]byte, 70<<20)
	rand.New(rand.NewSource(1)).Read(content)

	resp := c.create(t, "films/long.bin", len(content), nil)
	at := resp.Header.Get("Location")
	if resp.StatusCode != 201 || !strings.HasPrefix(at, "/uploads/") || resp.Header.Get("Upload-Expires") == "" {
		t.Fatalf("create: %s %v", resp.Status, resp.Header)
	}
	// The connection breaks: what came is kept, up to the last byte.
	c.patch(t, at, 0, &breaking{bytes.NewReader(content), 40 << 20})
	var kept int
	until(t, func() bool { kept = c.offset(t, at); return kept >= 32<<20 })
	if kept > 40<<20 {
		t.Fatalf("%d bytes are stored of %d sent", kept, 40<<20)
	}
	if got := f.stored(t, alice, "films/long.bin"); !strings.HasPrefix(got, "400 ") {
		t.Errorf("half a file is there: %.40q", got)
	}
	if resp := c.patch(t, at, kept+1, strings.NewReader("x")); resp.StatusCode != 409 {
		t.Errorf("another offset: %s", resp.Status)
	}
	// Others neither see nor touch it.
	if resp := (tusClient{f, bob}).do(t, http.MethodHead, at, nil); resp.StatusCode != 404 {
		t.Errorf("another's upload: %s", resp.Status)
	}
	if a := f.do(request{method: "GET", path: "/uploads", as: alice}); !strings.Contains(a.body, `"path":"films/long.bin"`) {
		t.Errorf("the list: %s", a.body)
	}
	until(t, func() bool { // the broken request may still be storing
		kept = c.offset(t, at)
		resp := c.patch(t, at, kept, bytes.NewReader(content[kept:]))
		return resp.StatusCode == 204 && resp.Header.Get("Upload-Offset") == strconv.Itoa(len(content))
	})
	if got := f.stored(t, alice, "films/long.bin"); got != string(content) {
		t.Errorf("the file has other content: %d bytes", len(got))
	}
	// Whoever lost the last answer asks, and is told that all is there.
	if n := c.offset(t, at); n != len(content) {
		t.Errorf("afterwards %d", n)
	}
	if resp := c.patch(t, at, len(content), strings.NewReader("more")); resp.StatusCode != 413 {
		t.Errorf("more than all: %s", resp.Status)
	}
	if a := f.do(request{method: "GET", path: "/uploads", as: alice}); a.body != "[]\n" {
		t.Errorf("the list afterwards: %s", a.body)
	}
	if a := f.do(request{method: "GET", path: "/files?select=hash,size", as: alice}); !strings.Contains(a.body, fmt.Sprintf("%x", sha256.Sum256(content))) {
		t.Errorf("the row: %s", a.body)
	}
}

func TestTusWhole(t *testing.T) {
	f := newFixture(t)
	c := tusClient{f, alice}
	metadata := func(pairs ...string) string {
		var all []string
		for i := 0; i < len(pairs); i += 2 {
			all = append(all, pairs[i]+" "+base64.StdEncoding.EncodeToString([]byte(pairs[i+1])))
		}
		return strings.Join(all, ",")
	}
	resp := c.create(t, "", 5, strings.NewReader("hello"), "Upload-Metadata", metadata("filename", "ü.txt", "description", "said once", "modified", "1700000000123"))
	if resp.StatusCode != 201 || resp.Header.Get("Upload-Offset") != "5" {
		t.Fatalf("in one request: %s %v", resp.Status, resp.Header)
	}
	if got := f.stored(t, alice, "%C3%BC.txt"); got != "hello" {
		t.Errorf("it is %q", got)
	}
	if a := f.do(request{method: "GET", path: "/files?select=description", as: alice}); !strings.Contains(a.body, "said once") {
		t.Errorf("the description: %s", a.body)
	}
	d, err := f.home(alice)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := d.Lookup(t.Context(), names("ü.txt")); err != nil || n.Mtime != 1700000000123e6 {
		t.Errorf("its time: %v %v", time.Unix(0, n.Mtime), err)
	}
	if resp := c.create(t, "empty", 0, nil); resp.StatusCode != 201 {
		t.Errorf("an empty file: %s", resp.Status)
	}
	if got := f.stored(t, alice, "empty"); got != "" {
		t.Errorf("the empty file: %q", got)
	}

	for what, header := range map[string][]string{
		"another version": {"Tus-Resumable", "0.2.2"}, "no length": {"Upload-Length", ""}, "a negative one": {"Upload-Length", "-1"},
		"no path": {"Upload-Metadata", ""}, "a bad path": {"Upload-Metadata", metadata("path", "../x")}, "no base64": {"Upload-Metadata", "path %%"},
	} {
		if resp := c.create(t, "x", 1, nil, header...); resp.StatusCode != 400 && resp.StatusCode != 412 {
			t.Errorf("%s: %s", what, resp.Status)
		}
	}
	resp = c.create(t, "given-up", 10, strings.NewReader("half "))
	at := resp.Header.Get("Location")
	if resp := c.do(t, http.MethodPatch, at, strings.NewReader("x"), "Upload-Offset", "5"); resp.StatusCode != 415 {
		t.Errorf("without a type: %s", resp.Status)
	}
	if resp := c.do(t, http.MethodDelete, at, nil); resp.StatusCode != 204 {
		t.Errorf("giving up: %s", resp.Status)
	}
	if resp := c.do(t, http.MethodHead, at, nil); resp.StatusCode != 404 {
		t.Errorf("given up: %s", resp.Status)
	}
	// A path that becomes a directory meanwhile: nothing is lost, and the error says it.
	at = c.create(t, "taken", 5, nil).Header.Get("Location")
	if _, err := d.Mkdir(t.Context(), names("taken"), false); err != nil {
		t.Fatal(err)
	}
	if resp := c.patch(t, at, 0, strings.NewReader("12345")); resp.StatusCode != 409 {
		t.Errorf("onto a directory: %s", resp.Status)
	}
	if n := c.offset(t, at); n != 0 {
		t.Errorf("%d bytes of it are taken for stored", n)
	}
	if err := d.Remove(t.Context(), names("taken")); err != nil {
		t.Fatal(err)
	}
	if resp := c.patch(t, at, 0, strings.NewReader("12345")); resp.StatusCode != 204 {
		t.Errorf("when it is free again: %s", resp.Status)
	}
}

// More bytes than an upload was to have make no file, whether their number is said first or not.
func TestTusTooMuch(t *testing.T) {
	f := newFixture(t)
	c := tusClient{f, alice}
	unsaid := func(s string) io.Reader { return io.MultiReader(strings.NewReader(s)) }
	for name, body := range map[string]io.Reader{"said": strings.NewReader("123456"), "unsaid": unsaid("123456")} {
		if resp := c.create(t, name, 5, body); resp.StatusCode != 413 {
			t.Errorf("%s, with the first request: %s", name, resp.Status)
		}
	}
	if a := f.do(request{path: "/uploads", as: alice}); a.body != "[]\n" {
		t.Errorf("what is left: %s", a.body)
	}
	for name, body := range map[string]io.Reader{"said": strings.NewReader("456"), "unsaid": unsaid("456")} {
		at := c.create(t, name, 5, strings.NewReader("123")).Header.Get("Location")
		if resp := c.patch(t, at, 3, body); resp.StatusCode != 413 {
			t.Errorf("%s, with the last one: %s", name, resp.Status)
		}
		if got := f.stored(t, alice, name); !strings.HasPrefix(got, "400 ") {
			t.Errorf("%s: there is a file: %q", name, got)
		}
		if resp := c.patch(t, at, c.offset(t, at), unsaid("45")); resp.StatusCode != 204 {
			t.Errorf("%s, as many as there were to be: %s", name, resp.Status)
		}
		if got := f.stored(t, alice, name); got != "12345" {
			t.Errorf("%s: it has %q", name, got)
		}
	}
	if resp := c.create(t, "empty", 0, unsaid("1")); resp.StatusCode != 413 {
		t.Errorf("an empty one with a byte: %s", resp.Status)
	}
}

// A client that gave an upload its id knows its address whatever answer was lost, and asks there. What others have of that id is theirs.
func TestTusOwnID(t *testing.T) {
	f := newFixture(t)
	c := tusClient{f, alice}
	id := api.NewID()
	metadata := func(path, id string) string {
		code := base64.StdEncoding.EncodeToString
		return "path " + code([]byte(path)) + ",upload " + code([]byte(id))
	}
	if resp := c.create(t, "", 10, strings.NewReader("12345"), "Upload-Metadata", metadata("first", id.String())); resp.StatusCode != 201 || resp.Header.Get("Location") != "/uploads/"+id.String() {
		t.Fatalf("with an id: %s %v", resp.Status, resp.Header)
	}
	again := func() {
		t.Helper()
		if resp := c.create(t, "", 10, strings.NewReader("12345"), "Upload-Metadata", metadata("second", id.String())); resp.StatusCode != 409 {
			t.Errorf("with the same id again: %s", resp.Status)
		}
	}
	again()
	theirs := tusClient{f, bob}
	if resp := theirs.create(t, "", 2, strings.NewReader("b"), "Upload-Metadata", metadata("his", id.String())); resp.StatusCode != 201 || theirs.offset(t, "/uploads/"+id.String()) != 1 {
		t.Errorf("somebody else with the same id: %s", resp.Status)
	}
	if n := c.offset(t, "/uploads/"+id.String()); n != 5 {
		t.Errorf("the first has %d bytes then", n)
	}
	if resp := c.patch(t, "/uploads/"+id.String(), 5, strings.NewReader("67890")); resp.StatusCode != 204 {
		t.Errorf("the rest of it: %s", resp.Status)
	}
	again()
	if got := f.stored(t, alice, "first"); got != "1234567890" {
		t.Errorf("it is %q", got)
	}
	if resp := c.create(t, "", 1, nil, "Upload-Metadata", metadata("x", "7")); resp.StatusCode != 400 {
		t.Errorf("with what is no UUID: %s", resp.Status)
	}
}

// A request that begins an upload, and is slower than another one with its first bytes, does not take those along.
func TestTusSlowBeginning(t *testing.T) {
	f := newFixture(t)
	c := tusClient{f, alice}
	id := api.NewID()
	at := "/uploads/" + id.String()
	code := base64.StdEncoding.EncodeToString
	r, w := io.Pipe()
	answered := make(chan int, 1)
	go func() {
		status := 0
		if resp := c.create(t, "", 10, r, "Upload-Metadata", "path "+code([]byte("slow"))+",upload "+code([]byte(id.String()))); resp != nil {
			status = resp.StatusCode
		}
		answered <- status
	}()
	if _, err := w.Write([]byte("123")); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return c.do(t, http.MethodHead, at, nil).StatusCode == 200 })
	if resp := c.patch(t, at, 0, strings.NewReader("12345")); resp.StatusCode != 204 {
		t.Fatalf("the quicker request: %s", resp.Status)
	}
	w.Close()
	if status := <-answered; status != 409 {
		t.Errorf("the slower one: %d", status)
	}
	if resp := c.patch(t, at, 5, strings.NewReader("67890")); resp.StatusCode != 204 {
		t.Errorf("the rest: %s", resp.Status)
	}
	if got := f.stored(t, alice, "slow"); got != "1234567890" {
		t.Errorf("it is %q", got)
	}
}

// An empty upload that the server died with lacks no byte, but is no file: an append of nothing makes it one, and once.
func TestTusEmpty(t *testing.T) {
	f := newFixture(t)
	c := tusClient{f, alice}
	d, err := f.home(alice)
	if err != nil {
		t.Fatal(err)
	}
	u, err := d.BeginResumable(t.Context(), api.NewID(), names("empty"), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if resp := c.patch(t, "/uploads/"+u.ID.String(), 0, nil); resp.StatusCode != 204 {
			t.Errorf("nothing is sent: %s", resp.Status)
		}
		if got := f.stored(t, alice, "empty"); got != "" {
			t.Errorf("the empty file: %q", got)
		}
	}
	n, err := d.Lookup(t.Context(), names("empty"))
	if err != nil {
		t.Fatal(err)
	}
	if all, err := d.Versions(t.Context(), n.ID); err != nil || len(all) != 1 {
		t.Errorf("its versions: %v %v", all, err)
	}
}

// Uploads count towards the quota while they are under way.
func TestTusQuota(t *testing.T) {
	f := newFixture(t)
	if err := f.operator.SetQuota(t.Context(), alice, 1000); err != nil {
		t.Fatal(err)
	}
	c := tusClient{f, alice}
	if resp := c.create(t, "large", 1001, nil); resp.StatusCode != 507 {
		t.Errorf("more than the quota: %s", resp.Status)
	}
	first := c.create(t, "a", 800, strings.NewReader(strings.Repeat("a", 700))).Header.Get("Location")
	if resp := c.create(t, "b", 400, nil); resp.StatusCode != 507 {
		t.Errorf("more than is left beside what comes: %s", resp.Status)
	}
	if resp := c.patch(t, first, 700, strings.NewReader(strings.Repeat("a", 100))); resp.StatusCode != 204 {
		t.Errorf("the rest of the first: %s", resp.Status)
	}
}

// until waits for what must come soon.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come")
		}
	}
}

func names(path string) []api.Name {
	all, err := api.ParsePath(path)
	if err != nil {
		panic(err)
	}
	return all
}

// An upload into a folder that somebody shared lands in his drive.
// An upload that was begun with a description that is too long by now comes to its end: the description is cut where a letter ends.
func TestTusCutsOlderDescriptions(t *testing.T) {
	f := newFixture(t)
	c := tusClient{f, alice}
	at := c.create(t, "a", 4, strings.NewReader("12")).Header.Get("Location")
	pgtest.DescribeUploads(t, f.admin, "x"+strings.Repeat("ü", 3000))
	if resp := c.patch(t, at, 2, strings.NewReader("3")); resp.StatusCode != 204 {
		t.Errorf("a part: %s", resp.Status)
	}
	if resp := c.patch(t, at, 3, strings.NewReader("4")); resp.StatusCode != 204 {
		t.Errorf("the last part: %s", resp.Status)
	}
	rows := f.rows(f.do(request{path: "/files", as: alice}))
	if len(rows) != 1 || rows[0]["description"] != "x"+strings.Repeat("ü", storage.MaxDescription/2-1) {
		t.Errorf("%.100v", rows)
	}
}

func TestTusThroughBind(t *testing.T) {
	f := newFixture(t)
	theirs, err := f.home(bob)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := f.home(alice)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Mkdir(t.Context(), names("team"), true); err != nil {
		t.Fatal(err)
	}
	grant := api.Grant{Path: "team", UserID: mine.Owner().String(), Permissions: api.PermRead | api.PermList | api.PermWrite}
	if err := theirs.Grant(t.Context(), grant); err != nil {
		t.Fatal(err)
	}
	caller := storage.Caller{User: mine.Owner(), Device: api.NewID()}
	if _, err := f.drives.AddBind(t.Context(), caller, storage.Bind{
		Source: storage.Place{Mount: "user:" + theirs.Owner().String(), Path: "team"}, Target: storage.Place{Mount: "home", Path: "theirs"},
	}); err != nil {
		t.Fatal(err)
	}
	c := tusClient{f, alice}
	at := c.create(t, "theirs/note", 10, strings.NewReader("12345")).Header.Get("Location")
	if resp := c.patch(t, at, 5, strings.NewReader("67890")); resp.StatusCode != 204 {
		t.Fatalf("the last bytes: %s", resp.Status)
	}
	if got := f.stored(t, bob, "team/note"); got != "1234567890" {
		t.Errorf("the other has %q", got)
	}
	// He takes it back: the bytes are refused, and not taken for a file.
	at = c.create(t, "theirs/late", 2, nil).Header.Get("Location")
	if err := theirs.Revoke(t.Context(), grant); err != nil {
		t.Fatal(err)
	}
	if resp := c.patch(t, at, 0, strings.NewReader("ab")); resp.StatusCode < 400 || c.offset(t, at) != 0 {
		t.Errorf("without permission: %s", resp.Status)
	}
}
