package contract

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

func TestRules(t *testing.T) { onEachStore(t, rules) }

var rules = []line{
	{"One row in `sessions` per login. The JWT carries its `sid`; the browser's cookie holds an opaque random token whose SHA-256 is stored in the same row", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		db := p.sql(t)
		before := db.count(t, "SELECT FROM satchel.sessions")
		p.login(t)
		if n := db.count(t, "SELECT FROM satchel.sessions"); n != before+1 {
			t.Errorf("a login made %d rows", n-before)
		}
		sid := p.claims(t)["sid"].(string)
		if n := db.count(t, "SELECT FROM satchel.sessions WHERE id = $1", sid); n != 1 {
			t.Errorf("the token's session has %d rows", n)
		}
		_, secret, _ := strings.Cut(p.cookie, "=")
		if b, err := base64.RawURLEncoding.DecodeString(secret); err != nil || len(b) != 32 {
			t.Errorf("the cookie is %d bytes, %v", len(b), err)
		}
		// The hash can't be read by the service's role; that it is one finds the row.
		if n := db.count(t, "SELECT FROM satchel.session_by_secret(sha256(convert_to($1, 'UTF8')), 'browser') WHERE session = $2", secret, sid); n != 1 {
			t.Errorf("the cookie's SHA-256 finds %d rows", n)
		}
	}},
	{"Every request checks the row: logout or revoking a device kills both at once", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		kept := *p
		p.login(t)
		p.send(t, "POST", "/rpc/logout", nil, nil).is(t, 204, "")
		p.get(t, "/files").fails(t, 401, "")
		p.send(t, "GET", "/files", object{"Cookie": p.cookie}, nil).fails(t, 401, "")
		kept.get(t, "/files").is(t, 200, "")

		var device struct {
			Device string
			Token  struct{ Token string }
		}
		got := p.w.stranger().send(t, "POST", "/v1/login", nil, object{"email": p.email, "password": p.password, "device": "laptop"})
		must(t, json.Unmarshal(got.body, &device))
		laptop := &person{w: w, token: device.Token.Token}
		laptop.get(t, "/v1/whoami").is(t, 200, device.Device)
		kept.send(t, "DELETE", "/v1/devices/"+device.Device, nil, nil).is(t, 204, "")
		laptop.get(t, "/v1/whoami").is(t, 401, "unauthenticated")
	}},
	{"JWT: EdDSA, `kid` with key rotation, `iss aud exp iat sub sid role user_id`", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		header := p.part(t, 0)
		if header["alg"] != "EdDSA" || header["kid"] == "" {
			t.Errorf("the header is %v", header)
		}
		claims := p.claims(t)
		for _, name := range []string{"iss", "aud", "exp", "iat", "sub", "sid", "role", "user_id"} {
			if claims[name] == nil || claims[name] == "" {
				t.Errorf("the token has no %s: %v", name, claims)
			}
		}
		if claims["sub"] != p.id || claims["user_id"] != p.id || claims["role"] != "editor" {
			t.Errorf("the claims are %v", claims)
		}
		if _, err := w.server.Satcheld(t.Context(), "", "keys", "rotate"); err != nil {
			t.Fatal(err)
		}
		p.get(t, "/files").is(t, 200, "") // the replaced key's token, for two hours
	}},
	{"`alg` none, HS/RS confusion, expired, wrong audience: 401", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		for what, token := range forgeries(t, p) {
			forger := &person{w: w, token: token}
			for _, path := range []string{"/files", "/users", "/rpc/current_user", "/rpc/retrieve_file?p_file_path=x", "/rpc/get_file?p_bucket_path=a&p_file_name=b"} {
				if got := forger.get(t, path); got.status != 401 {
					t.Errorf("%s at %s: %v", what, path, got)
				}
			}
			forger.get(t, "/v1/whoami").is(t, 401, `"kind":"unauthenticated"`)
		}
	}},
	{"401 = no valid identity; 403 = known identity without permission; where existence is a secret, the not-found answer", func(t *testing.T, w *world) {
		p, other := w.newPerson(t), w.newPerson(t)
		id := other.store(t, "a.txt", "theirs")
		w.stranger().get(t, "/files").fails(t, 401, "")
		w.admin.send(t, "POST", "/rpc/store_file", object{"File-Path": "a"}, "x").fails(t, 403, "")
		if a, b := p.retrieve(t, "a.txt"), p.retrieve(t, "b.txt"); a.String() != b.String() {
			t.Errorf("another's file: %v, a missing one: %v", a, b)
		}
		p.send(t, "DELETE", "/files?id=eq."+id, nil, nil).is(t, 204, "")
		other.retrieve(t, "a.txt").is(t, 200, "theirs")
	}},
	{"Not found: `/rpc/retrieve_file` 400, `/rpc/get_file` and `/rpc/get_metadata` 404 (PT404 body), `/api/*` and `/v1` 404", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		p.retrieve(t, "none").fails(t, 400, "File not found.")
		for _, function := range []string{"get_file", "get_metadata"} {
			got := p.get(t, "/rpc/"+function+"?p_bucket_path=y&p_file_name=x")
			got.fails(t, 404, "File not found")
			got.is(t, 404, `"code":"PT404","details":"File not found","hint":"File x not found in bucket y"`)
		}
		p.get(t, "/v1/drives/home/lookup?path=none").is(t, 404, `"kind":"not_found"`)
		p.get(t, "/v1/nothing").is(t, 404, `"kind":"not_found"`)
		if got := p.get(t, "/api/nothing"); got.status != 404 {
			t.Errorf("/api/nothing: %v", got)
		}
	}},
	{"Error shapes by prefix: `/rpc` and `/files` `{\"message\",\"code\",\"details\",\"hint\"}`; `/api` `{\"success\":false,\"error\",\"message\"}`; `/v1` problem+json. `message` is always there for a person", func(t *testing.T, w *world) {
		nobody := w.stranger()
		for _, path := range []string{"/rpc/none", "/files", "/users", "/rpc/current_user", "/nowhere"} {
			got := nobody.get(t, path)
			got.fails(t, got.status, "")
		}
		got := nobody.get(t, "/v1/whoami")
		got.is(t, 401, `"detail":`)
		if kind := got.header.Get("Content-Type"); kind != "application/problem+json" {
			t.Errorf("/v1's errors are %s", kind)
		}
		got = nobody.send(t, "POST", "/api/users/login", object{"Origin": "https://evil.example"}, "x")
		got.is(t, 403, `{"success":false,"error":"Forbidden","message":"`)
	}},
	{"Roles: `editor` and `admin`; admins have no drive of their own; `authenticated`, `webuser` in a token mean editor rights. No role can be self-assigned", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		p.send(t, "PATCH", "/users?id=eq."+p.id, nil, object{"role": "admin"}).fails(t, 403, "")
		got := w.stranger().send(t, "POST", "/rpc/register", nil, object{"email": "role-" + p.email, "password": p.password, "role": "admin"})
		self := &person{w: w, token: got.rows(t)[0]["token"].(string)}
		if role := self.claims(t)["role"]; role != "editor" {
			t.Errorf("the new account is %v", role)
		}
		w.admin.get(t, "/v1/drives/home").is(t, 403, "permission")
	}},
	{"Paths are normalised once, in one function (`a//b`, `/a`, `./a` → `a/b`, `a`)", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		id := p.store(t, "a/b", "1")
		for i, path := range []string{"a//b", "/a/b", "./a/b", "/./a//./b"} {
			if again := p.store(t, path, strings.Repeat("x", i+2)); again != id {
				t.Errorf("%s is another file", path)
			}
			p.retrieve(t, path).is(t, 200, strings.Repeat("x", i+2))
		}
		if got := p.paths(t, ""); got != "a/b" {
			t.Errorf("files are %s", got)
		}
	}},
	{"`..`, NUL, empty names and names over 255 bytes are refused with a clear error", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		for _, path := range []string{"..", "a/../b", "../a", "a/..", "/", ".", strings.Repeat("n", 256), "a/" + strings.Repeat("ü", 128)} {
			header := path
			if !ascii(path) {
				header = url.PathEscape(path)
			}
			p.send(t, "POST", "/rpc/store_file", object{"File-Path": header}, "x").fails(t, 400, "")
			p.send(t, "POST", "/rpc/retrieve_file", nil, object{"p_file_path": path}).fails(t, 400, "")
		}
		p.send(t, "POST", "/rpc/retrieve_file", nil, object{"p_file_path": "a\x00b"}).fails(t, 400, "NUL")
		p.retrieve(t, "a\x00b").fails(t, 400, "NUL")
		if got := p.paths(t, ""); got != "" {
			t.Errorf("files are %s", got)
		}
	}},
	{"any other legal POSIX name (`[a].txt`, `100%25.txt`, spaces, emoji) works everywhere", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		for _, name := range []string{"[a].txt", "100%25.txt", "100%.txt", " two  spaces.txt", "emoji 🎒.txt", "-rf", "~", "a?b#c&d=e+f", `back\slash`, `"quoted"`, "'", "*", "%2e%2e", "...", "a:b", strings.Repeat("n", 255), "\u0301"} {
			id := p.store(t, "dir/"+name, "content of "+name)
			p.retrieve(t, "dir/"+name).is(t, 200, "content of "+name)
			p.get(t, "/rpc/get_file?p_bucket_path=dir&p_file_name="+url.QueryEscape(name)).is(t, 200, "content of "+name)
			rows := p.get(t, "/files?file_path=eq."+url.QueryEscape("dir/"+name)).rows(t)
			if len(rows) != 1 || rows[0]["id"] != id || rows[0]["file_path"] != "dir/"+name {
				t.Errorf("%q: %v", name, rows)
			}
			p.get(t, "/v1/drives/home/lookup?path="+url.QueryEscape("dir/"+name)).is(t, 200, id)
		}
	}},
	{"Header values with non-ASCII paths are percent-encoded UTF-8 (and RFC 8187 in Content-Disposition)", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		got := p.send(t, "POST", "/rpc/store_file", object{"File-Path": "%C3%BC/%F0%9F%8E%92.png", "Description": "%C3%BCber alles"}, "x")
		got.is(t, 200, "")
		row := p.get(t, "/files").rows(t)[0]
		if row["file_path"] != "ü/🎒.png" || row["description"] != "über alles" {
			t.Errorf("row %v", row)
		}
		shown := p.get(t, "/rpc/get_file?p_bucket_path="+url.QueryEscape("ü")+"&p_file_name="+url.QueryEscape("🎒.png")).header.Get("Content-Disposition")
		if shown != `inline; filename="_.png"; filename*=UTF-8''%F0%9F%8E%92.png` {
			t.Errorf("Content-Disposition: %s", shown)
		}
	}},
	{"Files are private by default", func(t *testing.T, w *world) {
		p, other := w.newPerson(t), w.newPerson(t)
		p.store(t, "d/a.txt", "mine")
		bucket := "p-" + strings.ReplaceAll(p.id, "-", "")
		p.send(t, "POST", "/api/buckets", nil, object{"name": bucket}).is(t, 201, "")
		for _, who := range []*person{other, w.stranger(), w.admin} {
			for _, path := range []string{
				"/rpc/get_file?p_bucket_path=" + p.id + "/d&p_file_name=a.txt", "/rpc/get_metadata?p_bucket_path=" + p.id + "/d&p_file_name=a.txt",
				"/rpc/retrieve_file?p_file_path=d/a.txt", "/api/vfs/read/" + p.id + "/d/a.txt", "/api/vfs/ls/user:" + p.id, "/api/buckets/" + bucket + "x/policy", "/dav/d/a.txt",
			} {
				if got := who.get(t, path); got.status/100 != 4 || strings.Contains(string(got.body), "mine") {
					t.Errorf("%s: %v", path, got)
				}
			}
		}
		p.get(t, "/rpc/is_public?p_bucket_path=d&p_file_name=a.txt").is(t, 200, "false")
	}},
	{"Uploads and downloads stream", func(t *testing.T, w *world) { // 10 GB: TestStoreStreams of package integration
		p := w.newPerson(t)
		large := bytes.Repeat([]byte("0123456789abcdef"), 2<<20) // 32 MiB
		got := p.send(t, "POST", "/rpc/store_file", object{"File-Path": "large"}, large)
		got.is(t, 200, "")
		if back := p.retrieve(t, "large"); back.status != 200 || !bytes.Equal(back.body, large) {
			t.Errorf("%d bytes came back, %d", len(back.body), back.status)
		}
	}},
}
