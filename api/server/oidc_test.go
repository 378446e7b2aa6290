package server

import (
	"encoding/json"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"

	"satchel/api"
	"satchel/api/auth"
)

// identities are whom the provider knows, by the names that they log in with.
type identities map[string]*storage.User

func (p identities) GetUserByUsername(name string) *storage.User { return p[name] }
func (p identities) ExampleClientID() string                     { return "service" }
func (p identities) GetUserByID(id string) *storage.User {
	for _, u := range p {
		if u.ID == id {
			return u
		}
	}
	return nil
}

// newProvider is an OpenID Connect provider, zitadel's, and where it leads
// back to once that is known.
func newProvider(t *testing.T, known identities, back string) string {
	t.Helper()
	for _, u := range known {
		u.Password = "at the provider"
	}
	client := map[string]*storage.Client{"satchel": storage.WebClient("satchel", "shared", back)}
	var handler http.Handler
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(web.Close)
	handler = exampleop.SetupServer(web.URL, storage.NewStorageWithClients(known, client), slog.New(slog.DiscardHandler), false)
	return web.URL
}

// person is one at a browser: it follows redirects and keeps cookies.
type person struct {
	t *testing.T
	*http.Client
}

func newPerson(t *testing.T) *person {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &person{t, &http.Client{Jar: jar}}
}

// page is the address that a request ended at, and its text.
func (b *person) page(resp *http.Response, err error) (*url.URL, string) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.Request.URL, html.UnescapeString(string(text))
}

var loginForm = regexp.MustCompile(`name="id" value="([^"]+)"`)

// signIn goes to the provider from a page of ours, logs in there, and comes back.
func (b *person) signIn(from, user string) (*url.URL, string) {
	b.t.Helper()
	at, text := b.page(b.Get(from))
	form := loginForm.FindStringSubmatch(text)
	if form == nil {
		b.t.Fatalf("%s led to %s, which is no login form:\n%s", from, at, text)
	}
	at.RawQuery = ""
	return b.page(b.PostForm(at.String(), url.Values{"id": {form[1]}, "username": {user}, "password": {"at the provider"}}))
}

func TestOIDC(t *testing.T) {
	known := identities{
		"alice":    {ID: "a", Email: "Alice@Example.org", EmailVerified: true},
		"liar":     {ID: "l", Email: bob, EmailVerified: false},
		"stranger": {ID: "s", Email: "new@example.org", EmailVerified: true, FirstName: "New", LastName: "One"},
	}
	f := newFixtureWith(t, func(c *Config, url string) {
		c.OIDC = auth.NewOIDC(c.Auth, auth.OIDCConfig{Issuer: newProvider(t, known, url+"/oidc/end"), ClientID: "satchel", Secret: "shared", Name: "Example"})
	})

	b := newPerson(t)
	if _, text := b.page(b.Get(f.url)); !strings.Contains(text, "Sign in with Example") {
		t.Errorf("the start page does not offer the provider:\n%s", text)
	}
	at, text := b.signIn(f.url+"/oidc/begin", "alice")
	if at.Path != "/browse/" || !strings.Contains(text, alice) {
		t.Fatalf("Alice is led to %s:\n%s", at, text)
	}

	// The provider's subject counts from then on, whatever its address is.
	known["alice"].Email, known["alice"].EmailVerified = "other@example.org", false
	if at, text := newPerson(t).signIn(f.url+"/oidc/begin", "alice"); at.Path != "/browse/" || !strings.Contains(text, alice) {
		t.Errorf("the second time Alice is led to %s:\n%s", at, text)
	}

	for user, want := range map[string]string{"liar": "verified", "stranger": "no account here"} {
		if at, text := newPerson(t).signIn(f.url+"/oidc/begin", user); at.Path != "/oidc/end" || !strings.Contains(text, want) {
			t.Errorf("%s is led to %s, without %q:\n%s", user, at, want, text)
		}
	}

	// What was begun in one browser is not finished in another.
	thief := newPerson(t)
	if at, text := thief.page(thief.Get(f.url + "/oidc/end?code=x&state=y")); at.Path != "/oidc/end" || !strings.Contains(text, "not begun in this browser") {
		t.Errorf("an answer from nowhere leads to %s:\n%s", at, text)
	}

	// A disabled account's identity is one that nobody has.
	if err := f.operator.DisableUser(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	if at, _ := newPerson(t).signIn(f.url+"/oidc/begin", "alice"); at.Path != "/oidc/end" {
		t.Errorf("a disabled account is led to %s", at)
	}
}

func TestOIDCSignup(t *testing.T) {
	known := identities{"new": {ID: "n", Email: "new@example.org", EmailVerified: true, FirstName: "New", LastName: "One"}}
	f := newFixtureWith(t, func(c *Config, url string) {
		c.OIDC = auth.NewOIDC(c.Auth, auth.OIDCConfig{Issuer: newProvider(t, known, url+"/oidc/end"), ClientID: "satchel", Secret: "shared", Name: "Example", Signup: true})
	})
	at, text := newPerson(t).signIn(f.url+"/oidc/begin", "new")
	if at.Path != "/browse/" || !strings.Contains(text, "New One") {
		t.Errorf("somebody new is led to %s:\n%s", at, text)
	}
}

// A device is logged in by who confirms it on the page, signed in by either way.
func TestDevicePage(t *testing.T) {
	f := newFixture(t)
	begin := func() api.DeviceCode {
		var c api.DeviceCode
		decode(t, f.do(request{method: "POST", path: "/v1/device/code", body: map[string]string{"device": "printer <b>"}}), &c)
		return c
	}
	poll := func(c api.DeviceCode) (a api.DeviceAnswer) {
		decode(t, f.do(request{method: "POST", path: "/v1/device/token", body: map[string]string{"device_code": c.Secret}}), &a)
		return a
	}
	code := begin()
	if a := poll(code); a.State != api.DevicePending || a.Credentials != nil {
		t.Errorf("nobody has confirmed it: %+v", a)
	}
	if a := poll(code); a.State != api.DeviceSlow {
		t.Errorf("asked again at once: %+v", a)
	}

	// Who is not signed in is asked to, and comes back to the device.
	b := newPerson(t)
	page := f.url + "/device?code=" + code.UserCode
	if _, text := b.page(b.Get(page)); !strings.Contains(text, `name="device" value="`+code.UserCode+`"`) {
		t.Fatalf("the page for strangers:\n%s", text)
	}
	at, text := b.page(b.PostForm(f.url+"/signin", url.Values{"email": {alice}, "password": {password}, "device": {code.UserCode}}))
	if at.String() != page || !strings.Contains(text, "printer <b>") || !strings.Contains(text, "127.0.0.1") {
		t.Fatalf("after signing in at %s:\n%s", at, text)
	}
	if _, text := b.page(b.Get(f.url + "/device?code=BBBB-BBBB")); !strings.Contains(text, "No device shows this code") {
		t.Errorf("a wrong code:\n%s", text)
	}
	if a := poll(code); a.Credentials != nil {
		t.Errorf("looking at it is no yes: %+v", a)
	}
	answer := url.Values{"code": {strings.ToLower(strings.Replace(code.UserCode, "-", " ", 1))}, "allow": {"true"}}
	if _, text := b.page(b.PostForm(f.url+"/do/device", answer)); !strings.Contains(text, "The device is logged in") {
		t.Fatalf("after the yes:\n%s", text)
	}
	a := poll(code)
	if a.State != api.DeviceAllowed || a.Credentials == nil || a.Credentials.Email != alice || a.Credentials.Secret == "" {
		t.Fatalf("after the yes: %+v", a)
	}
	if who := f.do(request{path: "/v1/whoami", header: map[string]string{"Authorization": "Bearer " + a.Credentials.Token.Token}}); who.status != 200 {
		t.Errorf("the device's token: %+v", who)
	}
	if a := poll(code); a.State != api.DeviceExpired {
		t.Errorf("credentials are told once: %+v", a)
	}

	code = begin()
	if _, text := b.page(b.PostForm(f.url+"/do/device", url.Values{"code": {code.UserCode}, "allow": {"false"}})); !strings.Contains(text, "refused") {
		t.Errorf("after the no:\n%s", text)
	}
	if a := poll(code); a.State != api.DeviceDenied {
		t.Errorf("after the no: %+v", a)
	}

	// Another site's form can't say yes, and codes can't be tried one after the other.
	code = begin()
	cross := f.do(request{method: "POST", path: "/do/device", as: alice, header: map[string]string{"Sec-Fetch-Site": "cross-site"}, body: "code=" + code.UserCode + "&allow=true"})
	if cross.status != http.StatusForbidden {
		t.Errorf("another site's yes: %+v", cross)
	}
	limited := false
	for range 60 {
		resp, err := b.Get(f.url + "/device?code=CCCC-CCCC")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		limited = limited || resp.StatusCode == http.StatusTooManyRequests
	}
	if !limited {
		t.Error("60 wrong codes in a row were looked up")
	}
}

func decode(t *testing.T, a answerData, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil || a.status != http.StatusOK {
		t.Fatalf("%v: %+v", err, a)
	}
}
