package storage

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/api"
	"satchel/storage/postgres"
)

func (d *drive) store(t testing.TB, path, content string) File {
	t.Helper()
	names, err := api.ParsePath(path)
	if err != nil {
		t.Fatal(err)
	}
	description := "about " + path
	f, err := d.Store(t.Context(), names, strings.NewReader(content), PutOptions{Description: &description})
	if err != nil {
		t.Fatalf("store %s: %v", path, err)
	}
	return f
}

func TestStoreMoveDelete(t *testing.T) {
	w := newWorld(t)
	me := w.user(t, "editor")
	d, other := w.home(t, me), w.home(t, me.device("desktop"))
	start := time.Now().Add(-time.Minute)
	f := d.store(t, "a/b/c.png", "one")
	if f.FilePath != "a/b/c.png" || f.Description != "about a/b/c.png" || f.ContentType != "image/png" || f.UserID != me.User ||
		f.Size != 3 || f.CreatedAt.Before(start) || f.UpdatedAt.Before(start) {
		t.Errorf("stored %+v", f)
	}
	again, err := d.Store(t.Context(), []api.Name{"a", "b", "c.png"}, strings.NewReader("second"), PutOptions{})
	if err != nil || again.ID != f.ID || !again.UpdatedAt.After(f.UpdatedAt) || !again.CreatedAt.Equal(f.CreatedAt) || again.Description != f.Description {
		t.Errorf("stored again %+v, %v", again, err)
	}
	if got := d.read(t, "a/b/c.png"); got != "second" {
		t.Errorf("read %q", got)
	}
	for path, kind := range map[string]api.Kind{"a/b": api.IsDirectory, "a/b/c.png/d": api.NotDirectory, "": api.IsDirectory} {
		names, _ := api.ParsePath(path)
		if _, err := d.Store(t.Context(), names, nothing{}, PutOptions{}); api.KindOf(err) != kind {
			t.Errorf("store %q: %v", path, err)
		}
	}
	if _, err := d.Store(t.Context(), []api.Name{"..", "x"}, nothing{}, PutOptions{}); api.KindOf(err) != api.Invalid {
		t.Errorf("store above the root: %v", err)
	}

	d.store(t, "taken", "")
	if err := d.MoveFile(t.Context(), f, []api.Name{"taken"}); api.KindOf(err) != api.Exists {
		t.Errorf("move onto a file: %v", err)
	}
	moved := []api.Name{"new", "dir", "d.txt"}
	if err := d.MoveFile(t.Context(), f, moved); err != nil {
		t.Fatal(err)
	}
	if err := d.MoveFile(t.Context(), f, moved); api.KindOf(err) != api.NotFound {
		t.Errorf("move from where it was: %v", err)
	}
	f.FilePath = api.JoinPath(moved)
	if err := d.MoveFile(t.Context(), f, moved); err != nil {
		t.Errorf("move to where it is: %v", err)
	}
	d.read(t, "new/dir/d.txt")
	if err := d.Describe(t.Context(), "changed", f.ID); err != nil {
		t.Fatal(err)
	}
	files, err := other.Files(t.Context(), FileQuery{Filters: []Filter{{Column: postgres.ColumnID, Op: postgres.Eq, Values: []string{f.ID.String()}}}})
	if err != nil || len(files) != 1 || files[0].FilePath != "new/dir/d.txt" || files[0].Description != "changed" || files[0].ContentType != "text/plain; charset=utf-8" {
		t.Errorf("found %+v, %v", files, err)
	}
	if c := other.changesAfter(t, 0, 0); len(c.Entries) == 0 {
		t.Error("other devices do not see it")
	}
	for want := 1; want >= 0; want-- {
		if deleted, err := d.DeleteFiles(t.Context(), f); err != nil || len(deleted) != want {
			t.Fatalf("deleted %d, %v", len(deleted), err)
		}
	}
	for what, err := range map[string]error{
		"move": d.MoveFile(t.Context(), f, []api.Name{"x"}), "describe": d.Describe(t.Context(), "", f.ID),
	} {
		if api.KindOf(err) != api.NotFound {
			t.Errorf("%s what is gone: %v", what, err)
		}
	}
	w.verify(t, d.ID())
}

// What is done to a row is done to its name, while that leads to its document.
func TestRowsAreNames(t *testing.T) {
	w := newWorld(t)
	odd := api.Name("\xff") // of a name that is not text the row has another
	remove := func(d *drive, f File) error {
		_, err := d.DeleteFiles(t.Context(), f)
		return err
	}
	for name, test := range map[string]struct {
		do   func(*drive, File) error
		kind api.Kind
		want string
	}{
		"a name is deleted":           {remove, "", "a other"},
		"a name moves":                {func(d *drive, f File) error { return d.MoveFile(t.Context(), f, names(t, "dir/c")) }, "", "a dir/c other"},
		"to where another name is":    {func(d *drive, f File) error { return d.MoveFile(t.Context(), f, names(t, "a")) }, api.Exists, "a " + odd.Escape() + " other"},
		"it leads to another by then": {func(d *drive, f File) error { f.FilePath = "other"; return remove(d, f) }, "", "a " + odd.Escape() + " other"},
		"it is no name":               {func(d *drive, f File) error { f.FilePath = ""; return d.MoveFile(t.Context(), f, names(t, "c")) }, api.NotFound, "a " + odd.Escape() + " other"},
	} {
		t.Run(name, func(t *testing.T) {
			d := w.home(t, w.user(t, "editor"))
			d.store(t, "other", "another")
			d.store(t, "a", "content")
			n, err := d.Lookup(t.Context(), names(t, "a"))
			if err != nil {
				t.Fatal(err)
			}
			d.commit(t, api.Mutation{Op: api.OpLink, Node: n.ID, Parent: d.Root(), Name: odd, Time: 1})
			files, err := d.Files(t.Context(), FileQuery{Filters: []Filter{{Column: postgres.ColumnFilePath, Op: postgres.Eq, Values: []string{odd.Escape()}}}})
			if err != nil || len(files) != 1 {
				t.Fatalf("the row: %+v, %v", files, err)
			}
			if err := test.do(d, files[0]); api.KindOf(err) != test.kind {
				t.Errorf("%v, want %q", err, test.kind)
			}
			files, err = d.Files(t.Context(), FileQuery{})
			got := strings.Fields(paths(files))
			slices.Sort(got)
			want := strings.Fields(test.want)
			if slices.Sort(want); err != nil || !slices.Equal(got, want) {
				t.Errorf("the files are %q, not %q: %v", got, want, err)
			}
			w.verify(t, d.ID())
		})
	}
}

// Rows are deleted and described together, or none is.
func TestRowsTogether(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	for _, name := range []string{"a", "b", "c"} {
		d.store(t, name, name)
	}
	rows := func() []File {
		t.Helper()
		files, err := d.Files(t.Context(), FileQuery{})
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	files := rows()
	broken := append(slices.Clone(files[:2]), File{ID: files[2].ID, FilePath: "a/../b"}) // no row has such a path
	if _, err := d.DeleteFiles(t.Context(), broken...); api.KindOf(err) != api.Invalid {
		t.Errorf("with one that is no path: %v", err)
	}
	if err := d.Describe(t.Context(), "described", files[0].ID, api.NewID()); api.KindOf(err) != api.NotFound {
		t.Errorf("with one that is not there: %v", err)
	}
	for _, f := range rows() {
		if f.Description != "about "+f.FilePath {
			t.Errorf("%s is %q", f.FilePath, f.Description)
		}
	}
	if n := len(rows()); n != 3 {
		t.Fatalf("%d rows are left", n)
	}
	if err := d.Describe(t.Context(), "described", files[0].ID, files[1].ID); err != nil || rows()[1].Description != "described" {
		t.Errorf("described: %v", err)
	}
	gone := File{ID: api.NewID(), FilePath: "d"}
	deleted, err := d.DeleteFiles(t.Context(), files[0], gone, files[2])
	if err != nil || paths(deleted) != paths([]File{files[0], files[2]}) || paths(rows()) != paths(files[1:2]) {
		t.Errorf("deleted %q, %v; %q are left", paths(deleted), err, paths(rows()))
	}
	w.verify(t, d.ID())
}

// A file comes with its description, or not at all.
func TestStoreDescribes(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	bad, good := "\x00", "what it is" // the one can't be stored
	resume := func(path string, description *string) error {
		u, err := d.BeginResumable(t.Context(), api.NewID(), names(t, path), 7, nil)
		if err == nil {
			_, err = d.Append(t.Context(), u.ID, 0, strings.NewReader("content"), ResumableOptions{Description: description})
		}
		return err
	}
	store := func(path string, description *string) error {
		_, err := d.Store(t.Context(), names(t, path), strings.NewReader("content"), PutOptions{Description: description})
		return err
	}
	for name, put := range map[string]func(string, *string) error{"at once": store, "in parts": resume} {
		t.Run(name, func(t *testing.T) {
			if err := put(name, &bad); err == nil {
				t.Error("a description with a NUL: no error")
			}
			if n, err := d.Lookup(t.Context(), names(t, name)); api.KindOf(err) != api.NotFound {
				t.Errorf("the file that has no description: %+v %v", n, err)
			}
			if err := put(name, &good); err != nil {
				t.Fatal(err)
			}
			n, err := d.Lookup(t.Context(), names(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if f, err := d.storedFile(t.Context(), n.ID); err != nil || f.Description != good {
				t.Errorf("the file: %+v %v", f, err)
			}
		})
	}
}

func paths(files []File) string {
	p := make([]string, len(files))
	for i, f := range files {
		p[i] = f.FilePath
	}
	return strings.Join(p, " ")
}

func TestFileQueries(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	stranger := w.home(t, w.user(t, "editor"))
	byPath := map[string]File{}
	for i, p := range []string{"a/b/one.txt", "a/b/two.PNG", "a/bc/three", "a/four_x.txt", "Ärger.pdf", "z%.txt"} {
		byPath[p] = d.store(t, p, strings.Repeat("x", i))
	}
	stranger.store(t, "a/b/one.txt", "another one's")
	one := byPath["a/b/one.txt"]
	const all = "a/b/one.txt a/b/two.PNG a/bc/three a/four_x.txt z%.txt Ärger.pdf"
	filter := func(c Column, op Comparison, values ...string) []Filter {
		return []Filter{{Column: c, Op: op, Values: values}}
	}
	not := func(f []Filter) []Filter { f[0].Negate = true; return f }
	for _, test := range []struct {
		name string
		q    FileQuery
		want string
	}{
		{"all", FileQuery{}, all},
		{"page", FileQuery{Limit: 2, Offset: 1}, "a/b/two.PNG a/bc/three"},
		{"by size", FileQuery{Orders: []Order{{Column: postgres.ColumnSize, Descending: true}}, Limit: 2}, "z%.txt Ärger.pdf"},
		{"path eq", FileQuery{Filters: filter(postgres.ColumnFilePath, postgres.Eq, "a/b/one.txt")}, "a/b/one.txt"},
		{"path eq, missing", FileQuery{Filters: filter(postgres.ColumnFilePath, postgres.Eq, "q/b/one.txt")}, ""},
		{"path eq, not normal", FileQuery{Filters: filter(postgres.ColumnFilePath, postgres.Eq, "a//b/one.txt")}, ""},
		{"path eq, through a file", FileQuery{Filters: filter(postgres.ColumnFilePath, postgres.Eq, "a/b/one.txt/x")}, ""},
		{"path neq", FileQuery{Filters: filter(postgres.ColumnFilePath, postgres.Neq, "a/b/one.txt")}, "a/b/two.PNG a/bc/three a/four_x.txt z%.txt Ärger.pdf"},
		{"path like", FileQuery{Filters: filter(postgres.ColumnFilePath, postgres.Like, "a/b/%")}, "a/b/one.txt a/b/two.PNG"},
		{"path like, in a name", FileQuery{Filters: filter(postgres.ColumnFilePath, postgres.Like, "a/b%")}, "a/b/one.txt a/b/two.PNG a/bc/three"},
		{"path like, escaped", FileQuery{Filters: filter(postgres.ColumnFilePath, postgres.Like, `z\%.txt`)}, "z%.txt"},
		{"path like, one letter", FileQuery{Filters: filter(postgres.ColumnFilePath, postgres.Like, "a/____.%")}, ""},
		{"path not like", FileQuery{Filters: not(filter(postgres.ColumnFilePath, postgres.Like, "a/%"))}, "z%.txt Ärger.pdf"},
		{"path ilike", FileQuery{Filters: filter(postgres.ColumnFilePath, postgres.ILike, "%.png")}, "a/b/two.PNG"},
		{"path ilike, not ASCII", FileQuery{Filters: filter(postgres.ColumnFilePath, postgres.ILike, "ärger%")}, "Ärger.pdf"},
		{"path in", FileQuery{Filters: filter(postgres.ColumnFilePath, postgres.In, "z%.txt", "a/bc/three", "q")}, "a/bc/three z%.txt"},
		{"in nothing", FileQuery{Filters: filter(postgres.ColumnFilePath, postgres.In)}, ""},
		{"id", FileQuery{Filters: filter(postgres.ColumnID, postgres.Eq, one.ID.String())}, "a/b/one.txt"},
		{"ids", FileQuery{Filters: filter(postgres.ColumnID, postgres.In, one.ID.String(), byPath["z%.txt"].ID.String(), api.NewID().String())}, "a/b/one.txt z%.txt"},
		{"not id", FileQuery{Filters: not(filter(postgres.ColumnID, postgres.Eq, one.ID.String()))}, "a/b/two.PNG a/bc/three a/four_x.txt z%.txt Ärger.pdf"},
		{"user", FileQuery{Filters: filter(postgres.ColumnUserID, postgres.Eq, stranger.owner.String())}, ""},
		{"size", FileQuery{Filters: append(filter(postgres.ColumnSize, postgres.Gte, "2"), filter(postgres.ColumnSize, postgres.Lt, "4")...)}, "a/bc/three a/four_x.txt"},
		{"hash", FileQuery{Filters: filter(postgres.ColumnHash, postgres.Eq, one.Hash.String())}, "a/b/one.txt"},
		{"type", FileQuery{Filters: filter(postgres.ColumnContentType, postgres.Eq, "image/png")}, "a/b/two.PNG"},
		{"unknown type", FileQuery{Filters: filter(postgres.ColumnContentType, postgres.Eq, Unknown)}, "a/bc/three"},
		{"description", FileQuery{Filters: filter(postgres.ColumnDescription, postgres.Like, "%three")}, "a/bc/three"},
		{"description is null", FileQuery{Filters: filter(postgres.ColumnDescription, postgres.Is, "null")}, ""},
		{"created", FileQuery{Filters: filter(postgres.ColumnCreatedAt, postgres.Eq, one.CreatedAt.Format(time.RFC3339Nano))}, "a/b/one.txt"},
		{"updated", FileQuery{Filters: filter(postgres.ColumnUpdatedAt, postgres.Gt, "2020-01-01T00:00:00Z")}, all},
		{"updated before", FileQuery{Filters: filter(postgres.ColumnUpdatedAt, postgres.Lte, "2020-01-01T00:00:00Z")}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			files, err := d.Files(t.Context(), test.q)
			if err != nil {
				t.Fatal(err)
			}
			if got := paths(files); got != test.want && len(test.q.Orders) == 0 {
				t.Errorf("found %q, not %q", got, test.want)
			}
			if len(test.q.Orders) > 0 && (len(files) != 2 || files[0].Size != 5 || files[1].Size != 4) {
				t.Errorf("found %q", paths(files))
			}
			count := test.q
			count.Limit, count.Offset = 0, 0
			n, err := d.FilesCount(t.Context(), count)
			if err != nil || test.q.Limit == 0 && int(n) != len(files) || test.q.Limit > 0 && n != 6 {
				t.Errorf("counted %d, %v", n, err)
			}
		})
	}
	for i, bad := range []FileQuery{
		{Filters: filter("password", postgres.Eq, "x")},
		{Filters: filter("size; DROP TABLE nodes", postgres.Eq, "1")},
		{Filters: filter(postgres.ColumnSize, "between", "1")},
		{Filters: filter(postgres.ColumnSize, postgres.Eq, "1 OR true")},
		{Filters: filter(postgres.ColumnSize, postgres.Like, "1%")},
		{Filters: filter(postgres.ColumnSize, postgres.Eq)},
		{Filters: filter(postgres.ColumnID, postgres.Eq, "x")},
		{Filters: filter(postgres.ColumnFilePath, postgres.Eq, "a\x00/b")},
		{Filters: filter(postgres.ColumnFilePath, postgres.Like, `a\`)},
		{Filters: filter(postgres.ColumnCreatedAt, postgres.Lt, "yesterday")},
		{Filters: filter(postgres.ColumnSize, postgres.Is, "true")},
		{Orders: []Order{{Column: "random()"}}},
	} {
		if _, err := d.Files(t.Context(), bad); api.KindOf(err) != api.Invalid {
			t.Errorf("bad query %d: %v", i, err)
		}
	}
}

func TestAdminSeesMetadataOfAll(t *testing.T) {
	w := newWorld(t)
	admin := w.user(t, "admin")
	var want []string
	for i := range 3 {
		d := w.home(t, w.user(t, "editor"))
		f := d.store(t, fmt.Sprintf("dir/%d.txt", i), "x")
		want = append(want, f.ID.String())
	}
	files, err := allFiles(t, w.Service, admin, FileQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		want = slices.DeleteFunc(want, func(id string) bool { return id == f.ID.String() })
		if f.Description != "about "+f.FilePath || f.Size != 1 || f.Hash.IsZero() || f.ContentType == Unknown {
			t.Errorf("file %+v", f)
		}
	}
	if len(want) > 0 || len(files) != 3 {
		t.Errorf("listed %d, without %v", len(files), want)
	}
	q := FileQuery{Filters: []Filter{
		{Column: postgres.ColumnUserID, Op: postgres.Eq, Values: []string{files[1].UserID.String()}},
		{Column: postgres.ColumnContentType, Op: postgres.Like, Values: []string{"text/%"}},
	}, Orders: []Order{{Column: postgres.ColumnContentType}}, Limit: 10}
	if found, err := allFiles(t, w.Service, admin, q); err != nil || len(found) != 1 || found[0].ID != files[1].ID {
		t.Errorf("found %+v, %v", found, err)
	}
	if n, err := w.AllFilesCount(t.Context(), admin, FileQuery{}); err != nil || n != 3 {
		t.Errorf("counted %d, %v", n, err)
	}
	editor := w.user(t, "editor")
	if _, err := allFiles(t, w.Service, editor, FileQuery{}); api.KindOf(err) != api.Permission {
		t.Errorf("an editor: %v", err)
	}
	editor.Admin = true // a bug above must not open the database
	if files, err := allFiles(t, w.Service, editor, FileQuery{}); err != nil || len(files) != 0 {
		t.Errorf("an editor whom the program takes for an admin sees %d, %v", len(files), err)
	}
}

func TestChildrenComeInPages(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	names := []api.Name{"B", "a", "b\xff", "ä", "€", "😀", "z z"}
	var batch []api.Mutation
	for _, n := range names {
		batch = append(batch, createDir(d.Root(), n))
	}
	d.commit(t, batch...)
	slices.SortFunc(names, func(a, b api.Name) int { return strings.Compare(a.Escape(), b.Escape()) })
	var got []api.Name
	for after, more := api.Name(""), true; more; {
		l, err := d.Children(t.Context(), d.Root(), after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if !contains(l.Nodes, d.Root()) || len(l.Nodes) != len(l.Entries)+1 || l.Seq != int64(len(names)) || l.Epoch.IsZero() {
			t.Errorf("page %+v", l)
		}
		for _, e := range l.Entries {
			got = append(got, e.Name)
		}
		after, more = got[len(got)-1], l.More
	}
	if !slices.Equal(got, names) {
		t.Errorf("listed %q, not %q", got, names)
	}
	f := d.createFile(t, d.Root(), "file", "x")
	d.commit(t, f)
	if _, err := d.Children(t.Context(), f.Node, "", 0); api.KindOf(err) != api.NotDirectory {
		t.Errorf("a file's children: %v", err)
	}
	if _, err := d.Children(t.Context(), api.NewID(), "", 0); api.KindOf(err) != api.NotFound {
		t.Errorf("nothing's children: %v", err)
	}
}

func TestContentType(t *testing.T) {
	for name, want := range map[string]string{
		"a/b.PDF": "application/pdf", "x.tar.gz": "application/gzip", "none": Unknown, ".png": "image/png", "dir.png/none": Unknown, "a.": Unknown,
		"subtitles.vtt": "text/vtt; charset=utf-8", "list.m3u8": "application/vnd.apple.mpegurl", "program.apk": "application/vnd.android.package-archive",
		"picture.jxl": "image/jxl", "drawing.svgz": "image/svg+xml-compressed", "page.xhtml": "application/xhtml+xml",
	} {
		if got := ContentType(name); got != want {
			t.Errorf("%s is %s, not %s", name, got, want)
		}
	}
}

func TestBucketNames(t *testing.T) {
	for name, good := range map[string]bool{
		"abc": true, "a.b-c.9": true, "xn-abc": true, "s3alias": true, "a-s3alias-b": true, "1.2.3.four": true,
		"ab": false, "Abc": false, "-abc": false, "abc-": false, "a..b": false, "a.-b": false, "1.2.3.4": false, "a_b": false,
		"xn--abc": false, "sthree-x": false, "amzn-s3-demo-x": false, "abc-s3alias": false, "abc--ol-s3": false, "abc.mrap": false, "abc--x-s3": false, "abc--table-s3": false,
	} {
		if err := CheckBucketName(name); good != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fileList is files as they come.
type fileList []File

func (l *fileList) Begin()           { *l = nil }
func (l *fileList) Add(f File) error { *l = append(*l, f); return nil }

func allFiles(t *testing.T, s *Service, c Caller, q FileQuery) (all []File, err error) {
	t.Helper()
	err = s.ReadAllFiles(t.Context(), c, q, (*fileList)(&all))
	return all, err
}
