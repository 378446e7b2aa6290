package server

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"satchel/api"
	"satchel/api/auth"
	"satchel/integration/identity"
)

func TestOIDC(t *testing.T) {
	known := identity.Known{
		"alice":    {ID: "a", Email: "Alice@Example.org", EmailVerified: true},
		"liar":     {ID: "l", Email: bob, EmailVerified: false},
		"stranger": {ID: "s", Email: "new@example.org", EmailVerified: true, FirstName: "New", LastName: "One"},
	}
	f := newFixtureWith(t, func(c *Config, url string) {
		p := identity.New(t)
		p.Serve(known, "shared", url+"/oidc/end")
		c.OIDC = auth.NewOIDC(c.Auth, auth.OIDCConfig{Issuer: p.URL, ClientID: identity.Client, Secret: "shared", Name: "Example"})
	})

	b := identity.NewPerson(t)
	if _, text := b.Page(b.Get(f.url)); !strings.Contains(text, "Sign in with Example") {
		t.Errorf("the start page does not offer the provider:\n%s", text)
	}
	at, text := b.SignIn(f.url+"/oidc/begin", "alice")
	if at.Path != "/browse/" || !strings.Contains(text, alice) {
		t.Fatalf("Alice is led to %s:\n%s", at, text)
	}

	// The provider's subject counts from then on, whatever its address is.
	known["alice"].Email, known["alice"].EmailVerified = "other@example.org", false
	if at, text := identity.NewPerson(t).SignIn(f.url+"/oidc/begin", "alice"); at.Path != "/browse/" || !strings.Contains(text, alice) {
		t.Errorf("the second time Alice is led to %s:\n%s", at, text)
	}

	for user, want := range map[string]string{"liar": "verified", "stranger": "no account here"} {
		if at, text := identity.NewPerson(t).SignIn(f.url+"/oidc/begin", user); at.Path != "/oidc/end" || !strings.Contains(text, want) {
			t.Errorf("%s is led to %s, without %q:\n%s", user, at, want, text)
		}
	}

	// What was begun in one browser is not finished in another.
	thief := identity.NewPerson(t)
	if at, text := thief.Page(thief.Get(f.url + "/oidc/end?code=x&state=y")); at.Path != "/oidc/end" || !strings.Contains(text, "not begun in this browser") {
		t.Errorf("an answer from nowhere leads to %s:\n%s", at, text)
	}

	// A disabled account's identity is one that nobody has.
	if err := f.operator.DisableUser(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	if at, _ := identity.NewPerson(t).SignIn(f.url+"/oidc/begin", "alice"); at.Path != "/oidc/end" {
		t.Errorf("a disabled account is led to %s", at)
	}
}

func TestOIDCSignup(t *testing.T) {
	known := identity.Known{"new": {ID: "n", Email: "new@example.org", EmailVerified: true, FirstName: "New", LastName: "One"}}
	f := newFixtureWith(t, func(c *Config, url string) {
		p := identity.New(t)
		p.Serve(known, "shared", url+"/oidc/end")
		c.OIDC = auth.NewOIDC(c.Auth, auth.OIDCConfig{Issuer: p.URL, ClientID: identity.Client, Secret: "shared", Name: "Example", Signup: true})
	})
	for range 2 { // the account is the subject's from the first time on
		at, text := identity.NewPerson(t).SignIn(f.url+"/oidc/begin", "new")
		if at.Path != "/browse/" || !strings.Contains(text, "New One") {
			t.Errorf("somebody new is led to %s:\n%s", at, text)
		}
	}
}

// Whoever signed up with another one's address keeps the password of the account: the address's owner must not be led to it.
func TestOIDCLeavesWhatSomebodySignedUp(t *testing.T) {
	const victim = "victim@example.org"
	known := identity.Known{"victim": {ID: "v", Email: victim, EmailVerified: true}}
	f := newFixtureWith(t, func(c *Config, url string) {
		p := identity.New(t)
		p.Serve(known, "shared", url+"/oidc/end")
		c.OIDC = auth.NewOIDC(c.Auth, auth.OIDCConfig{Issuer: p.URL, ClientID: identity.Client, Secret: "shared", Name: "Example", Signup: true})
	})
	signIn := func() (*url.URL, string) { return identity.NewPerson(t).SignIn(f.url+"/oidc/begin", "victim") }
	const theirs = "a password of the attacker"
	if a := f.do(request{method: "POST", path: "/rpc/register", body: map[string]string{"email": victim, "name": "V", "password": theirs}}); a.status != 200 {
		t.Fatalf("%+v", a)
	}
	if at, text := signIn(); at.Path != "/oidc/end" || !strings.Contains(text, "somebody made with a password") {
		t.Errorf("the address's owner is led to %s:\n%s", at, text)
	}

	// That they change the password themselves vouches for nothing.
	_, token, err := f.auth.LoginBrowser(t.Context(), netip.MustParseAddr("192.0.2.1"), victim, theirs, "a browser")
	if err != nil {
		t.Fatal(err)
	}
	changed := f.do(request{method: "POST", path: "/rpc/change_password", header: map[string]string{"Authorization": "Bearer " + token.Token},
		body: map[string]string{"current_password": theirs, "new_password": theirs + "!"}})
	if changed.status != 204 {
		t.Fatalf("%+v", changed)
	}
	if at, _ := signIn(); at.Path != "/oidc/end" {
		t.Errorf("after a change of the password the address's owner is led to %s", at)
	}

	// Nor does an admin who changes something else.
	admin := f.browser()
	admin.signIn(root)
	id := f.accountID(victim)
	admin.post("/do/admin/change", "user", id, "quota", "2 GB").want(t, "quota", "/people/"+id, "2.0 GB")
	if at, _ := signIn(); at.Path != "/oidc/end" {
		t.Errorf("with another quota the address's owner is led to %s", at)
	}

	// Once the operator has set a password, the account is whose he says.
	if err := f.operator.SetPassword(t.Context(), victim, "a hash"); err != nil {
		t.Fatal(err)
	}
	if at, text := signIn(); at.Path != "/browse/" || !strings.Contains(text, victim) {
		t.Errorf("when the operator has taken it over the address's owner is led to %s:\n%s", at, text)
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
	b := identity.NewPerson(t)
	page := f.url + "/device?code=" + code.UserCode
	if _, text := b.Page(b.Get(page)); !strings.Contains(text, `name="device" value="`+code.UserCode+`"`) {
		t.Fatalf("the page for strangers:\n%s", text)
	}
	at, text := b.Page(b.PostForm(f.url+"/signin", url.Values{"email": {alice}, "password": {password}, "device": {code.UserCode}}))
	if at.String() != page || !strings.Contains(text, "printer <b>") || !strings.Contains(text, "127.0.0.1") {
		t.Fatalf("after signing in at %s:\n%s", at, text)
	}
	if _, text := b.Page(b.Get(f.url + "/device?code=BBBB-BBBB")); !strings.Contains(text, "No device shows this code") {
		t.Errorf("a wrong code:\n%s", text)
	}
	if a := poll(code); a.Credentials != nil {
		t.Errorf("looking at it is no yes: %+v", a)
	}
	answer := url.Values{"code": {strings.ToLower(strings.Replace(code.UserCode, "-", " ", 1))}, "allow": {"true"}}
	if _, text := b.Page(b.PostForm(f.url+"/do/device", answer)); !strings.Contains(text, "The device is logged in") {
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
	if _, text := b.Page(b.PostForm(f.url+"/do/device", url.Values{"code": {code.UserCode}, "allow": {"false"}})); !strings.Contains(text, "refused") {
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
