// Package identity is an OpenID Connect provider for tests, zitadel's, and
// somebody at a browser who signs in there.
package identity

import (
	"encoding/json"
	"html"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

// User is whom the provider knows.
type User = storage.User

// Known are they, by the names that they log in with. A test may change them meanwhile.
type Known map[string]*User

// GetUserByUsername is part of zitadel's storage.UserStore.
func (k Known) GetUserByUsername(name string) *User { return k[name] }

// ExampleClientID is part of zitadel's storage.UserStore.
func (k Known) ExampleClientID() string { return "service" }

// GetUserByID is part of zitadel's storage.UserStore.
func (k Known) GetUserByID(id string) *User {
	for _, u := range k {
		if u.ID == id {
			return u
		}
	}
	return nil
}

// Client is what the provider calls the server under test.
const Client = "satchel"

// Password is that of everybody at the provider.
const Password = "at the provider"

// Provider is one that runs until the test ends.
type Provider struct {
	URL string

	mu      sync.Mutex
	handler http.Handler
	issued  []string
}

// Issued is what the provider told servers in exchange for codes: access tokens and id tokens.
func (p *Provider) Issued() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.issued)
}

// note passes an answer with tokens on, and remembers these.
func (p *Provider) note(h http.Handler, w http.ResponseWriter, r *http.Request) {
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	var tokens struct {
		Access string `json:"access_token"`
		ID     string `json:"id_token"`
	}
	if json.Unmarshal(answer.Body.Bytes(), &tokens) == nil {
		p.mu.Lock()
		for _, token := range []string{tokens.Access, tokens.ID} {
			if token != "" {
				p.issued = append(p.issued, token)
			}
		}
		p.mu.Unlock()
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	w.Write(answer.Body.Bytes())
}

// New starts a provider. It knows nobody, and no server, before [Provider.Serve].
func New(t *testing.T) *Provider {
	p := &Provider{handler: http.NotFoundHandler()}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		h := p.handler
		p.mu.Unlock()
		if r.URL.Path == "/oauth/token" {
			p.note(h, w, r)
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	p.URL = web.URL
	return p
}

// Serve lets known sign in for the server that shares a secret and is led back to.
func (p *Provider) Serve(known Known, secret, back string) {
	for _, u := range known {
		u.Password = Password
	}
	client := map[string]*storage.Client{Client: storage.WebClient(Client, secret, back)}
	h := exampleop.SetupServer(p.URL, storage.NewStorageWithClients(known, client), slog.New(slog.DiscardHandler), false)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handler = h
}

// Person is one at a browser, who follows redirects and keeps cookies.
type Person struct {
	t *testing.T
	*http.Client
	Visited []*url.URL // whereto redirects led, with the queries
}

// NewPerson is one whose browser has no cookies yet.
func NewPerson(t *testing.T) *Person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &Person{t: t}
	p.Client = &http.Client{Jar: jar, Transport: &http.Transport{}, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		p.Visited = append(p.Visited, r.URL)
		return nil
	}}
	t.Cleanup(p.CloseIdleConnections)
	return p
}

// Page is the address that a request ended at, and its text.
func (p *Person) Page(resp *http.Response, err error) (*url.URL, string) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.Request.URL, html.UnescapeString(string(text))
}

var loginForm = regexp.MustCompile(`name="id" value="([^"]+)"`)

// SignIn goes to the provider from a page of the server, logs in there, and comes back.
func (p *Person) SignIn(from, user string) (*url.URL, string) {
	p.t.Helper()
	at, text := p.Page(p.Get(from))
	form := loginForm.FindStringSubmatch(text)
	if form == nil {
		p.t.Fatalf("%s led to %s, which is no login form:\n%s", from, at, text)
	}
	at.RawQuery = ""
	return p.Page(p.PostForm(at.String(), url.Values{"id": {form[1]}, "username": {user}, "password": {Password}}))
}
