package integration

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"satchel/api"
)

// look is what a face shows of a file; what it does not show is zero.
type look struct {
	content  string
	document string
	hash     string // or how it begins
	modified time.Time
	inode    uint64
}

// face is one way to one file.
type face struct {
	name  string
	write func(content string) error
	look  func() (look, error)
	exact time.Duration // how finely it shows times
}

// TestOneFileSevenFaces: the file of the mount, of /files, /rpc/get_file, /api/vfs, S3, WebDAV and the page is one,
// with one identity, hash and time; and what is changed through any of them is seen through all.
func TestOneFileSevenFaces(t *testing.T) {
	b := newBuckets(t)
	a := b.anna
	a.dav = a.appPassword(t, "faces").Password
	bucket := a.bucket(t)
	name := "größe 100%25 [1].txt"
	path := bucket + "/" + name
	id := a.store(t, path, []byte("at first"))
	d := a.mountNew(t, "mount")
	cookie := a.cookie(t)

	faces := sevenFaces(t, b, cookie, bucket, name, filepath.Join(d.Mount, path))
	slowest := time.Duration(0)
	for _, by := range faces {
		content := "by " + by.name + ", " + time.Now().String()
		must(t, by.write(content))
		for _, seen := range faces {
			took := eventually(t, 20*time.Second, func() error {
				got, err := seen.look()
				if err == nil && got.content != content {
					err = fmt.Errorf("%q", got.content)
				}
				if err != nil {
					err = fmt.Errorf("what was written by %s is by %s: %w", by.name, seen.name, err)
				}
				return err
			})
			slowest = max(slowest, took)
		}
		var node api.Node
		must(t, json.Unmarshal(a.ask(t, "GET", "/v1/drives/home/lookup?path="+url.QueryEscape(path), nil, nil).must(t, 200).body, &node))
		hash := fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
		if node.Document.String() != id || node.SHA256.String() != hash {
			t.Errorf("written by %s the document %s with %s is %s with %s", by.name, id, hash, node.Document, node.SHA256)
		}
		for _, seen := range faces {
			got, err := seen.look()
			must(t, err)
			if got.document != "" && got.document != id || !strings.HasPrefix(hash, got.hash) || got.inode != 0 && got.inode != node.ID.Hash64() {
				t.Errorf("written by %s, %s shows %+v; the document is %s, the hash %s", by.name, seen.name, got, id, hash)
			}
			if late := got.modified.Sub(time.Unix(0, node.Mtime)).Abs(); !got.modified.IsZero() && late > seen.exact {
				t.Errorf("written by %s, %s shows the time %v, which is %v", by.name, seen.name, got.modified, time.Unix(0, node.Mtime))
			}
		}
	}
	t.Logf("7 × 7: each change was seen everywhere; the slowest after %v", slowest)
}

// cookie is a browser's session, as a Cookie header.
func (a *account) cookie(t *testing.T) string {
	t.Helper()
	body, _ := json.Marshal(map[string]string{"email": a.email, "password": a.password})
	got := (&account{server: a.server}).ask(t, "POST", "/rpc/login", asJSON, body).must(t, 200)
	c := (&http.Response{Header: got.header}).Cookies()
	if len(c) != 1 {
		t.Fatalf("cookies %v", c)
	}
	return c[0].Name + "=" + c[0].Value
}

func sevenFaces(t *testing.T, b *buckets, cookie, bucket, name, mounted string) []face {
	a := b.anna
	path, escaped := bucket+"/"+name, bucket+"/"+url.PathEscape(name)
	browser := &account{server: a.server}
	get := func(as *account, path string, header map[string]string) (answer, error) {
		got := as.ask(t, "GET", path, header, nil)
		if got.status != 200 {
			return got, fmt.Errorf("%s: %v", path, got)
		}
		return got, nil
	}
	put := func(as *account, method, path string, header map[string]string, content string) error {
		if got := as.ask(t, method, path, header, []byte(content)); got.status/100 != 2 {
			return fmt.Errorf("%s %s: %v", method, path, got)
		}
		return nil
	}
	storeFile := map[string]string{"File-Path": url.PathEscape(path), "Content-Type": "application/octet-stream"}
	byCookie := map[string]string{"Cookie": cookie, "Origin": a.server.URL, "Sec-Fetch-Site": "same-origin"}
	with := func(all ...map[string]string) map[string]string {
		h := map[string]string{}
		for _, some := range all {
			for k, v := range some {
				h[k] = v
			}
		}
		return h
	}
	etag := func(got answer) string { return strings.Trim(got.header.Get("ETag"), `"`) }
	file := "/rpc/get_file?p_bucket_path=" + url.QueryEscape(bucket) + "&p_file_name=" + url.QueryEscape(name)
	return []face{
		{name: "the mount", exact: 0,
			write: func(content string) error { return os.WriteFile(mounted, []byte(content), 0o644) },
			look: func() (l look, err error) {
				content, err := os.ReadFile(mounted)
				if err != nil {
					return l, err
				}
				st, err := os.Stat(mounted)
				if err != nil {
					return l, err
				}
				return look{content: string(content), modified: st.ModTime(), inode: st.Sys().(*syscall.Stat_t).Ino}, nil
			}},
		{name: "/files", exact: 5 * time.Second, // when the server had it
			write: func(content string) error { return put(a.account, "POST", "/rpc/store_file", storeFile, content) },
			look: func() (l look, err error) {
				content, err := get(a.account, "/rpc/retrieve_file?p_file_path="+url.QueryEscape(path), nil)
				if err != nil {
					return l, err
				}
				row, err := get(a.account, "/files?file_path=eq."+url.QueryEscape(path), nil)
				if err != nil {
					return l, err
				}
				var rows []struct {
					ID, Hash string
					Updated  time.Time `json:"updated_at"`
				}
				if err := json.Unmarshal(row.body, &rows); err != nil || len(rows) != 1 {
					return l, fmt.Errorf("rows %v %v", row, err)
				}
				return look{content: string(content.body), document: rows[0].ID, hash: rows[0].Hash, modified: rows[0].Updated}, nil
			}},
		{name: "/rpc/get_file", exact: 5 * time.Second,
			write: func(content string) error {
				return put(browser, "POST", "/rpc/store_file", with(storeFile, byCookie), content)
			},
			look: func() (l look, err error) {
				got, err := get(a.account, file, nil)
				if err != nil {
					return l, err
				}
				about, err := get(a.account, strings.Replace(file, "get_file", "get_metadata", 1), nil)
				if err != nil {
					return l, err
				}
				var rows []struct{ ID, Hash string }
				if err := json.Unmarshal(about.body, &rows); err != nil || len(rows) != 1 || rows[0].Hash != etag(got) {
					return l, fmt.Errorf("rows %v %v", about, err)
				}
				at, err := http.ParseTime(got.header.Get("Last-Modified"))
				return look{content: string(got.body), document: rows[0].ID, hash: rows[0].Hash, modified: at}, err
			}},
		{name: "/api/vfs", exact: 0,
			write: func(content string) error { return put(a.account, "PUT", "/api/vfs/write/home/"+escaped, nil, content) },
			look: func() (l look, err error) {
				got, err := get(a.account, "/api/vfs/get/home/"+escaped, nil)
				if err != nil {
					return l, err
				}
				list, err := get(a.account, "/api/vfs/ls/home/"+bucket, nil)
				if err != nil {
					return l, err
				}
				var entries []struct {
					ID, Name, Hash string
					Mtime          time.Time
				}
				if err := json.Unmarshal(list.body, &entries); err != nil || len(entries) != 1 || entries[0].Name != name {
					return l, fmt.Errorf("entries %v %v", list, err)
				}
				return look{content: string(got.body), document: entries[0].ID, hash: entries[0].Hash, modified: entries[0].Mtime}, nil
			}},
		{name: "S3", exact: time.Second,
			write: func(content string) error { return a.put(t.Context(), bucket, name, []byte(content)) },
			look: func() (l look, err error) {
				content, err := a.get(t.Context(), bucket, name)
				if err != nil {
					return l, err
				}
				head, err := a.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &name})
				if err != nil {
					return l, err
				}
				return look{content: string(content), modified: *head.LastModified}, nil
			}},
		{name: "WebDAV", exact: time.Second,
			write: func(content string) error {
				return put(browser, "PUT", "/dav/"+escaped, map[string]string{"Authorization": basic(a.email, a.dav)}, content)
			},
			look: func() (l look, err error) {
				got, err := get(browser, "/dav/"+escaped, map[string]string{"Authorization": basic(a.email, a.dav)})
				if err != nil {
					return l, err
				}
				at, err := http.ParseTime(got.header.Get("Last-Modified"))
				return look{content: string(got.body), hash: etag(got), modified: at}, err
			}},
		{name: "the page", exact: time.Second,
			write: func(content string) error { // as its script does
				return put(browser, "POST", "/rpc/store_file", with(storeFile, byCookie), content)
			},
			look: func() (l look, err error) {
				got, err := get(browser, "/download/"+escaped, byCookie)
				if err != nil {
					return l, err
				}
				page, err := get(browser, "/file/"+escaped, byCookie)
				if err != nil {
					return l, err
				}
				facts := regexp.MustCompile(`(?s)<dt>Changed</dt><dd><time datetime="([^"]*)">.*<code>([0-9a-f]{64})</code>`).FindSubmatch(page.body)
				if facts == nil {
					return l, fmt.Errorf("the page has no facts: %.2000s", page.body)
				}
				at, err := time.Parse(time.RFC3339, string(facts[1]))
				return look{content: string(got.body), hash: string(facts[2]), modified: at}, err
			}},
	}
}
