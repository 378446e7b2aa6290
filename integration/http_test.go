package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"
)

// answer is what an HTTP request got.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) String() string { return fmt.Sprintf("%d %.400s", a.status, a.body) }

// message is the sentence for a person in an error's body.
func (a answer) message() string {
	var m struct{ Message, Detail string }
	json.Unmarshal(a.body, &m)
	return m.Message + m.Detail
}

// ask makes a request as the account, unless token is given in header.
func (a *account) ask(t *testing.T, method, path string, header map[string]string, body []byte) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, a.server.URL+path, bytes.NewReader(body))
	must(t, err)
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	return answerTo(t, req)
}

func answerTo(t *testing.T, req *http.Request) answer {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(t, err)
	return answer{res.StatusCode, res.Header, b}
}

// login is /rpc/login; it waits when the server throttles.
func (a *account) login(t *testing.T) string {
	t.Helper()
	body, _ := json.Marshal(map[string]string{"email": a.email, "password": a.password})
	for {
		got := a.ask(t, "POST", "/rpc/login", map[string]string{"Content-Type": "application/json"}, body)
		if got.status == http.StatusTooManyRequests {
			after, _ := strconv.Atoi(got.header.Get("Retry-After"))
			time.Sleep(time.Duration(max(after, 1)) * time.Second)
			continue
		}
		var tokens []struct{ Token string }
		if err := json.Unmarshal(got.body, &tokens); err != nil || got.status != 200 || len(tokens) != 1 {
			t.Fatalf("/rpc/login: %v %v", got, err)
		}
		return tokens[0].Token
	}
}

// store is /rpc/store_file; it returns the document's UUID.
func (a *account) store(t *testing.T, path string, body []byte) string {
	t.Helper()
	got := a.ask(t, "POST", "/rpc/store_file", map[string]string{"Content-Type": "application/octet-stream", "File-Path": path}, body)
	var id string
	if err := json.Unmarshal(got.body, &id); err != nil || got.status != 200 {
		t.Fatalf("/rpc/store_file %s: %v %v", path, got, err)
	}
	return id
}

// retrieve is /rpc/retrieve_file.
func (a *account) retrieve(t *testing.T, path string) answer {
	t.Helper()
	return a.ask(t, "GET", "/rpc/retrieve_file?p_file_path="+url.QueryEscape(path), nil, nil)
}

// stored is an error unless the server has this content at path.
func (a *account) stored(t *testing.T, path string, content []byte) error {
	t.Helper()
	got := a.retrieve(t, path)
	if got.status != 200 {
		return fmt.Errorf("/rpc/retrieve_file %s: %v", path, got)
	}
	if !bytes.Equal(got.body, content) {
		return fmt.Errorf("/rpc/retrieve_file %s: %d bytes %.80q, not %d bytes %.80q", path, len(got.body), got.body, len(content), content)
	}
	return nil
}

// file is a row of /files.
type file struct {
	ID       string `json:"id"`
	UserID   string `json:"user_id"`
	FilePath string `json:"file_path"`
	Size     int64  `json:"size"`
	Hash     string `json:"hash"`
}

func (a *account) files(t *testing.T, query string) []file {
	t.Helper()
	got := a.ask(t, "GET", "/files?"+query, nil, nil)
	var all []file
	if err := json.Unmarshal(got.body, &all); err != nil || got.status/100 != 2 {
		t.Fatalf("/files?%s: %v %v", query, got, err)
	}
	return all
}

// document is the UUID of the one file at path.
func (a *account) document(t *testing.T, path string) string {
	t.Helper()
	all := a.files(t, "file_path=eq."+url.QueryEscape(path))
	if len(all) != 1 {
		t.Fatalf("/files has %d rows for %s", len(all), path)
	}
	return all[0].ID
}
