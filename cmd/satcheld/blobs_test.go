package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"

	"satchel/migrations"
	"satchel/storage/blob/s3/s3test"
	"satchel/storage/postgres/pgtest"
	"satchel/storage/private"
)

// With each store: what goes in through the API comes out, also of a server
// that was started again, and lies where --blobs says.
func TestBlobStores(t *testing.T) {
	server := pgtest.Start(t)
	admin := func(database string) string { return server.URL(private.Superuser, database) }
	t.Cleanup(s3test.Stop)
	dir := t.TempDir()
	for _, test := range []struct {
		name  string
		blobs func(t *testing.T) (flag string, objects func(*testing.T) int)
	}{
		{"file", func(t *testing.T) (string, func(*testing.T) int) {
			return "file:" + filepath.Join(dir, "blobs"), func(t *testing.T) int {
				found, err := filepath.Glob(filepath.Join(dir, "blobs", "objects", "*", "*"))
				if err != nil {
					t.Fatal(err)
				}
				return len(found)
			}
		}},
		{"s3", func(t *testing.T) (string, func(*testing.T) int) {
			bucket := s3test.Bucket(t)
			prefix := "packs/"
			return bucket.URL, func(t *testing.T) int {
				out, err := bucket.Client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket.Name, Prefix: &prefix})
				if err != nil {
					t.Fatal(err)
				}
				return len(out.Contents)
			}
		}},
		{"postgres", func(t *testing.T) (string, func(*testing.T) int) {
			return "postgres:", func(t *testing.T) (n int) {
				conn, err := pgx.Connect(t.Context(), admin("blobs_postgres"))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close(t.Context())
				if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM satchel.blobs`).Scan(&n); err != nil {
					t.Fatal(err)
				}
				return n
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			flag, objects := test.blobs(t)
			database := "blobs_" + test.name
			if err := migrations.CreateDatabase(t.Context(), admin("postgres"), database); err != nil {
				t.Fatal(err)
			}
			data := dataDir(t)
			flags := []string{"--data", data, "--database-url", admin(database), "--blobs", flag}
			must(t, "pw", append([]string{"user", "add", "alice@example.org", "--password-stdin"}, flags...)...)
			at, stop := serving(t, flags...)

			content := make([]byte, 30<<20) // some packs
			mathrand.NewChaCha8([32]byte{7}).Read(content)
			a := account{t, at, ""}
			a.login("alice@example.org", "pw")
			a.store("films/large", content)
			a.store("small", []byte("small"))
			a.retrieves("films/large", content)
			a.retrieves("small", []byte("small"))
			a.retrievesRange("films/large", content, 20<<20-5, 1<<20)
			if n := objects(t); n < 3 {
				t.Errorf("the store has %d objects", n)
			}
			if code := stop(); code != 0 {
				t.Errorf("serve ended with %d", code)
			}
			if _, err := os.Stat(filepath.Join(data, "blobs")); err == nil {
				t.Error("there are blobs under --data, too")
			}
			a.url, _ = serving(t, flags...)
			a.login("alice@example.org", "pw")
			a.retrieves("films/large", content)
		})
	}
}

// What is wrong with a store is told when the server starts.
func TestServeTellsOfItsStore(t *testing.T) {
	s3test.Credentials(t, "", "")
	code, _, errs := satcheld(t, "", "serve", "--listen", "127.0.0.1:0", "--data", dataDir(t), "--blobs", "s3://bucket?endpoint=http://127.0.0.1:1")
	if code != 1 || !strings.Contains(errs, "set AWS_ACCESS_KEY_ID") {
		t.Errorf("exit code %d, %q", code, errs)
	}
}

// account is a client of the file API.
type account struct {
	t     *testing.T
	url   string
	token string
}

func (a *account) login(email, password string) {
	a.t.Helper()
	var rows []struct{ Token string }
	if err := json.NewDecoder(login(a.t, http.DefaultClient, a.url, email, password).Body).Decode(&rows); err != nil || len(rows) != 1 {
		a.t.Fatalf("login: %v, %v", rows, err)
	}
	a.token = rows[0].Token
}

func (a *account) do(method, path string, body []byte, header map[string]string) (status int, answer []byte) {
	a.t.Helper()
	req, err := http.NewRequest(method, a.url+path, bytes.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, err = io.ReadAll(resp.Body); err != nil {
		a.t.Fatal(err)
	}
	return resp.StatusCode, answer
}

func (a *account) store(path string, content []byte) {
	a.t.Helper()
	if status, answer := a.do("POST", "/rpc/store_file", content, map[string]string{"File-Path": path, "Content-Type": "application/octet-stream"}); status != 200 {
		a.t.Fatalf("store %s: %d %s", path, status, answer)
	}
}

func (a *account) retrieves(path string, want []byte) {
	a.t.Helper()
	status, got := a.do("GET", "/rpc/retrieve_file?p_file_path="+url.QueryEscape(path), nil, nil)
	if status != 200 || sha256.Sum256(got) != sha256.Sum256(want) {
		a.t.Errorf("retrieve %s: %d, %d bytes of %d", path, status, len(got), len(want))
	}
}

func (a *account) retrievesRange(path string, content []byte, off, n int) {
	a.t.Helper()
	status, got := a.do("GET", "/rpc/retrieve_file?p_file_path="+url.QueryEscape(path), nil, map[string]string{"Range": fmt.Sprintf("bytes=%d-%d", off, off+n-1)})
	if status == 200 { // ranges are an offer
		got = got[off : off+n]
	}
	if !bytes.Equal(got, content[off:off+n]) {
		a.t.Errorf("%d bytes from %d of %s: %d, %d bytes", n, off, path, status, len(got))
	}
}
