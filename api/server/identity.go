package server

import (
	"net/http"
	"strings"

	"satchel/api"
	"satchel/api/auth"
	"satchel/storage"
)

// identify knows who a request is from, by its token or else its cookie. No
// valid identity is [api.Unauthenticated].
func (s *server) identify(r *http.Request) (auth.Identity, error) {
	if authorization := r.Header.Get("Authorization"); authorization != "" {
		scheme, token, _ := strings.Cut(authorization, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return auth.Identity{}, api.Errorf(api.Unauthenticated, "the Authorization header must be: Bearer TOKEN")
		}
		return s.auth.ByToken(r.Context(), strings.TrimSpace(token))
	}
	if c, err := r.Cookie(s.cookieName()); err == nil {
		if unasked(r) {
			return s.auth.ByUnusedCookie(r.Context(), c.Value)
		}
		return s.auth.ByCookie(r.Context(), c.Value)
	}
	return auth.Identity{}, errNobody()
}

// unasked tells whether a page asks by itself, while perhaps nobody is at it: it follows the change feed, fetches its list again,
// and shows the small pictures in it. That is no use of a session, which would never end otherwise while a folder is open.
func unasked(r *http.Request) bool {
	return r.Header.Get("Satchel-Unasked") != "" || strings.HasPrefix(r.URL.Path, "/thumb/")
}

// visitor is who asks for what strangers may have too: the zero caller is a stranger. So is a
// browser whose login has ended, which forgets it; a token that is wrong is refused.
func (s *server) visitor(w http.ResponseWriter, r *http.Request) (storage.Caller, error) {
	id, err := s.identify(r)
	if api.KindOf(err) == api.Unauthenticated && r.Header.Get("Authorization") == "" {
		if _, none := r.Cookie(s.cookieName()); none == nil {
			s.dropCookie(w)
		}
		return storage.Caller{}, nil
	}
	return caller(id), err
}

func errNobody() error { return api.Errorf(api.Unauthenticated, "log in first") }

// cookieName has a prefix under TLS that makes browsers refuse the cookie from
// any other host or path (RFC 6265bis section 4.1.3).
func (s *server) cookieName() string {
	if s.tls {
		return "__Host-satchel_session"
	}
	return "satchel_session"
}

// setCookie gives a browser its session's secret. The cookie goes when the
// browser closes; the server ends the session earlier.
func (s *server) setCookie(w http.ResponseWriter, secret string) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(), Value: secret, Path: "/",
		HttpOnly: true, Secure: s.tls, SameSite: http.SameSiteLaxMode,
	})
}

// dropCookie tells a browser to forget its session.
func (s *server) dropCookie(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(), Path: "/", MaxAge: -1, // sent as Max-Age=0
		HttpOnly: true, Secure: s.tls, SameSite: http.SameSiteLaxMode,
	})
}
