package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// person is an account; the zero email is a stranger.
type person struct {
	w               *world
	id              string
	email, password string
	token, cookie   string
}

// newPerson makes an account by signing up.
func (w *world) newPerson(t *testing.T) *person {
	t.Helper()
	w.people++
	p := &person{w: w, email: fmt.Sprintf("p%d@example.org", w.people), password: "a long password"}
	got := w.stranger().send(t, "POST", "/rpc/register", nil, object{"email": p.email, "name": fmt.Sprintf("P%d", w.people), "password": p.password})
	if got.status == http.StatusTooManyRequests { // the operator has no limit
		must(t, w.server.AddUser(t.Context(), p.email, p.password, "editor"))
		p.login(t)
		p.id = p.claims(t)["sub"].(string)
		return p
	}
	var rows []struct {
		ID    string `json:"user_id"`
		Token string `json:"token"`
	}
	if err := json.Unmarshal(got.body, &rows); err != nil || got.status != 200 {
		t.Fatalf("register: %v", got)
	}
	p.id, p.token, p.cookie = rows[0].ID, rows[0].Token, got.cookie(t)
	return p
}

func (w *world) stranger() *person { return &person{w: w} }

func (p *person) login(t *testing.T) answer {
	t.Helper()
	got := p.w.stranger().send(t, "POST", "/rpc/login", nil, object{"email": p.email, "password": p.password})
	var rows []struct{ Token string }
	if err := json.Unmarshal(got.body, &rows); err != nil || got.status != 200 || len(rows) != 1 || rows[0].Token == "" {
		t.Fatalf("login: %v", got)
	}
	p.token, p.cookie = rows[0].Token, got.cookie(t)
	return got
}

type object = map[string]any

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) String() string { return fmt.Sprintf("%d %.300s", a.status, a.body) }

// cookie is the session that the answer sets, as a Cookie header.
func (a answer) cookie(t *testing.T) string {
	t.Helper()
	cookies := (&http.Response{Header: a.header}).Cookies()
	if len(cookies) != 1 {
		t.Fatalf("cookies of %v: %v", a, cookies)
	}
	return cookies[0].Name + "=" + cookies[0].Value
}

// rows are the rows of an answer that must have succeeded.
func (a answer) rows(t *testing.T) []object {
	t.Helper()
	var rows []object
	if err := json.Unmarshal(a.body, &rows); err != nil || a.status/100 != 2 {
		t.Fatalf("rows: %v", a)
	}
	return rows
}

// is checks an answer's status and a part of its body.
func (a answer) is(t *testing.T, status int, part string) {
	t.Helper()
	if a.status != status || !strings.Contains(string(a.body), part) {
		t.Errorf("%v; want %d …%s…", a, status, part)
	}
}

// fails checks an error in PostgREST's shape.
func (a answer) fails(t *testing.T, status int, message string) {
	t.Helper()
	var e object
	if err := json.Unmarshal(a.body, &e); err != nil {
		t.Fatalf("%v is no error's body", a)
	}
	for _, member := range []string{"message", "code", "details", "hint"} {
		if _, ok := e[member]; !ok {
			t.Errorf("%v has no %s", a, member)
		}
	}
	if said, _ := e["message"].(string); a.status != status || said == "" || !strings.Contains(said, message) {
		t.Errorf("%v; want %d …%s…", a, status, message)
	}
}

// send makes a request: by token, unless the header has a cookie. A body that
// is an object is sent as JSON.
func (p *person) send(t *testing.T, method, path string, header object, body any) answer {
	t.Helper()
	var content io.Reader
	contentType := ""
	switch b := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(b)
	case []byte:
		content = bytes.NewReader(b)
	default:
		j, err := json.Marshal(b)
		must(t, err)
		content, contentType = bytes.NewReader(j), "application/json"
	}
	req, err := http.NewRequestWithContext(t.Context(), method, p.w.server.URL+path, content)
	must(t, err)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if p.token != "" && header["Cookie"] == nil {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	for name, value := range header {
		req.Header.Set(name, fmt.Sprint(value))
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	must(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(t, err)
	return answer{res.StatusCode, res.Header, b}
}

func (p *person) get(t *testing.T, path string) answer {
	t.Helper()
	return p.send(t, "GET", path, nil, nil)
}

// store is /rpc/store_file; it returns the document's id.
func (p *person) store(t *testing.T, path, content string) string {
	t.Helper()
	header := path // as it stands where it is ASCII: see "Header values"
	if !ascii(path) {
		header = url.PathEscape(path)
	}
	got := p.send(t, "POST", "/rpc/store_file", object{"File-Path": header, "Content-Type": "application/octet-stream"}, content)
	var id string
	if err := json.Unmarshal(got.body, &id); err != nil || got.status != 200 {
		t.Fatalf("store %q: %v", path, got)
	}
	return id
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > '~' }) < 0
}

func (p *person) retrieve(t *testing.T, path string) answer {
	t.Helper()
	return p.get(t, "/rpc/retrieve_file?p_file_path="+url.QueryEscape(path))
}

// paths are the file_path of each row of /files.
func (p *person) paths(t *testing.T, query string) string {
	t.Helper()
	var paths []string
	for _, row := range p.get(t, "/files?"+query).rows(t) {
		paths = append(paths, row["file_path"].(string))
	}
	return strings.Join(paths, " ")
}
