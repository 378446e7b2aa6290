package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"satchel/api"
	"satchel/storage/postgres"
)

// OIDCConfig names an OpenID Connect provider that vouches for people.
type OIDCConfig struct {
	Issuer   string // its URL
	ClientID string
	Secret   string
	Name     string // what the button says: "Sign in with Name"
	Signup   bool   // make an account for a verified address that has none
}

// OIDC signs people in by what a provider says of them: the code flow with
// PKCE, state and nonce (OpenID Connect Core section 3.1, RFC 9700). It is safe for
// concurrent use.
type OIDC struct {
	auth   *Auth
	config OIDCConfig
	http   *http.Client

	asking   singleflight.Group
	mu       sync.Mutex
	provider *oidc.Provider // asked for when it is first needed: it may be down when we start
	failed   time.Time      // when it last did not answer
}

const (
	oidcPatience = 10 * time.Second // how long one answer of the provider may take
	oidcPause    = 10 * time.Second // how long one that did not answer is not asked again
)

// NewOIDC makes no call yet.
func NewOIDC(a *Auth, c OIDCConfig) *OIDC {
	return &OIDC{auth: a, config: c, http: &http.Client{Timeout: oidcPatience}}
}

// Name is what people call the provider.
func (o *OIDC) Name() string { return o.config.Name }

// discover is what the provider says of itself. It is asked once for all who
// wait for it, each as long as his request lives. One that does not answer is [api.Unavailable].
func (o *OIDC) discover(ctx context.Context) (*oidc.Provider, error) {
	o.mu.Lock()
	p, resting := o.provider, time.Since(o.failed) < oidcPause
	o.mu.Unlock()
	if p != nil {
		return p, nil
	}
	if resting {
		return nil, o.down()
	}
	answer := o.asking.DoChan("", func() (any, error) {
		// The provider keeps the context for its keys: it must not end with this request.
		p, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), o.http), o.config.Issuer)
		o.mu.Lock()
		defer o.mu.Unlock()
		if err != nil {
			o.auth.log.Error("the identity provider does not answer", "issuer", o.config.Issuer, "err", err)
			o.failed = time.Now()
			return nil, o.down()
		}
		o.provider = p
		return p, nil
	})
	select {
	case r := <-answer:
		p, _ := r.Val.(*oidc.Provider)
		return p, r.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (o *OIDC) down() error {
	return api.Errorf(api.Unavailable, "%s does not answer: try again, or sign in with a password", o.config.Name)
}

func (o *OIDC) oauth(p *oidc.Provider, redirect string) *oauth2.Config {
	return &oauth2.Config{ClientID: o.config.ClientID, ClientSecret: o.config.Secret, Endpoint: p.Endpoint(), RedirectURL: redirect,
		Scopes: []string{oidc.ScopeOpenID, "email", "profile"}}
}

// Begin is where to send a browser, and what to keep in it meanwhile: only the
// browser that began may finish. redirect is the address that the provider leads back to.
func (o *OIDC) Begin(ctx context.Context, redirect string) (to, flight string, err error) {
	p, err := o.discover(ctx)
	if err != nil {
		return "", "", err
	}
	state, nonce, verifier := newSecret(), newSecret(), oauth2.GenerateVerifier()
	to = o.oauth(p, redirect).AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier))
	return to, strings.Join([]string{state, nonce, verifier}, "."), nil
}

// Finish reads what the provider led back with and finds the account: that
// which the provider's subject signed in to before, else the one of its verified
// address, else a new one where that is allowed. An account that was made by signing up with that
// address is not it: whoever made it may not be its owner, and would keep his password, and what he has
// shared, when the owner fills it. A refusal of either side is [api.Unauthenticated] or [api.Permission].
func (o *OIDC) Finish(ctx context.Context, from netip.Addr, redirect, flight string, answer url.Values) (postgres.Account, error) {
	parts := strings.Split(flight, ".")
	if len(parts) != 3 || subtle.ConstantTimeCompare([]byte(parts[0]), []byte(answer.Get("state"))) != 1 {
		return postgres.Account{}, api.Errorf(api.Unauthenticated, "this sign-in was not begun in this browser, or too long ago: try again")
	}
	if reason := answer.Get("error"); reason != "" {
		o.auth.log.Info("the identity provider refused a sign-in", "error", reason, "description", answer.Get("error_description"), "from", from)
		return postgres.Account{}, api.Errorf(api.Unauthenticated, "%s did not sign you in", o.config.Name)
	}
	p, err := o.discover(ctx)
	if err != nil {
		return postgres.Account{}, err
	}
	ctx = oidc.ClientContext(ctx, o.http)
	token, err := o.oauth(p, redirect).Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(parts[2]))
	if err != nil {
		return postgres.Account{}, o.refused(from, err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return postgres.Account{}, o.refused(from, errors.New("there is no id_token"))
	}
	id, err := p.VerifierContext(ctx, &oidc.Config{ClientID: o.config.ClientID}).Verify(ctx, raw)
	if err != nil {
		return postgres.Account{}, o.refused(from, err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(parts[1])) != 1 {
		return postgres.Account{}, o.refused(from, errors.New("the nonce is another one's"))
	}
	who, err := o.claims(ctx, p, token, id)
	if err != nil {
		return postgres.Account{}, o.refused(from, err)
	}
	return o.account(ctx, from, id, who)
}

func (o *OIDC) refused(from netip.Addr, err error) error {
	o.auth.log.Warn("a sign-in by the identity provider failed", "issuer", o.config.Issuer, "from", from, "err", err)
	return api.Errorf(api.Unauthenticated, "%s did not sign you in: try again", o.config.Name)
}

// person is what a provider says of somebody.
type person struct {
	Email    string `json:"email"`
	Verified bool   `json:"email_verified"`
	Name     string `json:"name"`
}

// claims are in the token or, with providers that keep it small, at the
// user info endpoint.
func (o *OIDC) claims(ctx context.Context, p *oidc.Provider, token *oauth2.Token, id *oidc.IDToken) (who person, err error) {
	if err := id.Claims(&who); err != nil || who.Email != "" {
		return who, err
	}
	info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return who, err
	}
	if info.Subject != id.Subject { // OpenID Connect Core section 5.3.2
		return who, errors.New("the user info is of another subject")
	}
	err = info.Claims(&who)
	return who, err
}

func (o *OIDC) account(ctx context.Context, from netip.Addr, id *oidc.IDToken, who person) (postgres.Account, error) {
	a := o.auth
	subject := postgres.Subject{Issuer: id.Issuer, ID: id.Subject}
	account, err := a.db.SubjectAccount(ctx, subject)
	if api.KindOf(err) != api.NotFound {
		return account, err
	}
	// An address that the provider has not verified may be anybody's.
	email := strings.ToLower(strings.TrimSpace(who.Email))
	if email == "" || !who.Verified {
		return postgres.Account{}, api.Errorf(api.Permission, "%s does not say that it has verified your e-mail address", o.config.Name)
	}
	account, err = a.db.LoginAccount(ctx, email)
	switch {
	case err == nil:
		err = a.db.As(ctx, account.ID, func(ctx context.Context, tx *postgres.Tx) error { return tx.AddSubject(ctx, subject) })
	case api.KindOf(err) == api.NotFound && o.config.Signup:
		name, unfit := PersonName(who.Name)
		if unfit != nil { // many providers name people by their addresses
			name = ""
		}
		account, err = a.Register(ctx, from, Registration{Email: email, Name: name, Password: newSecret(), By: &subject})
	}
	switch api.KindOf(err) {
	case api.NotFound, api.Exists: // Exists: a disabled account's
		return postgres.Account{}, api.Errorf(api.Permission, "%s has no account here: ask whoever runs this server", email)
	case api.Permission:
		a.log.Warn("an identity was not linked to an account for whose address nobody vouches", "user", account.ID, "issuer", id.Issuer, "from", from)
		return postgres.Account{}, api.Errorf(api.Permission, "%s can't sign in to the account %s, which somebody made with a password: use that, or ask whoever runs this server", o.config.Name, email)
	}
	if err == nil {
		a.log.Info("an identity was linked to an account", "user", account.ID, "issuer", id.Issuer, "from", from)
	}
	return account, err
}
