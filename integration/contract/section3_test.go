package contract

import (
	"net/http"
	"strings"
	"testing"
)

func TestSection3(t *testing.T) { onEachStore(t, section3) }

var section3 = []line{
	{"`POST /rpc/register {email,name,password}` [...] → 200 and the cookie", func(t *testing.T, w *world) {
		got := w.stranger().send(t, "POST", "/rpc/register", nil, object{"email": "Nina@example.org", "name": "Nina", "password": "a long password"})
		got.is(t, 200, `"email":"nina@example.org"`)
		nina := &person{w: w}
		nina.send(t, "GET", "/rpc/current_user", object{"Cookie": got.cookie(t)}, nil).is(t, 200, `"name":"Nina"`)
		w.stranger().send(t, "POST", "/rpc/register", nil, object{"email": "nina@example.org", "password": "a long password"}).fails(t, 409, "already")
	}},
	{"`POST /rpc/login` sets it", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		p.login(t)
		p.send(t, "GET", "/files", object{"Cookie": p.cookie}, nil).is(t, 200, "[]")
	}},
	{"`GET|POST /rpc/current_user` → `[{user_id,name,email}]`, 401 anonymous", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		for _, method := range []string{"GET", "POST"} {
			rows := p.send(t, method, "/rpc/current_user", nil, nil).rows(t)
			if len(rows) != 1 || len(rows[0]) != 3 || rows[0]["user_id"] != p.id || rows[0]["email"] != p.email || rows[0]["name"] == "" {
				t.Errorf("%s: %v", method, rows)
			}
			w.stranger().send(t, method, "/rpc/current_user", nil, nil).fails(t, 401, "")
		}
		p.send(t, "GET", "/rpc/current_user", object{"Accept": objectJSON}, nil).is(t, 200, `{"user_id":"`)
	}},
	{"`POST /rpc/refresh_session` slides the expiry", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		db := p.sql(t)
		db.count(t, "UPDATE satchel.sessions SET seen = now() - interval '14 minutes'")
		for range 2 {
			p.send(t, "POST", "/rpc/refresh_session", object{"Cookie": p.cookie}, nil).is(t, 200, `"token"`)
		}
		if n := db.count(t, "SELECT FROM satchel.sessions WHERE seen > now() - interval '30 seconds'"); n != 1 {
			t.Errorf("%d sessions were seen just now", n)
		}
		w.stranger().send(t, "POST", "/rpc/refresh_session", nil, nil).fails(t, 401, "")
	}},
	{"`POST /rpc/logout` → cookie emptied with Max-Age=0, and afterwards 401", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		got := p.send(t, "POST", "/rpc/logout", object{"Cookie": p.cookie}, nil)
		if set := got.header.Get("Set-Cookie"); got.status/100 != 2 || !strings.HasPrefix(set, "satchel_session=;") || !strings.Contains(set, "Max-Age=0") {
			t.Errorf("logout: %v, %s", got, set)
		}
		p.send(t, "GET", "/rpc/current_user", object{"Cookie": p.cookie}, nil).fails(t, 401, "")
		p.get(t, "/rpc/current_user").fails(t, 401, "")
		p.send(t, "POST", "/rpc/logout", object{"Cookie": p.cookie}, nil).fails(t, 401, "")
	}},
	{"Cookie: `HttpOnly; SameSite=Lax; Path=/`", func(t *testing.T, w *world) { // under TLS: TestCookieUnderTLS of package server
		p := w.newPerson(t)
		c := (&http.Response{Header: p.login(t).header}).Cookies()[0]
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("the cookie is %+v", c)
		}
	}},
	{"Cross-site POST → 403 (net/http's CrossOriginProtection)", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		for _, path := range []string{"/rpc/logout", "/rpc/refresh_session", "/rpc/store_file", "/rpc/register"} {
			for _, header := range []object{{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}} {
				header["Cookie"] = p.cookie
				p.send(t, "POST", path, header, "x").fails(t, 403, "")
			}
		}
		p.send(t, "POST", "/rpc/refresh_session", object{"Cookie": p.cookie, "Origin": w.server.URL}, nil).is(t, 200, "")
	}},
	{"Idle 15 min by default for the browser, sliding; 30 days at most; expired rows are cleaned", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		db := p.sql(t)
		if n := db.count(t, "SELECT FROM satchel.sessions WHERE idle = interval '15 minutes' AND expires BETWEEN created + interval '29 days 23 hours' AND created + interval '30 days 1 hour'"); n != 1 {
			t.Error("the session does not end after 15 minutes and 30 days")
		}
		by := func() answer { return p.send(t, "GET", "/rpc/current_user", object{"Cookie": p.cookie}, nil) }
		db.count(t, "UPDATE satchel.sessions SET seen = now() - interval '14 minutes'")
		by().is(t, 200, p.id)
		if n := db.count(t, "SELECT FROM satchel.sessions WHERE seen > now() - interval '1 minute'"); n != 1 {
			t.Error("use did not slide the expiry")
		}
		db.count(t, "UPDATE satchel.sessions SET seen = now() - interval '16 minutes'")
		p.get(t, "/rpc/current_user").is(t, 200, p.id) // the token has its own hour, but does not revive the cookie
		by().fails(t, 401, "")
		db.count(t, "UPDATE satchel.sessions SET seen = now() - interval '2 days'")
		db.count(t, "SELECT satchel.clean_sessions()") // as the server does every ten minutes
		if n := db.count(t, "SELECT FROM satchel.sessions"); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	}},
	{"Changing a password ends the other sessions", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		other := *p
		other.login(t)
		p.send(t, "POST", "/rpc/change_password", nil, object{"current_password": "wrong", "new_password": "another password"}).fails(t, 400, "wrong")
		other.get(t, "/files").is(t, 200, "")
		p.send(t, "POST", "/rpc/change_password", nil, object{"current_password": p.password, "new_password": "another password"}).is(t, 204, "")
		p.get(t, "/files").is(t, 200, "")
		other.get(t, "/files").fails(t, 401, "")
		p.send(t, "GET", "/files", object{"Cookie": other.cookie}, nil).fails(t, 401, "")
		w.stranger().send(t, "POST", "/rpc/login", nil, object{"email": p.email, "password": p.password}).fails(t, 400, "")
		p.password = "another password"
		p.login(t)
	}},
	{"`GET /users` never shows emails or password hashes to other users", func(t *testing.T, w *world) {
		p, other := w.newPerson(t), w.newPerson(t)
		for _, who := range []*person{p, w.admin} {
			got := who.get(t, "/users")
			got.is(t, 200, other.id)
			for _, secret := range []string{other.email, "argon2", "password"} {
				if strings.Contains(string(got.body), secret) {
					t.Errorf("%s shows %s", got.body, secret)
				}
			}
			if rows := who.get(t, "/users?email=eq."+other.email).rows(t); len(rows) != 0 {
				t.Errorf("an address finds %v", rows)
			}
		}
		w.stranger().get(t, "/users").fails(t, 401, "")
	}},
	{"Logged-in users change only their own name", func(t *testing.T, w *world) {
		p, other := w.newPerson(t), w.newPerson(t)
		p.send(t, "PATCH", "/users?id=eq."+p.id, nil, object{"name": "Renamed"}).is(t, 204, "")
		p.get(t, "/rpc/current_user").is(t, 200, `"name":"Renamed"`)
		p.send(t, "PATCH", "/users?id=eq."+other.id, nil, object{"name": "Mallory"})
		p.send(t, "PATCH", "/users?name=neq.x", nil, object{"name": "Mallory"})
		if got := other.get(t, "/rpc/current_user"); strings.Contains(string(got.body), "Mallory") {
			t.Errorf("another's name is %v", got)
		}
		for _, column := range []string{"email", "role", "id"} {
			p.send(t, "PATCH", "/users?id=eq."+p.id, nil, object{column: "x"}).fails(t, 403, "")
		}
	}},
	{"The database alone enforces it: as `satchel_app` with a user set, SQL sees only that user's rows; with none set, none", func(t *testing.T, w *world) {
		p, other := w.newPerson(t), w.newPerson(t)
		p.store(t, "a", "1")
		other.store(t, "dir/b", "2")
		owners := map[string]string{
			"users": "id", "sessions": "user_id", "drives": "owner", "dirs": "owner", "entries": "owner", "chunks": "owner", "packs": "owner", "changes": "owner",
			"nodes": "owner", "versions": "owner", "documents": "owner", "trash": "owner", "grants": "owner", "zones": "owner",
		}
		mine, nobody, stranger := p.sql(t), w.stranger().sql(t), w.stranger().sql(t)
		_, err := stranger.Exec(t.Context(), "SELECT set_config('satchel.anonymous', 'on', false)")
		must(t, err)
		for table, column := range owners {
			if n := nobody.count(t, "SELECT FROM satchel."+table); n != 0 {
				t.Errorf("with no user set %s shows %d rows", table, n)
			}
			for who, db := range map[string]database{"a user": mine, "a stranger": stranger} {
				if n := db.count(t, "SELECT FROM satchel."+table+" WHERE "+column+" = $1", other.id); n != 0 {
					t.Errorf("%s sees %d rows of another in %s", who, n, table)
				}
			}
		}
		if n := mine.count(t, "SELECT FROM satchel.nodes WHERE owner = $1", p.id); n != 2 {
			t.Errorf("a user sees %d nodes of his own", n)
		}
		// What its owner made public is everybody's, and nothing else of it.
		other.store(t, "public", "3")
		other.setPublic(t, "", "public", true).is(t, 200, "true")
		for table, column := range owners {
			want := int64(0)
			if table == "nodes" || table == "versions" {
				want = 1
			}
			if n := nobody.count(t, "SELECT FROM satchel."+table); n != 0 {
				t.Errorf("with no user set %s shows %d rows", table, n)
			}
			for who, db := range map[string]database{"a user": mine, "a stranger": stranger} {
				if n := db.count(t, "SELECT FROM satchel."+table+" WHERE "+column+" = $1", other.id); n != want {
					t.Errorf("%s sees %d rows of another in %s, not %d", who, n, table, want)
				}
			}
		}
	}},
	{"an UPDATE of one's own role, or INSERT for another owner, fails (SQLSTATE 42501). Tests do this over SQL, not through Go", func(t *testing.T, w *world) {
		p, other := w.newPerson(t), w.newPerson(t)
		p.store(t, "a", "1")
		db := p.sql(t)
		db.refuses(t, "UPDATE satchel.users SET role = 'admin'")
		db.refuses(t, "UPDATE satchel.users SET password_hash = 'x'")
		db.refuses(t, "SELECT password_hash FROM satchel.users")
		db.refuses(t, "UPDATE satchel.nodes SET owner = $1", other.id)
		db.refuses(t, "INSERT INTO satchel.sessions (id, user_id, kind, name, secret_sha256) VALUES (gen_random_uuid(), $1, 'device', 'x', sha256('x'))", other.id)
		db.refuses(t, "INSERT INTO satchel.drives (id, owner, name, root) VALUES (gen_random_uuid(), $1, 'x', gen_random_uuid())", other.id)
		db.refuses(t, "INSERT INTO satchel.packs (owner, id, bytes) VALUES ($1, gen_random_uuid(), 1)", other.id)
		db.refuses(t, "INSERT INTO satchel.grants (drive, node, principal, owner, permissions) SELECT id, root, 'anonymous', owner, 1 FROM satchel.drives")
		db.refuses(t, "SET ROLE satchel_auth")
	}},
}

// Register is 403 on a server that was not told to let anyone in.
func TestRegisterOnlyWithOpenSignup(t *testing.T) {
	must(t, parts.UseBlobs(t.Context(), "file", ""))
	s, err := parts.NewServer("closed")
	must(t, err)
	must(t, s.Start(t.Context()))
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	nobody := &person{w: &world{server: s}}
	nobody.send(t, "POST", "/rpc/register", nil, object{"email": "a@example.org", "name": "A", "password": "a long password"}).fails(t, 403, "closed")
}
