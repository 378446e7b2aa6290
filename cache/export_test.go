package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// filesBelow is what a plain folder has: paths, with a slash after folders, and contents.
func filesBelow(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name := strings.TrimPrefix(path, dir+"/")
		switch {
		case e.IsDir():
			found[name+"/"] = ""
		case e.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			found[name] = "→ " + target
			return err
		default:
			b, err := os.ReadFile(path)
			found[name] = string(b)
			return err
		}
		return nil
	}))
	return found
}

// Unsent work can be had as plain files without the server, from a drive that works and from a
// cache that nobody uses; and the drive sends it all the same.
func TestExport(t *testing.T) {
	a, b, _, _ := pair(t)
	must(t, a.mkdir("docs"))
	for _, name := range []string{"docs/sent", "docs/edited", "docs/touched", "both", "moved", "gone"} {
		must(t, a.write(name, "0"))
	}
	mustQuiet(t, a, b)
	// Two contents of one name: one that another device removed is still written to, and that device made another.
	h, err := a.openFile("both", unix.O_RDWR)
	must(t, err)
	must(t, b.unlink("both"))
	must(t, b.write("both", "b's"))
	must(t, b.sync())
	eventually(t, "a has b's content", func() bool { text, err := a.read("both"); return err == nil && text == "b's" })
	a.wire.cut()
	must(t, h.write("through the old handle"))
	must(t, a.write("both", "over b's"))
	must(t, a.write("docs/edited", "edited"))
	must(t, a.chmod("docs/edited", 0o640))
	must(t, a.write("docs/touched", "0")) // opened and written, and as it was
	must(t, a.mkdir("docs/new"))
	must(t, a.mkdir("empty"))
	must(t, a.write("docs/new/\xff", "a name that is no text"))
	must(t, a.symlink("new", "docs/link"))
	must(t, a.rename("moved", "docs/new/moved", 0))
	must(t, a.unlink("gone"))
	want := map[string]string{
		"both": "over b's", "both (2)": "through the old handle", "docs/": "", "docs/edited": "edited", "docs/new/": "", "empty/": "",
		"docs/new/\xff": "a name that is no text", "docs/link": "→ new",
	}
	check := func(d *Drive, when string) {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "out")
		x, err := d.Export(t.Context(), dir, false)
		must(t, err)
		got := filesBelow(t, dir)
		if got["both"] != want["both"] { // which of the two has the name is open
			got["both"], got["both (2)"] = got["both (2)"], got["both"]
		}
		for name, content := range want {
			if is, ok := got[name]; !ok || is != content {
				t.Errorf("%s: %q has %q, want %q", when, name, is, content)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: exported\n%q", when, got)
		}
		if info, err := os.Stat(filepath.Join(dir, "docs/edited")); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: %v %v", when, info, err)
		}
		if !slices.Contains(x.Others, "rename moved → docs/new/moved") || !slices.Contains(x.Others, "unlink gone") ||
			!slices.Contains(x.Others, "setattr docs/edited") || len(x.Others) != 3 {
			t.Errorf("%s: others %q", when, x.Others)
		}
		if x.Files != 7 {
			t.Errorf("%s: %d files", when, x.Files)
		}
		if _, err := d.Export(t.Context(), dir, false); api.KindOf(err) != api.NotEmpty || !strings.Contains(err.Error(), "is not empty") {
			t.Errorf("%s: into a folder that has something: %v", when, err)
		}
	}
	check(a.d, "at work")
	h.close()
	must(t, a.d.Close())
	a.d = nil
	offline := a.cfg
	offline.Remote, offline.User, offline.Device = nil, api.ID{}, api.ID{}
	d, err := OpenForExport(offline)
	must(t, err)
	check(d, "at rest")
	must(t, d.Close())
	a.wire.mend()
	a.start()
	truth := mustQuiet(t, a, b)
	for _, content := range want {
		if content != "" && !strings.HasPrefix(content, "→") && len(truth.find(content)) != 1 {
			t.Errorf("%q is at %q after the export", content, truth.find(content))
		}
	}
	if s := a.d.Status(); s.Refused > 0 || s.PendingMutations > 0 {
		t.Errorf("%+v", s)
	}
	if x, err := a.d.Export(t.Context(), t.TempDir(), false); err != nil || x.Files+len(x.Others) != 0 {
		t.Errorf("with nothing unsent: %+v %v", x, err)
	}
}

// TestExportIsGivenUp: an unmount does not wait for the file that is copied, and no half of it is left.
func TestExportIsGivenUp(t *testing.T) {
	dir, from := t.TempDir(), filepath.Join(t.TempDir(), "content")
	must(t, os.WriteFile(from, make([]byte, 1<<20), 0o600))
	content, err := os.Open(from)
	must(t, err)
	defer content.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := export{path: "film", typ: 'f', mode: 0o600}
	if n, written, err := e.write(ctx, dir, content); n != 0 || written || !errors.Is(err, context.Canceled) {
		t.Errorf("%d bytes, %t, %v", n, written, err)
	}
	if left := filesBelow(t, dir); len(left) != 0 {
		t.Errorf("left is %q", left)
	}
	if n, written, err := e.write(t.Context(), dir, content); n != 1<<20 || !written || err != nil {
		t.Errorf("the next time: %d bytes, %t, %v", n, written, err)
	}
}

// What has no cache says so; a cache in use too.
func TestExportOfNothing(t *testing.T) {
	v := alone(t)
	if _, err := OpenForExport(Config{Dir: t.TempDir(), Log: v.cfg.Log}); api.KindOf(err) != api.NotFound {
		t.Errorf("an empty directory: %v", err)
	}
}

// Names are never overwritten, and no symlink leads out.
func TestExportPlaces(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	for _, c := range []struct {
		path, want string
		typ        byte
	}{
		{"a", "a", 'f'}, {"a", "a (2)", 'f'}, {"a", "a (3)", 'l'}, {"a/b", "a (4)/b", 'f'}, {"a/b", "a (4)/b (2)", 'f'},
		{"report.txt", "report.txt", 'f'}, {"report.txt", "report (2).txt", 'f'}, {".rc", ".rc", 'f'}, {".rc", ".rc (2)", 'f'},
		{"d", "d", 'd'}, {"d", "d", 'd'}, {"d", "d (2)", 'f'},
		{strings.Repeat("x", 255), strings.Repeat("x", 255), 'f'}, {strings.Repeat("x", 255), strings.Repeat("x", 251) + " (2)", 'f'},
		{"way/out", "way (2)/out", 'f'}, {"../up", "_../up", 'f'}, {"d/..", "d/_..", 'f'}, {"d//e", "d/_/e", 'f'},
	} {
		if c.path == "way/out" {
			must(t, os.Symlink(outside, filepath.Join(dir, "way")))
		}
		e := export{path: c.path, typ: c.typ, target: "x", mode: 0o600}
		at, err := e.place(dir)
		if err != nil || at != filepath.Join(dir, c.want) {
			t.Errorf("%.20q goes to %q, %v; want %q", c.path, at, err, c.want)
		}
		if _, _, err := e.write(t.Context(), dir, nil); err != nil {
			t.Errorf("%.20q: %v", c.path, err)
		}
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 0 {
		t.Errorf("outside: %v %v", left, err)
	}
}

// An export needs few descriptors, however many files there are: it is made in the daemon, of which programs need them too.
func TestExportOfMoreFilesThanDescriptors(t *testing.T) {
	v := alone(t)
	mustQuiet(t, v)
	v.wire.cut()
	const files = 300
	for i := range files {
		must(t, v.write(fmt.Sprint("file ", i), fmt.Sprint("content ", i)))
	}
	v.end() // what works behind a mount opens files, too
	d, err := OpenForExport(v.cfg)
	must(t, err)
	defer d.Close()
	enough := fewDescriptors(t, 100)
	x, err := d.Export(t.Context(), filepath.Join(t.TempDir(), "out"), false)
	enough()
	if err != nil || x.Files != files {
		t.Errorf("exported %+v, %v", x, err)
	}
}
