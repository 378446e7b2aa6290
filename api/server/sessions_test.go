package server

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"satchel/api"
	"satchel/storage/postgres"
	"satchel/storage/postgres/pgtest"
)

// cookie is the session cookie that an answer sets, as a Cookie header.
func cookie(t *testing.T, a answerData) string {
	t.Helper()
	cookies := (&http.Response{Header: a.header}).Cookies()
	if len(cookies) != 1 || cookies[0].Value == "" {
		t.Fatalf("cookies of %d %s: %v", a.status, a.body, cookies)
	}
	return cookies[0].Name + "=" + cookies[0].Value
}

// `POST /rpc/register {email,name,password}` → 200 and the cookie; with it one is logged in.
func TestRegisterOverHTTP(t *testing.T) {
	f := newFixture(t)
	register := func(body any) answerData { return f.do(request{method: "POST", path: "/rpc/register", body: body}) }
	a := register(map[string]string{"email": "new@example.org", "name": "Nina", "password": "long enough"})
	if a.status != 200 {
		t.Fatalf("register = %d %s", a.status, a.body)
	}
	c := cookie(t, a)
	me := f.do(request{path: "/rpc/current_user", header: map[string]string{"Cookie": c}})
	var who []map[string]string
	if err := json.Unmarshal([]byte(me.body), &who); err != nil || len(who) != 1 || len(who[0]) != 3 || who[0]["name"] != "Nina" || who[0]["email"] != "new@example.org" || who[0]["user_id"] == "" {
		t.Errorf("current_user = %d %s", me.status, me.body)
	}
	f.fails(register(map[string]string{"email": "new@example.org", "password": "long enough"}), 409, "already")
	f.fails(register(map[string]string{"email": "other@example.org", "password": "short"}), 400, "8 characters")
	f.fails(register(map[string]any{"email": "other@example.org", "password": "long enough", "role": 1, "name": 2}), 400, "")
	// No role can be self-assigned.
	a = register(map[string]string{"email": "other@example.org", "password": "long enough", "role": "admin"})
	if me := f.do(request{path: "/users?select=role&role=not.is.null", header: map[string]string{"Cookie": cookie(t, a)}}); me.body != `[{"role":"editor"}]`+"\n" {
		t.Errorf("the new account's role: %s", me.body)
	}
}

// Who vouches for an address is not the request's to say: the account would be one into which an identity provider signs somebody in.
func TestRegisterVouchesForNobody(t *testing.T) {
	f := newFixture(t)
	for path, status := range map[string]int{"/rpc/register": 200, "/api/users/signup": 201} {
		subject := map[string]string{"Issuer": "https://id.example.org", "ID": path}
		body := map[string]any{"email": path[5:8] + "@example.org", "password": "long enough", "By": subject, "Unlimited": true}
		if a := f.do(request{method: "POST", path: path, body: body}); a.status != status {
			t.Fatalf("%s: %d %s", path, a.status, a.body)
		}
		if who, err := f.db.SubjectAccount(t.Context(), postgres.Subject{Issuer: subject["Issuer"], ID: path}); api.KindOf(err) != api.NotFound {
			t.Errorf("%s: the subject signs in to %+v, %v", path, who, err)
		}
	}
	users, err := f.operator.Users(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range users {
		if own := u.Email == alice || u.Email == bob || u.Email == root; u.SignedUp == own {
			t.Errorf("%s signed up: %v", u.Email, u.SignedUp)
		}
	}
}

// The limit of new accounts is not for this machine itself, unless somebody else asks through it.
func TestNewAccountsOfThisMachine(t *testing.T) {
	for name, tt := range map[string]struct {
		bans   BanConfig
		from   string
		header http.Header
		want   bool
	}{
		"this machine":                   {BanConfig{}, "127.0.0.1:1", nil, true},
		"by IPv6":                        {BanConfig{}, "[::1]:1", nil, true},
		"by IPv4 in IPv6":                {BanConfig{}, "[::ffff:127.0.0.1]:1", nil, true},
		"another":                        {BanConfig{}, "192.0.2.1:1", nil, false},
		"a unix socket":                  {BanConfig{}, "@", nil, false},
		"where it is banned like others": {BanConfig{Loopback: true}, "127.0.0.1:1", nil, false},
		"a proxy here that says so":      {BanConfig{}, "127.0.0.1:1", http.Header{"X-Forwarded-For": {"192.0.2.1"}}, false},
		"in the words of RFC 7239":       {BanConfig{}, "127.0.0.1:1", http.Header{"Forwarded": {"for=192.0.2.1"}}, false},
		"past a proxy that is believed":  {BanConfig{AddressHeader: "X-Client"}, "127.0.0.1:1", nil, true},
		"this machine through it":        {BanConfig{AddressHeader: "X-Client"}, "127.0.0.1:1", http.Header{"X-Client": {"127.0.0.1"}}, false},
		"one whom it does not know":      {BanConfig{AddressHeader: "X-Client"}, "127.0.0.1:1", http.Header{"X-Client": {"unknown"}}, false},
		"one whom it hides":              {BanConfig{AddressHeader: "Forwarded"}, "127.0.0.1:1", http.Header{"Forwarded": {"for=_hidden"}}, false},
		"one whom it does not name":      {BanConfig{AddressHeader: "X-Client"}, "127.0.0.1:1", http.Header{"X-Client": {""}}, false},
		"through one with other words":   {BanConfig{AddressHeader: "X-Client"}, "127.0.0.1:1", http.Header{"X-Forwarded-For": {"192.0.2.1"}}, false},
		"another through it":             {BanConfig{AddressHeader: "X-Forwarded-For"}, "192.0.2.1:1", http.Header{"X-Forwarded-For": {"192.0.2.1"}}, false},
	} {
		r := &http.Request{RemoteAddr: tt.from, Header: tt.header}
		if got := (&server{bans: tt.bans}).limitless(r); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// As many as one wants are made from there, by each of the ways to make one.
func TestNewAccountsAreLimited(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/rpc/register", "/api/users/signup"} {
		for header, want := range map[string]bool{"Accept": false, "X-Forwarded-For": true} {
			limited := false
			for range 90 { // the password is too short, so that none has to be hashed
				a := f.do(request{method: "POST", path: path, body: map[string]string{"email": "new@example.org", "password": "short"}, header: map[string]string{header: "192.0.2.1"}})
				limited = limited || a.status == http.StatusTooManyRequests
			}
			if limited != want {
				t.Errorf("%s with %s: limited %v", path, header, limited)
			}
		}
	}
}

// `POST /rpc/logout` → cookie emptied with Max-Age=0, and afterwards 401.
func TestLogout(t *testing.T) {
	f := newFixture(t)
	in := f.login(alice, password)
	c := cookie(t, in)
	var rows []struct{ Token string }
	if err := json.Unmarshal([]byte(in.body), &rows); err != nil {
		t.Fatal(err)
	}
	out := f.do(request{method: "POST", path: "/rpc/logout", header: map[string]string{"Cookie": c}})
	if set := out.header.Get("Set-Cookie"); out.status != 204 || !strings.Contains(set, "Max-Age=0") || !strings.HasPrefix(set, "satchel_session=;") {
		t.Errorf("logout = %d, Set-Cookie: %s", out.status, set)
	}
	for _, header := range []map[string]string{{"Cookie": c}, {"Authorization": "Bearer " + rows[0].Token}} {
		for _, path := range []string{"/rpc/current_user", "/files", "/users"} {
			f.fails(f.do(request{path: path, header: header}), 401, "")
		}
		f.fails(f.do(request{method: "POST", path: "/rpc/logout", header: header}), 401, "")
		f.fails(f.do(request{method: "POST", path: "/rpc/refresh_session", header: header}), 401, "")
	}
	f.fails(f.do(request{path: "/rpc/current_user"}), 401, "")
}

// TestUnaskedIsNoUse: what a page asks for by itself does not keep its session from ending after 15 minutes without use; what
// somebody does at it keeps it.
func TestUnaskedIsNoUse(t *testing.T) {
	f := newFixture(t)
	c := cookie(t, f.login(alice, password))
	ask := func(path string, unasked bool) int {
		h := map[string]string{"Cookie": c}
		if unasked {
			h["Satchel-Unasked"] = "1"
		}
		return f.do(request{path: path, header: h}).status
	}
	const feed, picture, who = "/v1/drives/home/changes?after=0", "/thumb/nothing.jpg", "/rpc/current_user"
	for range 2 { // each use is good for 15 minutes more
		if got := ask(who, false); got != 200 {
			t.Fatalf("a use: %d", got)
		}
		pgtest.AgeSessions(t, f.admin, 14*time.Minute)
	}
	for _, path := range []string{feed, "/rpc/current_user", picture} {
		if got := ask(path, path != picture); got == 401 {
			t.Errorf("%s after 14 minutes: %d", path, got)
		}
	}
	pgtest.AgeSessions(t, f.admin, 2*time.Minute)
	for _, path := range []string{feed, who} {
		if got := ask(path, path == feed); got != 401 {
			t.Errorf("%s after 16 minutes: %d", path, got)
		}
	}
}

// Cross-site POST → 403.
func TestCrossSiteIsRefusedEverywhere(t *testing.T) {
	f := newFixture(t)
	c := cookie(t, f.login(alice, password))
	for _, header := range []map[string]string{
		{"Cookie": c, "Origin": "https://evil.example"},
		{"Cookie": c, "Sec-Fetch-Site": "cross-site"},
		{"Cookie": c, "Sec-Fetch-Site": "same-site"},
		{"Cookie": c, "Origin": "null"},
	} {
		for _, path := range []string{"/rpc/logout", "/rpc/login", "/rpc/register", "/rpc/store_file", "/files", "/v1/logout"} {
			if a := f.do(request{method: "POST", path: path, header: header}); a.status != 403 {
				t.Errorf("POST %s from elsewhere with %v = %d %s", path, header, a.status, a.body)
			}
		}
	}
	if a := f.do(request{path: "/rpc/current_user", header: map[string]string{"Cookie": c}}); a.status != 200 {
		t.Errorf("after all that: %d", a.status)
	}
	if a := f.do(request{method: "POST", path: "/rpc/refresh_session", header: map[string]string{"Cookie": c, "Sec-Fetch-Site": "same-origin"}}); a.status != 200 {
		t.Errorf("one's own page: %d %s", a.status, a.body)
	}
}

// Logged-in users change only their own name.
func TestUsers(t *testing.T) {
	f := newFixture(t)
	bobs := f.rows(f.do(request{path: "/users?select=id&role=not.is.null", as: bob}))[0]["id"].(string)
	patch := func(query string, body any) answerData {
		return f.do(request{method: "PATCH", path: "/users" + query, as: alice, body: body, header: map[string]string{"Prefer": "return=representation"}})
	}
	if a := patch("?id=eq."+bobs, map[string]string{"name": "Mallory"}); a.status != 200 || a.body != "[]\n" {
		t.Errorf("another's name: %d %s", a.status, a.body)
	}
	if rows := f.rows(patch("?name=eq.", map[string]string{"name": "Alice"})); len(rows) != 1 || rows[0]["name"] != "Alice" || rows[0]["email"] != alice {
		t.Errorf("all that are unnamed: %v", rows)
	}
	all := f.do(request{path: "/users?order=name.desc&limit=5", as: bob})
	if strings.Contains(all.body, alice) || strings.Contains(all.body, "argon2") || strings.Contains(all.body, "password") {
		t.Errorf("bob sees %s", all.body)
	}
	if rows := f.rows(all); len(rows) != 3 || rows[0]["name"] != "Alice" {
		t.Errorf("bob sees %v", rows)
	}
	f.fails(patch("", map[string]string{"name": "All"}), 400, "filter")
	f.fails(patch("?id=eq."+bobs, map[string]string{"role": "admin"}), 403, "")
	f.fails(patch("?id=eq."+bobs, map[string]string{"password_hash": "x"}), 400, "does not exist")
	f.fails(patch("?id=eq."+bobs, map[string]any{"name": 1}), 400, "text")
	f.fails(f.do(request{path: "/users?password_hash=like.*", as: alice}), 400, "does not exist")
	f.fails(f.do(request{path: "/users"}), 401, "")
}

// Whose password is reset while he changes it is told to log in again, not that the one he gave is wrong.
func TestPasswordResetMeanwhile(t *testing.T) {
	f := newFixture(t)
	admin, err := api.ParseID(f.accountID(root))
	if err != nil {
		t.Fatal(err)
	}
	user, err := api.ParseID(f.accountID(bob))
	if err != nil {
		t.Fatal(err)
	}
	b := f.browser()
	b.signIn(bob)
	answered := make(chan page, 1)
	err = f.db.As(t.Context(), admin, func(ctx context.Context, tx *postgres.Tx) error {
		if err := tx.AdminChangeUser(ctx, user, postgres.AccountChange{PasswordHash: new("as the admin set it")}); err != nil {
			return err
		}
		go func() { answered <- b.post("/do/password", "current", password, "new", "a new password") }()
		for len(answered) == 0 && pgtest.ChangingPassword(t, f.admin) == 0 {
			time.Sleep(time.Millisecond)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	p := <-answered
	p.want(t, "the page", "/", "Your password was changed meanwhile, or your session has ended: sign in again.")
}

func TestChangePasswordOverHTTP(t *testing.T) {
	f := newFixture(t)
	mine, other := cookie(t, f.login(bob, password)), cookie(t, f.login(bob, password))
	change := func(current, next string) answerData {
		return f.do(request{method: "POST", path: "/rpc/change_password", header: map[string]string{"Cookie": mine}, body: map[string]string{"current_password": current, "new_password": next}})
	}
	f.fails(change("wrong", "another password"), 400, "current password is wrong")
	f.fails(change(password, "short"), 400, "8 characters")
	if a := change(password, "another password"); a.status != 204 {
		t.Fatalf("change = %d %s", a.status, a.body)
	}
	if a := f.do(request{path: "/rpc/current_user", header: map[string]string{"Cookie": mine}}); a.status != 200 {
		t.Errorf("the session that did it: %d", a.status)
	}
	f.fails(f.do(request{path: "/rpc/current_user", header: map[string]string{"Cookie": other}}), 401, "")
	f.fails(f.login(bob, password), 400, "Invalid email or password")
	if a := f.login(bob, "another password"); a.status != 200 {
		t.Errorf("the new password: %d %s", a.status, a.body)
	}
}
