package integration

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/integration/require"
)

// repeated makes a file of one chunk again and again: large, and cheap to store.
func (a *account) repeated(t *testing.T, name string, size int64) (hash string) {
	t.Helper()
	one := make([]byte, 4<<20)
	c := api.Chunk{Hash: sha256.Sum256(one), Size: uint32(len(one))}
	var pack chunk.PackWriter
	must(t, pack.Add(c.Hash, one))
	a.ask(t, "POST", "/v1/drives/home/packs", map[string]string{"Content-Type": "application/octet-stream"}, pack.Bytes()).must(t, 200)
	v := api.Version{ID: api.NewID(), Size: size}
	sum := sha256.New()
	for range size / int64(len(one)) {
		v.Chunks = append(v.Chunks, c)
		sum.Write(one)
	}
	v.SHA256 = api.Hash(sum.Sum(nil))
	var drive api.DriveInfo
	must(t, json.Unmarshal(a.ask(t, "GET", "/v1/drives/home", nil, nil).must(t, 200).body, &drive))
	batch, err := json.Marshal(api.Batch{Incarnation: api.NewID(), Number: 1, Mutations: []api.Mutation{{
		Op: api.OpCreate, Node: api.NewID(), Parent: drive.Root, Name: api.Name(name), Attr: &api.Attr{Type: api.File}, Version: &v, Time: 1,
	}}})
	must(t, err)
	if got := a.ask(t, "POST", "/v1/drives/home/batches", asJSON, batch).must(t, 200); !bytes.Contains(got.body, []byte(`"applied"`)) {
		t.Fatalf("a file of %d bytes: %v", size, got)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// TestArchiveForUnzip: what /api/vfs/compress streams is what unzip makes of it: names, also such as would lead out of
// the directory elsewhere, and a file of any size. With SATCHEL_TEST_STREAM_GIB, as `make stream`
// sets it, that is larger than a ZIP archive without 64-bit sizes can hold.
func TestArchiveForUnzip(t *testing.T) {
	unzip := require.Tool(t, "unzip")
	s := ownServer(t)
	a := newAccount(t, s, "anna")
	size := int64(64 << 20)
	if os.Getenv(streamVariable) != "" {
		size = 5 << 30
	}
	hash := a.repeated(t, "large", size)
	for name, text := range map[string]string{
		"plain.txt": "plain", "ünï/🦊.txt": "fox", "dir/[x] 100%25.txt": "odd", `..\..\evil.txt`: "evil", `\evil.txt`: "evil", `C:\evil.txt`: "evil", `a\b`: "kept", "-rf": "dash",
	} {
		header := name // as it stands where it is ASCII
		if escaped := url.PathEscape(name); strings.ContainsAny(name, "ü🦊") {
			header = escaped
		}
		a.store(t, header, []byte(text))
	}
	archive := filepath.Join(t.TempDir(), "archive.zip")
	req := newRequest(t, "GET", s.URL+"/api/vfs/compress/home", "Bearer "+a.token, nil)
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	f, err := os.Create(archive)
	must(t, err)
	n, err := io.Copy(f, res.Body)
	must(t, err)
	must(t, f.Close())
	streamed(t, s)
	t.Logf("%d MiB in an archive of %d bytes", size>>20, n)

	command(t, "/", unzip, "-tq", archive)
	if got := command(t, "/", "sh", "-c", `"$1" -p "$2" large | sha256sum`, "sh", unzip, archive); !strings.HasPrefix(got, hash) {
		t.Errorf("the large file has the hash %s, not %s", got, hash)
	}
	list := command(t, "/", "env", "LC_ALL=C.UTF-8", unzip, "-Z1", archive)
	for l := range strings.Lines(list) {
		if l = strings.TrimSuffix(l, "\n"); strings.HasPrefix(l, "/") || strings.Contains(`\`+l, `\..\`) || strings.HasPrefix(l, `\`) || strings.Contains(l, ":") {
			t.Errorf("the archive has %q", l)
		}
	}
	out := t.TempDir()
	command(t, "/", "env", "LC_ALL=C.UTF-8", unzip, "-q", archive, "-x", "large", "-d", out) // else it writes other names
	for name, text := range map[string]string{"plain.txt": "plain", "ünï/🦊.txt": "fox", "dir/[x] 100%25.txt": "odd", ".._.._evil.txt": "evil", "_evil.txt": "evil", "C__evil.txt": "evil", `a\b`: "kept", "-rf": "dash"} {
		must(t, has(filepath.Join(out, name), text))
	}
}
