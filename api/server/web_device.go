package server

import (
	"net/http"
	"net/url"

	"satchel/api"
	"satchel/api/auth"
	"satchel/api/web"
)

// webDevice is where somebody confirms a device's login: the device shows this
// address with a code in it. Who is not signed in does that first.
func (s *server) webDevice(w http.ResponseWriter, r *http.Request) {
	code := r.URL.Query().Get("code")
	id, err := s.identify(r)
	switch {
	case api.KindOf(err) == api.Unauthenticated:
		s.start(w, r, http.StatusOK, web.Start{Page: web.Page{Title: "Sign in", Note: "Sign in to log the device in."}, Device: code})
		return
	case err == nil && code == "":
		s.render(w, r, http.StatusOK, web.Device{Page: pageOf(id, "Log a device in", "account")})
		return
	case err == nil:
		err = s.showDevice(w, r, id, code)
	}
	if err != nil {
		s.webError(w, r, id, err)
	}
}

// showDevice shows what asks with a code, or that nothing does.
func (s *server) showDevice(w http.ResponseWriter, r *http.Request, id auth.Identity, code string) error {
	v := web.Device{Page: pageOf(id, "Log a device in", "account"), Code: code}
	d, err := s.auth.WaitingDevice(r.Context(), address(r), id, code)
	switch api.KindOf(err) {
	case "":
		v.Name, v.From, v.Created = d.Device, d.Address, d.Created
		s.render(w, r, http.StatusOK, v)
		return nil
	case api.NotFound:
		v.Alert = "No device shows this code, or not any more. Look at it again; after ten minutes it needs a new one."
		s.render(w, r, http.StatusNotFound, v)
		return nil
	}
	return err
}

// webAnswerDevice lets a device in, or says no to it.
func (s *server) webAnswerDevice(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	code, allow := r.PostFormValue("code"), r.PostFormValue("allow") == "true"
	err := s.auth.AnswerDevice(r.Context(), address(r), id, code, allow)
	if api.KindOf(err) == api.NotFound {
		return s.showDevice(w, r, id, code)
	}
	if err != nil {
		return err
	}
	v := web.Device{Page: pageOf(id, "Log a device in", "account"), Done: true}
	v.Note = "The device is logged in. You can close this page."
	if !allow {
		v.Note = "The device was refused."
	}
	s.render(w, r, http.StatusOK, v)
	return nil
}

// afterSignin is where signing in leads: to the device that is to be
// confirmed, or to the start.
func afterSignin(device string) string {
	if device == "" {
		return "/"
	}
	return "/device?code=" + url.QueryEscape(device)
}

// flightCookie keeps what only the browser that began a sign-in has.
func (s *server) flightCookie() string { return s.cookieName() + "_oidc" }

func (s *server) oidcRedirect(r *http.Request) string { return s.shownAddress(r) + "/oidc/end" }

// webOIDCBegin leads to the identity provider.
func (s *server) webOIDCBegin(w http.ResponseWriter, r *http.Request) {
	if s.oidc == nil {
		s.unknown(w, r, api.Errorf(api.NotFound, "no identity provider signs people in here"))
		return
	}
	to, flight, err := s.oidc.Begin(r.Context(), s.oidcRedirect(r))
	if err != nil {
		s.startAgain(w, r, web.Start{Page: web.Page{Title: "Sign in"}}, err, "")
		return
	}
	s.setFlight(w, url.Values{"flight": {flight}, "device": {r.URL.Query().Get("device")}}.Encode(), 600)
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// setFlight is Lax: the provider leads back from its own site.
func (s *server) setFlight(w http.ResponseWriter, value string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: s.flightCookie(), Value: value, Path: "/", MaxAge: seconds,
		HttpOnly: true, Secure: s.tls, SameSite: http.SameSiteLaxMode,
	})
}

// webOIDCEnd is where the identity provider leads back to.
func (s *server) webOIDCEnd(w http.ResponseWriter, r *http.Request) {
	if s.oidc == nil {
		s.unknown(w, r, api.Errorf(api.NotFound, "no identity provider signs people in here"))
		return
	}
	var kept url.Values
	if c, err := r.Cookie(s.flightCookie()); err == nil {
		kept, _ = url.ParseQuery(c.Value)
	}
	s.setFlight(w, "", -1)
	account, err := s.oidc.Finish(r.Context(), address(r), s.oidcRedirect(r), kept.Get("flight"), r.URL.Query())
	secret := ""
	if err == nil {
		secret, _, err = s.auth.BeginBrowser(r.Context(), account, r.UserAgent())
	}
	if err != nil {
		s.startAgain(w, r, web.Start{Page: web.Page{Title: "Sign in"}, Device: kept.Get("device")}, err, "")
		return
	}
	s.setCookie(w, secret)
	http.Redirect(w, r, afterSignin(kept.Get("device")), http.StatusSeeOther)
}
