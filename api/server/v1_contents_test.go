package server

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/api"
	"satchel/api/chunk"
)

const contentsPath = "/v1/drives/home/contents"

// contents makes a batch read and tells what came for each file.
func (f *fixture) contents(as, drive string, files ...api.ContentRef) []string {
	f.t.Helper()
	resp := f.send(request{method: "POST", path: "/v1/drives/" + drive + "/contents", as: as, body: contentsBody{files}})
	defer resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/octet-stream" {
		f.t.Fatalf("contents = %s %v", resp.Status, resp.Header)
	}
	got := make([]string, len(files))
	err := chunk.ReadContents(resp.Body, len(files), func(i int, _ api.Version, body io.Reader) error {
		b, err := io.ReadAll(body)
		if got[i] = string(b); err != nil {
			got[i] = fmt.Sprintf("%s: %v", api.KindOf(err), err)
		}
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return got
}

func (f *fixture) node(as, path string) api.ID {
	f.t.Helper()
	return into[api.Node](f, f.do(request{path: "/v1/drives/home/lookup?path=" + path, as: as})).ID
}

func TestV1Contents(t *testing.T) {
	f := newFixture(t)
	var files []api.ContentRef
	var want []string
	for i := range 50 {
		path, content := fmt.Sprintf("dir/%d", i), strings.Repeat(fmt.Sprint(i, " "), i)
		f.store(alice, path, content)
		files, want = append(files, api.ContentRef{Node: f.node(alice, path)}), append(want, content)
	}
	for i, got := range f.contents(alice, "home", files...) {
		if got != want[i] {
			t.Errorf("%d is %q, not %q", i, got, want[i])
		}
	}

	// Another's file is as one that is not there, and spoils nothing.
	f.store(bob, "diary", "Bob's own")
	theirs := f.node(bob, "diary")
	got := f.contents(alice, "home", files[7], api.ContentRef{Node: theirs}, api.ContentRef{Node: api.NewID()}, files[8])
	if got[0] != want[7] || got[3] != want[8] || got[1] != got[2] || !strings.HasPrefix(got[1], "not_found: ") {
		t.Errorf("among others' = %q", got)
	}
	home := into[api.DriveInfo](f, f.do(request{path: "/v1/drives/home", as: alice}))
	post := func(as string, body any) request {
		return request{method: "POST", path: contentsPath, as: as, body: body}
	}
	foreign := post(bob, contentsBody{files[:1]})
	foreign.path = "/v1/drives/" + home.ID.String() + "/contents"
	film := strings.Repeat("x", 33<<20)
	f.store(alice, "film", film)
	large := api.ContentRef{Node: f.node(alice, "film")}
	for _, tt := range []struct {
		name   string
		r      request
		status int
		kind   api.Kind
	}{
		{"nobody", post("", contentsBody{files}), 401, api.Unauthenticated},
		{"another's drive", foreign, 404, api.NotFound},
		{"an admin", post(root, contentsBody{files}), 403, api.Permission},
		{"no list", post(alice, "files"), 400, api.Invalid},
		{"an id that is none", post(alice, `{"files":[{"node":"x"}]}`), 400, api.Invalid},
		{"too many", post(alice, contentsBody{make([]api.ContentRef, api.MaxContents+1)}), 413, api.TooLarge},
		{"too many bytes", post(alice, contentsBody{[]api.ContentRef{large, large}}), 413, api.TooLarge},
		{"a body without end", post(alice, strings.Repeat(" ", 1<<20)), 413, api.TooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) { f.problem(f.do(tt.r), tt.status, tt.kind) })
	}
	if got := f.contents(alice, "home", large); got[0] != film {
		t.Errorf("a film of %d bytes came as %d", len(film), len(got[0]))
	}
	if a := f.do(request{path: "/openapi.json"}); !strings.Contains(a.body, `"/v1/drives/{drive}/contents"`) || !strings.Contains(a.body, "ContentRef") {
		t.Error("the batch read is not described")
	}
}

// A stream whose server dies is torn, not short.
// Holes are zeros, they are most of them, and nobody else's.
func TestV1Holes(t *testing.T) {
	f := newFixture(t)
	head, zeros := strings.Repeat("head ", 1<<20), strings.Repeat("\x00", 20<<20)
	f.store(alice, "dir/disk.img", head+zeros+"the end")
	f.store(alice, "dir/letter", "no hole")
	holes := func(as, drive, path string) answerData {
		return f.do(request{path: "/v1/drives/" + drive + "/nodes/" + f.node(alice, path).String() + "/holes", as: as})
	}
	got := into[holesOutput](f, holes(alice, "home", "dir/disk.img")).Holes
	if len(got) != 1 || got[0].Off < int64(len(head)) || got[0].Size < 12<<20 || got[0].Off+got[0].Size > int64(len(head)+len(zeros)) {
		t.Errorf("holes %v", got)
	}
	if got := into[holesOutput](f, holes(alice, "home", "dir/letter")).Holes; len(got) != 0 {
		t.Errorf("holes of a letter %v", got)
	}
	home := into[api.DriveInfo](f, f.do(request{path: "/v1/drives/home", as: alice})).ID.String()
	f.problem(holes(alice, "home", "dir"), 409, api.IsDirectory)
	f.problem(holes(bob, home, "dir/disk.img"), 404, api.NotFound)
	f.problem(holes(bob, "home", "dir/disk.img"), 404, api.NotFound)
}

func TestV1ContentsTorn(t *testing.T) {
	f := newFixture(t)
	f.store(alice, "film", strings.Repeat("x", 20<<20))
	files := []api.ContentRef{{Node: f.node(alice, "film")}}
	resp := f.send(request{method: "POST", path: contentsPath, as: alice, body: contentsBody{files}})
	defer resp.Body.Close()
	err := chunk.ReadContents(&cut{resp, 1 << 20}, 1, func(_ int, _ api.Version, body io.Reader) error {
		_, err := io.Copy(io.Discard, body)
		return err
	})
	if err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a torn stream: %v", err)
	}

	// A pack that is lost is that file's failure; the log says which.
	err = filepath.WalkDir(f.blobs, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			err = os.Truncate(path, 0)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	f.store(alice, "letter", "Dear Alice")
	got := f.contents(alice, "home", files[0], api.ContentRef{Node: f.node(alice, "letter")})
	if !strings.HasPrefix(got[0], "internal: ") || got[1] != "Dear Alice" || !strings.Contains(f.log.String(), "contents of a batch read are lost") {
		t.Errorf("with a lost pack: %.100q", got)
	}
}

// cut closes the connection after some bytes.
type cut struct {
	resp *http.Response
	left int
}

func (c *cut) Read(b []byte) (int, error) {
	if c.left <= 0 {
		c.resp.Body.Close()
	}
	n, err := c.resp.Body.Read(b)
	c.left -= n
	return n, err
}
