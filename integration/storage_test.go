package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/integration/rig"
)

// grown is by how much fn makes the server's blob store grow.
func grown(t *testing.T, s *rig.Server, fn func()) (objects int, size int64) {
	t.Helper()
	n, before, err := s.Objects(t.Context())
	must(t, err)
	fn()
	m, after, err := s.Objects(t.Context())
	must(t, err)
	return m - n, after - before
}

// TestStorageShows: what comes in through mounts and HTTP takes no more of the
// blob store than it has to.
func TestStorageShows(t *testing.T) {
	s := ownServer(t)
	anna := newAccount(t, s, "anna")
	laptop := anna.mountNew(t, "laptop")
	at := func(path ...string) string { return filepath.Join(append([]string{laptop.Mount}, path...)...) }
	const small = 1000
	contents := make([][]byte, small)

	t.Run("a thousand small files are a few objects", func(t *testing.T) {
		total := int64(0)
		objects, size := grown(t, s, func() {
			for i := range small {
				contents[i] = randomBytes(100 + rand.IntN(8000))
				total += int64(len(contents[i]))
				must(t, os.MkdirAll(at("small", fmt.Sprint(i%20)), 0o755))
				must(t, os.WriteFile(at("small", fmt.Sprint(i%20), fmt.Sprint(i)), contents[i], 0o644))
			}
			syncAll(t, laptop)
		})
		t.Logf("%d files of %d bytes in all became %d objects of %d bytes", small, total, objects, size)
		if objects < 1 || objects > 20 || size < total {
			t.Errorf("%d objects of %d bytes", objects, size)
		}
	})

	t.Run("they come back in one answer", func(t *testing.T) {
		var files []api.ContentRef
		for i := range small {
			files = append(files, api.ContentRef{Node: anna.node(t, fmt.Sprintf("small/%d/%d", i%20, i)).ID})
		}
		body, err := json.Marshal(map[string]any{"files": files})
		must(t, err)
		got := anna.ask(t, "POST", "/v1/drives/home/contents", map[string]string{"Content-Type": "application/json"}, body)
		seen := 0
		err = chunk.ReadContents(bytes.NewReader(got.body), small, func(i int, _ api.Version, r io.Reader) error {
			b, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(b, contents[i]) {
				t.Errorf("file %d came as %d bytes, %v", i, len(b), err)
			}
			seen++
			return nil
		})
		if err != nil || seen != small {
			t.Errorf("%d files, %v, status %d", seen, err, got.status)
		}
	})

	t.Run("a copy of a folder stores nothing", func(t *testing.T) {
		objects, size := grown(t, s, func() {
			command(t, laptop.Mount, "cp", "-r", "small", "copy")
			syncAll(t, laptop)
		})
		if objects != 0 || size != 0 {
			t.Errorf("%d objects of %d bytes", objects, size)
		}
		must(t, anna.stored(t, "copy/7/7", contents[7]))
	})

	t.Run("an inserted byte stores little", func(t *testing.T) {
		film := randomBytes(64 << 20)
		_, size := grown(t, s, func() {
			must(t, os.WriteFile(at("film"), film, 0o644))
			syncAll(t, laptop)
		})
		if size < 64<<20 {
			t.Errorf("64 MiB took %d bytes", size)
		}
		film = slices.Insert(film, 31<<20, 'x')
		_, size = grown(t, s, func() {
			must(t, os.WriteFile(at("film"), film, 0o644))
			syncAll(t, laptop)
		})
		t.Logf("one byte inserted stored %.1f MiB", float64(size)/(1<<20))
		if size < 1 || size > 8<<20 {
			t.Errorf("one byte more took %d bytes", size)
		}
		must(t, anna.stored(t, "film", film))
	})

	t.Run("two users' same content is stored for each", func(t *testing.T) {
		boris := newAccount(t, s, "boris")
		content := randomBytes(3 << 20)
		for _, a := range []*account{anna, boris} {
			_, size := grown(t, s, func() { a.store(t, "same", content) })
			if size < 3<<20 {
				t.Errorf("%s's 3 MiB took %d bytes", a.email, size)
			}
		}
		if objects, _ := grown(t, s, func() { boris.store(t, "again", content) }); objects != 0 {
			t.Errorf("one user's same content took %d objects more", objects)
		}
	})
}

// node is the node at a path.
func (a *account) node(t *testing.T, path string) api.Node {
	t.Helper()
	got := a.ask(t, "GET", "/v1/drives/home/lookup?path="+url.QueryEscape(path), nil, nil)
	var n api.Node
	if err := json.Unmarshal(got.body, &n); err != nil || got.status != 200 {
		t.Fatalf("lookup of %s: %v %v", path, got, err)
	}
	return n
}
