package server

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"satchel/api"
	"satchel/storage"
)

// `GET /files` → the caller's files; PostgREST's `select=`, `order=`,
// `limit/offset` and `Range`, and the operators on columns.
func TestFilesQueries(t *testing.T) {
	f := newFixture(t)
	ids := map[string]string{}
	for path, content := range map[string]string{"a.txt": "1", "b.txt": "22", "dir/c.pdf": "333", "dir/D.TXT": "4444", "dir/e f": "55555"} {
		ids[path] = f.store(alice, path, content)
	}
	f.store(bob, "b.txt", "bob's")
	for _, tt := range []struct{ query, want string }{
		{"order=size", "a.txt b.txt dir/c.pdf dir/D.TXT dir/e f"},
		{"order=size.desc&limit=2", "dir/e f dir/D.TXT"},
		{"order=size.asc&limit=2&offset=3", "dir/D.TXT dir/e f"},
		{"id=eq." + ids["b.txt"], "b.txt"},
		{"id=eq.00000000-0000-0000-0000-000000000001", ""},
		{"order=size&size=gt.2", "dir/c.pdf dir/D.TXT dir/e f"},
		{"order=size&size=gte.2&size=lt.4", "b.txt dir/c.pdf"},
		{"size=lte.1", "a.txt"},
		{"order=size&size=in.(1, 3 )", "a.txt dir/c.pdf"},
		{"created_at=gt. 2000-01-01 &order=size&limit=1", "a.txt"},
		{"file_path=in.( a.txt)", ""},
		{"order=size&size=neq.1&size=not.eq.2", "dir/c.pdf dir/D.TXT dir/e f"},
		{"file_path=like.*.txt&order=size", "a.txt b.txt"},
		{"file_path=ilike.*.txt&order=size", "a.txt b.txt dir/D.TXT"},
		{"file_path=like.dir/%25&order=size", "dir/c.pdf dir/D.TXT dir/e f"},
		{"file_path=in.(a.txt,\"dir/e f\",none)&order=size", "a.txt dir/e f"},
		{"id=in.(" + ids["a.txt"] + "," + ids["b.txt"] + ")&order=size", "a.txt b.txt"},
		{"description=is.null&order=size&limit=1&id=in.()", ""},
		{"created_at=gt.2000-01-01&order=size&limit=1", "a.txt"},
		{"created_at=lt.2000-01-01T00:00:00Z", ""},
		{"hash=eq.6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b", "a.txt"},
		{"limit=0", ""},
	} {
		query, err := url.Parse("?" + strings.ReplaceAll(strings.ReplaceAll(tt.query, " ", "%20"), `"`, "%22"))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.paths(f.do(request{path: "/files" + query.String(), as: alice})); got != tt.want {
			t.Errorf("%s = %q, want %q", tt.query, got, tt.want)
		}
	}
	t.Run("columns", func(t *testing.T) {
		row := f.rows(f.do(request{path: "/files?file_path=eq.dir/c.pdf", as: alice}))[0]
		var names []string
		for name := range row {
			names = append(names, name)
		}
		slices.Sort(names)
		if got := strings.Join(names, ","); got != "content_type,created_at,description,file_path,hash,id,size,updated_at,user_id" {
			t.Errorf("columns = %s", got)
		}
		if row["size"] != 3.0 || row["content_type"] != "application/pdf" || row["id"] != ids["dir/c.pdf"] {
			t.Errorf("row = %v", row)
		}
	})
	t.Run("select", func(t *testing.T) {
		a := f.do(request{path: "/files?select=path:file_path,size&order=size&limit=1", as: alice})
		if strings.TrimSpace(a.body) != `[{"path":"a.txt","size":1}]` {
			t.Errorf("select = %s", a.body)
		}
	})
	t.Run("one object", func(t *testing.T) {
		header := map[string]string{"Accept": objectJSON}
		a := f.do(request{path: "/files?select=size&file_path=eq.a.txt", as: alice, header: header})
		if strings.TrimSpace(a.body) != `{"size":1}` {
			t.Errorf("object = %s", a.body)
		}
		f.fails(f.do(request{path: "/files", as: alice, header: header}), 406, "JSON object requested, multiple (or no) rows returned")
	})
	t.Run("Range", func(t *testing.T) {
		for _, tt := range []struct {
			query, ranged, prefer string
			status                int
			want, content         string
		}{
			{"?order=size", "0-1", "", 200, "a.txt b.txt", "0-1/*"},
			{"?order=size", "0-1", "count=exact", 206, "a.txt b.txt", "0-1/5"},
			{"?order=size", "3-", "count=exact", 206, "dir/D.TXT dir/e f", "3-4/5"},
			{"?order=size", "", "count=exact", 200, "a.txt b.txt dir/c.pdf dir/D.TXT dir/e f", "0-4/5"},
			{"?order=size&limit=1&offset=1", "1-3", "", 200, "b.txt", "1-1/*"},
			{"?order=size&limit=3", "2-", "", 200, "dir/c.pdf", "2-2/*"},
			{"?order=size&limit=2&offset=2", "0-2", "count=exact", 206, "dir/c.pdf", "2-2/5"},
			{"?order=size&offset=3", "1-", "", 200, "dir/D.TXT dir/e f", "3-4/*"},
		} {
			header := map[string]string{"Range-Unit": "items"}
			if tt.ranged != "" {
				header["Range"] = tt.ranged
			}
			if tt.prefer != "" {
				header["Prefer"] = tt.prefer
			}
			a := f.do(request{path: "/files" + tt.query, as: alice, header: header})
			if a.status != tt.status || a.header.Get("Content-Range") != tt.content {
				t.Errorf("Range %s: %d, Content-Range %q; want %d, %q", tt.ranged, a.status, a.header.Get("Content-Range"), tt.status, tt.content)
			}
			if got := f.paths(a); got != tt.want {
				t.Errorf("Range %s = %q, want %q", tt.ranged, got, tt.want)
			}
		}
		a := f.do(request{path: "/files", as: alice, header: map[string]string{"Range": "9-12", "Prefer": "count=exact"}})
		f.fails(a, 416, "range")
		if got := a.header.Get("Content-Range"); got != "*/5" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("Content-Range of 416: %q, Cache-Control: %q", got, a.header.Get("Cache-Control"))
		}
		f.fails(f.do(request{path: "/files?limit=2", as: alice, header: map[string]string{"Range": "2-3"}}), 416, "range")
		for _, header := range []map[string]string{{}, {"Range": "0-1"}} {
			if got := f.paths(f.do(request{path: "/files?limit=0", as: alice, header: header})); got != "" {
				t.Errorf("limit=0 with %v = %q", header, got)
			}
		}
		if rows := f.rows(f.do(request{path: "/users?limit=0", as: alice})); len(rows) != 0 {
			t.Errorf("/users?limit=0 = %v", rows)
		}
	})
	t.Run("bad queries", func(t *testing.T) {
		for _, query := range []string{
			"nothing=eq.1", "select=nothing", "order=nothing", "order=size.sideways", "limit=-1", "limit=x", "offset=x",
			"size=eq", "size=1", "size=eq.x", "size=like.1", "id=eq.1", "id=like.x", "created_at=eq.now", "file_path=in.a", "file_path=in.(\"a)",
			"file_path=is.true", "file_path=fts.a", "file_path=eq.%00", "file_path=eq.%ff", "or=(size.eq.1)", "select=size,", "%zz=1",
		} {
			a := f.do(request{path: "/files?" + query, as: alice})
			f.fails(a, 400, "")
		}
	})
}

// `DELETE /files?id=eq.UUID` → 204 (without a filter → 400, nothing deleted)
func TestDeleteFiles(t *testing.T) {
	f := newFixture(t)
	id := f.store(alice, "a", "1")
	f.store(alice, "dir/b", "2")
	f.store(alice, "dir/c", "3")
	bobs := f.store(bob, "bob", "4")
	for _, query := range []string{"", "?limit=1", "?order=size", "?select=id"} {
		f.fails(f.do(request{method: "DELETE", path: "/files" + query, as: alice}), 400, "filter")
	}
	if a := f.do(request{method: "DELETE", path: "/files?id=eq." + bobs, as: alice}); a.status != 204 {
		t.Errorf("deleting another's file = %d %s; want what a missing one gets", a.status, a.body)
	}
	if got := f.paths(f.do(request{path: "/files?order=size,file_path", as: alice})); got != "a dir/b dir/c" {
		t.Fatalf("files = %q", got)
	}
	if got := f.paths(f.do(request{path: "/files", as: bob})); got != "bob" {
		t.Fatalf("bob's files = %q", got)
	}
	if a := f.do(request{method: "DELETE", path: "/files?id=eq." + id, as: alice}); a.status != 204 || a.body != "" {
		t.Errorf("delete = %d %s", a.status, a.body)
	}
	f.fails(f.do(request{path: "/rpc/retrieve_file?p_file_path=a", as: alice}), 400, "File not found.")
	if a := f.do(request{method: "DELETE", path: "/files?file_path=like.dir/*&limit=0", as: alice}); a.status != 204 {
		t.Errorf("delete none = %d %s", a.status, a.body)
	}
	if got := f.paths(f.do(request{path: "/files", as: alice})); got != "dir/b dir/c" {
		t.Errorf("files after none was to be deleted = %q", got)
	}
	a := f.do(request{method: "DELETE", path: "/files?file_path=like.dir/*&select=file_path", as: alice, header: map[string]string{"Prefer": "return=representation"}})
	if a.status != 200 || len(f.rows(a)) != 2 {
		t.Errorf("delete two = %d %s", a.status, a.body)
	}
	if got := f.paths(f.do(request{path: "/files", as: alice})); got != "" {
		t.Errorf("files = %q", got)
	}
}

// `PATCH /files?id=eq.UUID` of `file_path` (a rename) and `description`.
func TestPatchFiles(t *testing.T) {
	f := newFixture(t)
	id := f.store(alice, "old/name", "content")
	f.store(alice, "taken", "other")
	bobs := f.store(bob, "bob", "bob's")
	patch := func(id string, body any) answerData {
		return f.do(request{method: "PATCH", path: "/files?id=eq." + id, as: alice, body: body})
	}
	if a := patch(id, map[string]string{"file_path": "/new//place", "description": "moved"}); a.status != 204 {
		t.Fatalf("rename = %d %s", a.status, a.body)
	}
	row := f.rows(f.do(request{path: "/files?id=eq." + id, as: alice}))[0]
	if row["file_path"] != "new/place" || row["description"] != "moved" {
		t.Errorf("row = %v", row)
	}
	if a := f.do(request{path: "/rpc/retrieve_file?p_file_path=new/place", as: alice}); a.body != "content" {
		t.Errorf("content after the rename = %q", a.body)
	}
	f.fails(f.do(request{path: "/rpc/retrieve_file?p_file_path=old/name", as: alice}), 400, "File not found.")
	if a := patch(bobs, map[string]string{"file_path": "mine"}); a.status != 204 {
		t.Errorf("renaming another's file = %d; want what a missing one gets", a.status)
	}
	if got := f.paths(f.do(request{path: "/files", as: bob})); got != "bob" {
		t.Errorf("bob's files = %q", got)
	}
	for _, tt := range []struct {
		name   string
		body   any
		status int
	}{
		{"a column of another type", map[string]any{"size": 1}, 403},
		{"no column, of another type", map[string]any{"nothing": 1}, 400},
		{"over another file", map[string]string{"file_path": "taken"}, 409},
		{"`../other/x` in a rename", map[string]string{"file_path": "../" + bob + "/x"}, 400},
		{"the root", map[string]string{"file_path": "/"}, 400},
		{"no path", map[string]any{"file_path": nil}, 400},
		{"another column", map[string]string{"user_id": bobs}, 403},
		{"no column", map[string]string{"nothing": "x"}, 400},
		{"a number", map[string]any{"description": 1}, 400},
		{"no JSON", "x", 400},
	} {
		t.Run(tt.name, func(t *testing.T) { f.fails(patch(id, tt.body), tt.status, "") })
	}
	f.fails(f.do(request{method: "PATCH", path: "/files", as: alice, body: map[string]string{"description": "all"}}), 400, "filter")
}

// A document with several names is listed by each, and what the filters choose is names.
func TestFilesOfSeveralNames(t *testing.T) {
	f := newFixture(t)
	home, err := f.home(alice)
	if err != nil {
		t.Fatal(err)
	}
	move := map[string]string{"file_path": "moved.png"}
	for _, tt := range []struct {
		method, query string
		body          any
		status        int
		want          string
	}{
		{"DELETE", "file_path=like.old/*", nil, 204, "a new/x"},
		{"DELETE", "file_path=eq.old/x", nil, 204, "a new/x"},
		{"DELETE", "id=eq.ID&file_path=eq.new/x", nil, 204, "a old/x"},
		{"DELETE", "id=eq.ID", nil, 204, "a"},
		{"PATCH", "file_path=eq.old/x", move, 204, "a moved.png new/x"},
		{"PATCH", "file_path=eq.new/x", move, 204, "a moved.png old/x"},
		{"PATCH", "id=eq.ID", move, 204, "a moved.png old/x"}, // the first of its names
		{"PATCH", "id=eq.ID", map[string]string{"file_path": "old/x"}, 204, "a new/x old/x"},
		{"PATCH", "file_path=eq.new/x", map[string]string{"file_path": "old/x"}, 409, "a new/x old/x"},
		{"PATCH", "file_path=in.(old/x,new/x)", move, 409, "a new/x old/x"},
		{"PATCH", "id=in.(ID,OTHER)", move, 409, "a new/x old/x"},
	} {
		for _, file := range f.rows(f.do(request{path: "/files?select=id", as: alice})) {
			f.do(request{method: "DELETE", path: "/files?id=eq." + file["id"].(string), as: alice})
		}
		other := f.store(alice, "a", "another")
		f.store(alice, "new/other", "")
		id := f.store(alice, "old/x", "content")
		n, err := home.Lookup(t.Context(), []api.Name{"old", "x"})
		if err != nil {
			t.Fatal(err)
		}
		dir, err := home.Lookup(t.Context(), []api.Name{"new"})
		if err != nil {
			t.Fatal(err)
		}
		link := api.Mutation{Op: api.OpLink, Node: n.ID, Parent: dir.ID, Name: "x", Time: 1}
		if _, err := home.Commit(t.Context(), api.Batch{Incarnation: api.NewID(), Number: 1, Mutations: []api.Mutation{link}}); err != nil {
			t.Fatal(err)
		}
		f.do(request{method: "DELETE", path: "/files?file_path=eq.new/other", as: alice})
		query := strings.NewReplacer("ID", id, "OTHER", other).Replace(tt.query)
		a := f.do(request{method: tt.method, path: "/files?" + query, as: alice, body: tt.body})
		if got := f.paths(f.do(request{path: "/files", as: alice})); a.status != tt.status || got != tt.want {
			t.Errorf("%s %s %v: %d %s; the files are %q, want %d and %q", tt.method, tt.query, tt.body, a.status, a.body, got, tt.status, tt.want)
		}
	}
}

// Who asks for one object, and chose another number of rows, changes nothing.
func TestChangesOfOneObject(t *testing.T) {
	f := newFixture(t)
	f.store(alice, "a.txt", "1")
	f.store(alice, "b.txt", "2")
	for _, prefer := range []string{"return=minimal", "return=representation"} {
		header := map[string]string{"Accept": objectJSON, "Prefer": prefer}
		for _, query := range []string{"size=gt.0", "file_path=eq.none"} {
			for method, body := range map[string]any{"DELETE": nil, "PATCH": map[string]string{"description": "changed"}} {
				f.fails(f.do(request{method: method, path: "/files?" + query, as: alice, header: header, body: body}), 406, "JSON object requested")
			}
		}
		f.fails(f.do(request{method: "PATCH", path: "/users?email=eq." + bob, as: alice, header: header, body: map[string]string{"name": "x"}}), 406, "JSON object requested")
	}
	for _, row := range f.rows(f.do(request{path: "/files", as: alice})) {
		if row["description"] != "" {
			t.Errorf("refused, and done: %v", row)
		}
	}
	a := f.do(request{method: "PATCH", path: "/files?file_path=eq.a.txt&select=file_path,content_type", as: alice, body: map[string]string{"file_path": "dir/a.png"},
		header: map[string]string{"Accept": objectJSON, "Prefer": "return=representation"}})
	if strings.TrimSpace(a.body) != `{"file_path":"dir/a.png","content_type":"image/png"}` {
		t.Errorf("a rename of one: %d %s", a.status, a.body)
	}
	if a := f.do(request{method: "DELETE", path: "/files?file_path=eq.b.txt", as: alice, header: map[string]string{"Accept": objectJSON}}); a.status != 204 {
		t.Errorf("the deletion of one: %d %s", a.status, a.body)
	}
	if got := f.paths(f.do(request{path: "/files", as: alice})); got != "dir/a.png" {
		t.Errorf("the files are %q", got)
	}
}

// An admin sees everyone's rows and can download nobody's (400 `File not found.`).
func TestAdmin(t *testing.T) {
	f := newFixture(t)
	id := f.store(alice, "a", "1")
	f.store(bob, "b", "2")
	if got := f.paths(f.do(request{path: "/files?order=file_path", as: root})); got != "a b" {
		t.Errorf("an admin sees %q", got)
	}
	if got := f.paths(f.do(request{path: "/files?id=eq." + id, as: root})); got != "a" {
		t.Errorf("an admin's filter gives %q", got)
	}
	f.fails(f.do(request{path: "/rpc/retrieve_file?p_file_path=a", as: root}), 400, "File not found.")
	f.fails(f.do(request{method: "DELETE", path: "/files?id=eq." + id, as: root}), 403, "")
	f.fails(f.do(request{method: "PATCH", path: "/files?id=eq." + id, as: root, body: map[string]string{"description": "x"}}), 403, "")
	if got := f.paths(f.do(request{path: "/files", as: alice})); got != "a" {
		t.Errorf("alice's files = %q", got)
	}
}

func TestParseList(t *testing.T) {
	for in, want := range map[string][]string{
		`()`: {}, `(a)`: {"a"}, `(a,b)`: {"a", "b"}, `("a,b",c)`: {"a,b", "c"}, `("say \"x\"","\\")`: {`say "x"`, `\`},
		`(a,)`: {"a", ""}, `(,a)`: {"", "a"}, `("")`: {""}, `(a b)`: {"a b"},
	} {
		if got, err := parseList(in); err != nil || !slices.Equal(got, want) {
			t.Errorf("parseList(%s) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "(", "a", "(a", `("a)`, `("a"b)`} {
		if got, err := parseList(in); err == nil {
			t.Errorf("parseList(%s) = %q, want an error", in, got)
		}
	}
}

// What the parser accepts is well-formed: the service need not check it again.
func FuzzParseFiles(f *testing.F) {
	for _, s := range []string{"", "select=id,path:file_path,*&order=size.desc.nullslast&limit=1&offset=2", `file_path=not.in.("a\"b",c)`,
		"size=gte.1&id=eq.00000000-0000-0000-0000-000000000001", "created_at=lt.2026-11-23 14:02:00+01:00", "description=is.null", "%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		req, err := filesTable.parse(s)
		if err != nil {
			return
		}
		if req.query.Limit < 0 || req.query.Offset < 0 || len(req.fields) == 0 {
			t.Errorf("%q: %+v", s, req)
		}
		for _, filter := range req.query.Filters {
			if _, err := filesTable.column(string(filter.Column)); err != nil {
				t.Errorf("%q: column %q", s, filter.Column)
			}
			for _, v := range filter.Values {
				if strings.ContainsRune(v, 0) {
					t.Errorf("%q: a NUL in %q", s, v)
				}
			}
		}
		if row := filesTable.row(req.fields, storage.File{}); !json.Valid(row) {
			t.Errorf("%q gives rows like %s", s, row)
		}
	})
}

// Expensive calls are limited by account: 429 with Retry-After.
func TestListsAreLimited(t *testing.T) {
	f := newFixture(t)
	f.token(bob)
	for range 3000 {
		a := f.do(request{path: "/files?limit=0", as: alice})
		if a.status == 429 {
			f.fails(a, 429, "too many lists of files")
			if a.header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
			if other := f.do(request{path: "/files?limit=0", as: bob}); other.status != 200 {
				t.Errorf("another account: %d %s", other.status, other.body)
			}
			return
		}
	}
	t.Error("3000 lists were let through")
}
