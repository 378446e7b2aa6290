package contract

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSection1(t *testing.T) { onEachStore(t, section1) }

const objectJSON = "application/vnd.pgrst.object+json"

var section1 = []line{
	{"`POST /rpc/login` JSON `{email,password}` → 200 `[{\"token\":\"…\"}]` and the session cookie", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		got := p.login(t)
		if rows := got.rows(t); len(rows) != 1 || len(rows[0]) != 1 {
			t.Errorf("login: %v", got)
		}
		p.send(t, "GET", "/rpc/current_user", object{"Cookie": p.cookie}, nil).is(t, 200, p.email)
	}},
	{"with `Accept: application/vnd.pgrst.object+json` the bare object", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		w.stranger().send(t, "POST", "/rpc/login", object{"Accept": objectJSON}, object{"email": p.email, "password": p.password}).is(t, 200, `{"token":"`)
	}},
	{"Wrong → 400 `{\"message\":\"Invalid email or password\"}`, in the same time for a known and an unknown email", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		login := func(email string) time.Duration {
			begin := time.Now()
			got := w.stranger().send(t, "POST", "/rpc/login", nil, object{"email": email, "password": "wrong"})
			got.fails(t, 400, "Invalid email or password")
			if got.header.Get("Set-Cookie") != "" {
				t.Error("a cookie for a wrong password")
			}
			return time.Since(begin)
		}
		var known, unknown []time.Duration
		for i := range 5 { // by turns, so that a busy machine is busy for both
			known = append(known, login(p.email))
			unknown = append(unknown, login(fmt.Sprintf("nobody%d-%s", i, p.email)))
		}
		slices.Sort(known)
		slices.Sort(unknown)
		if a, b := known[2], unknown[2]; a > 3*b || b > 3*a {
			t.Errorf("a known address takes %v, an unknown one %v", known, unknown)
		}
	}},
	{"GET → 405 (no password in a URL)", func(t *testing.T, w *world) {
		got := w.stranger().get(t, "/rpc/login?email=a@example.org&password=secret")
		got.fails(t, 405, "")
		if allow := got.header.Get("Allow"); allow != "POST" {
			t.Errorf("Allow: %s", allow)
		}
	}},
	{"Throttled per account and per address: 429", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		for range 15 {
			got := w.stranger().send(t, "POST", "/rpc/login", nil, object{"email": p.email, "password": "wrong"})
			if got.status == 429 {
				got.fails(t, 429, "wait")
				if got.header.Get("Retry-After") == "" {
					t.Error("429 without Retry-After")
				}
				// The account, with the right password too; and its sessions go on.
				w.stranger().send(t, "POST", "/rpc/login", nil, object{"email": p.email, "password": p.password}).fails(t, 429, "")
				p.get(t, "/files").is(t, 200, "")
				return
			}
		}
		t.Error("15 wrong passwords were let through")
	}},
	{"`POST /rpc/store_file`, Bearer, `Content-Type: application/octet-stream`, `File-Path: …` [...] `Description` optional; raw body → 200, the document's UUID as a bare JSON string", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		got := p.send(t, "POST", "/rpc/store_file", object{"Content-Type": "application/octet-stream", "File-Path": "a/b.txt", "Description": "about it"}, "bytes")
		if s := strings.TrimSpace(string(got.body)); got.status != 200 || len(s) != 38 || s[0] != '"' || s[37] != '"' {
			t.Errorf("store: %v", got)
		}
		if row := p.get(t, "/files").rows(t)[0]; row["description"] != "about it" || row["size"] != 5.0 {
			t.Errorf("row %v", row)
		}
		p.store(t, "plain", "")
		p.retrieve(t, "plain").is(t, 200, "")
	}},
	{"required, else 400 `Mandatory 'File-Path' header is missing.`", func(t *testing.T, w *world) {
		w.newPerson(t).send(t, "POST", "/rpc/store_file", nil, "x").fails(t, 400, "Mandatory 'File-Path' header is missing.")
	}},
	{"The same path again overwrites: same UUID, `updated_at` moves. Missing directories are made", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		id := p.store(t, "new/dirs/a", "1")
		before := p.get(t, "/files").rows(t)[0]
		if again := p.store(t, "new/dirs/a", "22"); again != id {
			t.Errorf("%s became %s", id, again)
		}
		after := p.get(t, "/files").rows(t)[0]
		if before["updated_at"].(string) >= after["updated_at"].(string) || before["created_at"] != after["created_at"] {
			t.Errorf("before %v, after %v", before, after)
		}
		p.retrieve(t, "new/dirs/a").is(t, 200, "22")
	}},
	{"No or bad token → 401. An admin → 403", func(t *testing.T, w *world) {
		file := object{"File-Path": "a"}
		w.stranger().send(t, "POST", "/rpc/store_file", file, "x").fails(t, 401, "")
		(&person{w: w, token: "bad"}).send(t, "POST", "/rpc/store_file", file, "x").fails(t, 401, "")
		w.admin.send(t, "POST", "/rpc/store_file", file, "x").fails(t, 403, "")
	}},
	{"`GET /rpc/retrieve_file?p_file_path=…` → 200 raw bytes; POST with `{\"p_file_path\"}` too", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		content := "any\x00bytes\xff"
		p.store(t, "a", content)
		for _, got := range []answer{p.retrieve(t, "a"), p.send(t, "POST", "/rpc/retrieve_file", nil, object{"p_file_path": "a"})} {
			if got.status != 200 || string(got.body) != content {
				t.Errorf("retrieve: %v", got)
			}
		}
	}},
	{"Missing, or another user's: the same 400 `{\"message\":\"File not found.\"}`", func(t *testing.T, w *world) {
		p, other := w.newPerson(t), w.newPerson(t)
		other.store(t, "dir/theirs", "secret")
		missing := p.retrieve(t, "dir/none")
		missing.fails(t, 400, "File not found.")
		for _, got := range []answer{p.retrieve(t, "dir/theirs"), p.retrieve(t, "dir"), w.admin.retrieve(t, "dir/theirs"), p.send(t, "POST", "/rpc/retrieve_file", nil, object{"p_file_path": "dir/theirs"})} {
			if got.String() != missing.String() {
				t.Errorf("%v is not %v", got, missing)
			}
		}
	}},
	{"`GET /files` → the caller's files `id,user_id,file_path,description,size,content_type,hash,created_at,updated_at`", func(t *testing.T, w *world) {
		p, other := w.newPerson(t), w.newPerson(t)
		id := p.store(t, "a.txt", "hello")
		other.store(t, "b.txt", "x")
		got := p.get(t, "/files")
		rows := got.rows(t)
		if len(rows) != 1 || len(rows[0]) != 9 || !strings.HasPrefix(string(got.body), `[{"id":"`+id+`","user_id":"`+p.id+`","file_path":"a.txt","description":"","size":5,"content_type":"text/plain; charset=utf-8","hash":"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","created_at":"`) {
			t.Errorf("files: %v", got)
		}
	}},
	{"PostgREST's `select=`, `order=`, `limit/offset` and `Range`, and", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		for i, name := range []string{"c", "a", "b", "d"} {
			p.store(t, name, strings.Repeat("x", i))
		}
		p.get(t, "/files?select=file_path,n:size&order=size.desc&limit=1").is(t, 200, `[{"file_path":"d","n":3}]`)
		for query, want := range map[string]string{
			"order=file_path": "a b c d", "order=size": "c a b d", "order=size.desc": "d b a c", "order=file_path&limit=2": "a b",
			"order=file_path&limit=2&offset=1": "b c", "order=file_path&offset=3": "d", "limit=0": "",
		} {
			if got := p.paths(t, query); got != want {
				t.Errorf("%s: %s, not %s", query, got, want)
			}
		}
		got := p.send(t, "GET", "/files?order=file_path&select=file_path", object{"Range": "1-2", "Prefer": "count=exact"}, nil)
		got.is(t, 206, `[{"file_path":"b"},{"file_path":"c"}]`)
		if r := got.header.Get("Content-Range"); r != "1-2/4" {
			t.Errorf("Content-Range: %s", r)
		}
		p.get(t, "/files?select=nothing").fails(t, 400, "nothing")
		p.get(t, "/files?order=nothing").fails(t, 400, "nothing")
	}},
	{"the operators `eq neq gt gte lt lte like ilike in is` on columns", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		id := p.store(t, "dir/Alpha.txt", "1")
		p.store(t, "dir/beta.txt", "22")
		p.store(t, "gamma.png", "333")
		for query, want := range map[string]string{
			"file_path=eq.gamma.png": "gamma.png", "file_path=neq.gamma.png": "dir/Alpha.txt dir/beta.txt", "size=gt.1": "dir/beta.txt gamma.png",
			"size=gte.2": "dir/beta.txt gamma.png", "size=lt.2": "dir/Alpha.txt", "size=lte.2": "dir/Alpha.txt dir/beta.txt",
			"file_path=like.dir/*": "dir/Alpha.txt dir/beta.txt", "file_path=like.*alpha*": "", "file_path=ilike.*alpha*": "dir/Alpha.txt",
			"size=in.(1,3)": "dir/Alpha.txt gamma.png", `file_path=in.("gamma.png",x)`: "gamma.png", "id=eq." + id: "dir/Alpha.txt", "description=is.null": "",
			"content_type=eq.image/png": "gamma.png", "created_at=gt.2000-01-01&size=not.eq.1": "dir/beta.txt gamma.png", "description=not.is.null&size=eq.3": "gamma.png",
		} {
			if got := p.paths(t, query+"&order=file_path"); got != want {
				t.Errorf("%s: %q, not %q", query, got, want)
			}
		}
		for _, bad := range []string{"size=like.1", "size=eq.x", "id=eq.1", "file_path=xx.1", "file_path=eq", "nothing=eq.1", "created_at=gt.yesterday"} {
			p.get(t, "/files?"+bad).fails(t, 400, "")
		}
	}},
	{"`DELETE /files?id=eq.UUID` → 204 (without a filter → 400, nothing deleted)", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		id := p.store(t, "a", "1")
		p.store(t, "b", "2")
		p.send(t, "DELETE", "/files", nil, nil).fails(t, 400, "filter")
		p.send(t, "DELETE", "/files?limit=1", nil, nil).fails(t, 400, "filter")
		if got := p.paths(t, "order=file_path"); got != "a b" {
			t.Errorf("files: %s", got)
		}
		p.send(t, "DELETE", "/files?id=eq."+id, nil, nil).is(t, 204, "")
		if got := p.paths(t, ""); got != "b" {
			t.Errorf("files: %s", got)
		}
		p.retrieve(t, "a").fails(t, 400, "File not found.")
	}},
	{"`PATCH /files?id=eq.UUID` of `file_path` (a rename) and `description`", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		id := p.store(t, "a", "1")
		p.store(t, "taken", "2")
		p.send(t, "PATCH", "/files?id=eq."+id, nil, object{"file_path": "new/b", "description": "moved"}).is(t, 204, "")
		if row := p.get(t, "/files?id=eq."+id).rows(t)[0]; row["file_path"] != "new/b" || row["description"] != "moved" {
			t.Errorf("row %v", row)
		}
		p.send(t, "PATCH", "/files?id=eq."+id, nil, object{"file_path": "taken"}).fails(t, 409, "taken")
		p.send(t, "PATCH", "/files?id=eq."+id, nil, object{"size": 7}).fails(t, 403, "file_path and description")
		p.retrieve(t, "new/b").is(t, 200, "1")
	}},
	{"An admin sees everyone's rows and can download nobody's (400 `File not found.`)", func(t *testing.T, w *world) {
		p, other := w.newPerson(t), w.newPerson(t)
		a, b := p.store(t, "a", "1"), other.store(t, "b", "2")
		for _, id := range []string{a, b} {
			if rows := w.admin.get(t, "/files?id=eq."+id).rows(t); len(rows) != 1 {
				t.Errorf("the admin sees %v", rows)
			}
			w.admin.send(t, "DELETE", "/files?id=eq."+id, nil, nil).fails(t, 403, "")
		}
		for _, path := range []string{"a", p.id + "/a"} {
			w.admin.retrieve(t, path).fails(t, 400, "File not found.")
		}
		w.admin.get(t, "/rpc/get_file?p_bucket_path="+p.id+"&p_file_name=a").fails(t, 404, "File not found")
	}},
	{"Internal functions (`/rpc/sign`, `/rpc/internal_*`) do not exist: 404", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		for _, who := range []*person{p, w.admin, w.stranger()} {
			for _, function := range []string{"sign", "internal_sign", "internal_store", "session_by_id", "sign_up", "all_files", "change_password/x", ""} {
				for _, method := range []string{"GET", "POST"} {
					who.send(t, method, "/rpc/"+function, nil, nil).fails(t, 404, "")
				}
			}
		}
	}},
	{"Two users may hold the same path", func(t *testing.T, w *world) {
		p, other := w.newPerson(t), w.newPerson(t)
		if a, b := p.store(t, "same", "mine"), other.store(t, "same", "theirs"); a == b {
			t.Error("two users have one document")
		}
		p.retrieve(t, "same").is(t, 200, "mine")
		other.retrieve(t, "same").is(t, 200, "theirs")
	}},
	{"`../other/x` in `File-Path` or in a rename reaches nobody else's file, for reading or writing", func(t *testing.T, w *world) {
		p, other := w.newPerson(t), w.newPerson(t)
		other.store(t, "x", "theirs")
		id := p.store(t, "x", "mine")
		for _, name := range []string{other.email, other.id, "other", "home"} {
			path := "../" + name + "/x"
			p.send(t, "POST", "/rpc/store_file", object{"File-Path": path}, "evil").fails(t, 400, "")
			p.send(t, "PATCH", "/files?id=eq."+id, nil, object{"file_path": path}).fails(t, 400, "")
			p.retrieve(t, path).fails(t, 400, "")
			p.send(t, "POST", "/rpc/store_file", object{"File-Path": name + "/x"}, "my own folder").is(t, 200, "")
		}
		other.retrieve(t, "x").is(t, 200, "theirs")
		p.retrieve(t, "x").is(t, 200, "mine")
	}},
}
