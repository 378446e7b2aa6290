package server

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"satchel/storage"
)

func pngOf(w, h int, c color.Color) string {
	m := image.NewPaletted(image.Rect(0, 0, w, h), color.Palette{c})
	var b bytes.Buffer
	png.Encode(&b, m)
	return b.String()
}

// TestWebPreviews: what can be shown is, and nothing of it can run as a page of ours.
func TestWebPreviews(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	for name, content := range map[string]string{
		"photo.png": pngOf(800, 400, color.RGBA{R: 200, A: 255}), "code.go": "package main // <script>alert(1)</script>\n", "page.html": "<script>alert(1)</script>",
		"drawing.svg": `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`, "noext": "plain words", "data.bin": "\x00\x01\x02",
		"song.mp3": "ID3", "film.mp4": "\x00\x00\x00\x18ftypmp42", "paper.pdf": "%PDF-1.4", "long.txt": strings.Repeat("ä", 200_000),
	} {
		b.upload("", name, content)
	}
	for name, want := range map[string]string{
		"photo.png": `<img src="/open/photo.png"`, "code.go": "&lt;script&gt;alert(1)&lt;/script&gt;", "page.html": "&lt;script&gt;", "drawing.svg": "&lt;script&gt;",
		"noext": "plain words", "data.bin": "There is no preview", "song.mp3": `<audio controls preload="metadata" src="/open/song.mp3"`,
		"film.mp4": `<video controls preload="metadata" src="/open/film.mp4"`, "paper.pdf": `<iframe src="/open/paper.pdf"`, "long.txt": "There is more",
	} {
		p := b.get("/file/"+name).want(t, name, "/file/"+name, want)
		p.lacks(t, name, "<script>alert")
		open := b.get("/open/" + name)
		if open.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s may be sniffed", name)
		}
		if policy := open.header.Get("Content-Security-Policy"); name != "paper.pdf" && !strings.Contains(policy, "sandbox") || !strings.Contains(policy, "default-src 'none'") {
			t.Errorf("%s has the policy %q", name, policy)
		}
		if name == "page.html" || name == "drawing.svg" {
			if d := open.header.Get("Content-Disposition"); !strings.HasPrefix(d, "attachment") {
				t.Errorf("%s is %q", name, d)
			}
		}
	}
	// Seeking.
	a := f.do(request{method: "GET", path: "/open/film.mp4", as: alice, header: map[string]string{"Range": "bytes=4-7"}})
	if a.status != 206 || a.body != "ftyp" {
		t.Errorf("a range: %d %q", a.status, a.body)
	}
}

// TestWebThumbnails: pictures are made once, are small, and whoever may not see the image gets none.
func TestWebThumbnails(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	b.upload("", "red photo.png", pngOf(800, 400, color.RGBA{R: 200, A: 255}))
	b.upload("", "broken.png", "\x89PNG no picture")
	at := regexp.MustCompile(`src="(/thumb/red[^"]+)"`).FindStringSubmatch(b.get("/browse/").body)
	if at == nil {
		t.Fatal("the list has no picture")
	}
	for range 2 {
		p := b.get(at[1])
		m, format, err := image.Decode(strings.NewReader(p.body))
		if err != nil || format != "jpeg" || m.Bounds().Dx() != 256 || m.Bounds().Dy() != 128 {
			t.Fatalf("the picture: %d %v %v", p.status, format, err)
		}
		if c := p.header.Get("Cache-Control"); c != "private, max-age=31536000, immutable" {
			t.Errorf("it may be kept: %q", c)
		}
	}
	b.get("/thumb/broken.png").want(t, "no picture", "/assets/picture.svg")
	c := f.browser()
	c.signIn(bob)
	if p := c.get(at[1]); p.status != 404 {
		t.Errorf("another one's picture: %d", p.status)
	}
	if p := f.browser().get(at[1]); p.path != "/" {
		t.Errorf("a stranger's: %d at %s", p.status, p.path)
	}
}

// TestWebVersions: an old version can be looked at, as it was.
func TestWebVersions(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	b.upload("", "poem.txt", "the first line")
	b.upload("", "poem.txt", "another line")
	old := regexp.MustCompile(`href="\?version=([0-9a-f-]+)"`).FindStringSubmatch(b.get("/file/poem.txt").body)
	if old == nil {
		t.Fatal("no version to look at")
	}
	p := b.get("/file/poem.txt?version=" + old[1])
	p.want(t, "the old version", "/file/poem.txt", "the first line", "This is the version of", "Restore this version").lacks(t, "the old version", "another line")
	b.post("/do/restore-version", "path", "poem.txt", "version", old[1]).want(t, "restored", "/file/poem.txt", "the first line")
}

// TestWebMetadata: what the owner says is kept as what it is: texts, numbers, and all else.
func TestWebMetadata(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	b.upload("", "a.txt", "x")
	v := url.Values{"path": {"a.txt"}, "key": {"colour", "stars", "tags", "zip", ""}, "value": {"<blue>", "3", `["a","b"]`, `"1234"`, "lost"}}
	a := f.do(request{method: "POST", path: "/do/metadata", as: alice, body: v.Encode(), header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}})
	if a.status >= 400 {
		t.Fatalf("saving: %d %s", a.status, a.body)
	}
	if a := f.do(request{method: "GET", path: "/rpc/get_metadata?p_file_name=a.txt", as: alice}); !strings.Contains(a.body, `"metadata":{"zip":"1234","tags":["a","b"],"stars":3,"colour":"`) {
		t.Errorf("it is %s", a.body)
	}
	b.get("/file/a.txt").want(t, "the form", "/file/a.txt", `value="colour"`, `value="&lt;blue&gt;"`, `value="3"`, `value="&#34;1234&#34;"`)
}

// TestWebConflicts: both sides are shown, and one word decides.
func TestWebConflicts(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	copyOf := func(name string) string { return name + " (conflict, laptop, 2026-11-23 14.02).txt" }
	for _, name := range []string{"one", "two", "three"} {
		b.upload("", name+".txt", "the file "+name)
		b.upload("", copyOf(name), "the copy "+name)
	}
	b.upload("", copyOf("lost"), "the copy lost")
	b.get("/browse/").want(t, "the folder", "/browse/", "4 files here have", `href="/conflicts"`)
	b.get("/file/"+url.PathEscape(copyOf("one"))).want(t, "a copy's page", "/file/"+copyOf("one"), "This is what laptop made")
	b.get("/conflicts").want(t, "the conflicts", "/conflicts", "one.txt", "From laptop", "moved or deleted meanwhile")
	b.post("/do/resolve", "path", copyOf("one"), "keep", "copy")
	b.get("/open/one.txt").bodyIs(t, "with the copy kept", "the copy one")
	if p := b.get("/file/one.txt"); strings.Count(p.body, "Look at it") != 1 {
		t.Errorf("what the copy replaced is no version of it")
	}
	b.post("/do/resolve", "path", copyOf("two"), "keep", "file")
	b.get("/open/two.txt").bodyIs(t, "with the file kept", "the file two")
	b.post("/do/resolve", "path", copyOf("three"), "keep", "both")
	b.get("/open/three.txt").bodyIs(t, "with both kept, the file", "the file three")
	b.get("/open/"+url.PathEscape("three (laptop).txt")).bodyIs(t, "with both kept, the copy", "the copy three")
	b.post("/do/resolve", "path", copyOf("lost"), "keep", "copy")
	b.get("/open/lost.txt").bodyIs(t, "with the file gone", "the copy lost")
	b.get("/conflicts").want(t, "afterwards", "/conflicts", "There are no conflicts.")
	if p := b.post("/do/resolve", "path", "one.txt", "keep", "copy"); p.status != 400 {
		t.Errorf("no conflict: %d", p.status)
	}
}

// TestWebConflictsFolders: a folder that has a file's name, or a copy's, is never what a decision takes away.
func TestWebConflictsFolders(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	const copied = "V (conflict, laptop, 2026-11-23 14.02)"
	b.upload("", copied, "the copy")
	b.upload("V/", "in.txt", "in the folder")
	b.upload("W (conflict, laptop, 2026-11-23 14.02)/", "in.txt", "in the other")
	b.get("/conflicts").want(t, "a folder's name", "/conflicts", "something else", "Keep both").lacks(t, "a folder's name", "Keep the file", "Keep laptop")
	b.post("/do/resolve", "path", copied, "keep", "copy")
	b.get("/open/V/in.txt").bodyIs(t, "in the folder, with the copy to be kept", "in the folder")
	for _, keep := range []string{"file", "copy"} {
		b.post("/do/resolve", "path", "W (conflict, laptop, 2026-11-23 14.02)", "keep", keep)
		b.get("/open/"+url.PathEscape("W (conflict, laptop, 2026-11-23 14.02)")+"/in.txt").bodyIs(t, "a folder of a copy's name, keep "+keep, "in the other")
	}
	b.post("/do/resolve", "path", copied, "keep", "both")
	b.get("/open/"+url.PathEscape("V (laptop)")).bodyIs(t, "with both kept", "the copy")
}

// TestWebConflictsTimes: both sides are shown with the times that their files have.
func TestWebConflictsTimes(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	d, err := f.home(alice)
	if err != nil {
		t.Fatal(err)
	}
	mtime := time.Date(2021, 1, 1, 12, 0, 0, 0, time.UTC).UnixNano()
	for _, name := range []string{"a.txt", "a (conflict, laptop, 2026-11-23 14.02).txt"} {
		if _, _, err := d.Put(t.Context(), names(name), strings.NewReader(name), storage.PutOptions{Mtime: mtime}); err != nil {
			t.Fatal(err)
		}
	}
	if p := b.get("/conflicts"); strings.Count(p.body, `datetime="2021-01-01T12:00:00Z"`) != 2 {
		t.Errorf("the times are not both the files': %s", p.body)
	}
}
