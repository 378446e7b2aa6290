package server

import (
	"net/http"
	"strings"

	"satchel/api"
	"satchel/api/auth"
	"satchel/api/web"
)

// page is the start page: one's files for who is signed in, else signing in. A program that
// wants JSON is told what this is.
func (s *server) page(w http.ResponseWriter, r *http.Request) {
	if accept := r.Header.Get("Accept"); strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html") {
		writeJSON(w, http.StatusOK, map[string]any{
			"success": true, "message": "Satchel", "health": "/health", "openapi": "/openapi.json", "documentation": "/openapi",
		})
		return
	}
	id, err := s.identify(r)
	if err == nil {
		to := "/browse/"
		if id.Role == auth.Admin {
			to = "/people"
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
		return
	}
	if k := api.KindOf(err); k != api.Unauthenticated {
		s.webError(w, r, id, err)
		return
	}
	note := ""
	switch r.URL.Query().Get("again") {
	case "1":
		note = "Your session has ended: sign in again."
	case "password":
		note = "Your password was changed meanwhile, or your session has ended: sign in again."
	case "out":
		note = "You are logged out."
	}
	s.start(w, r, http.StatusOK, web.Start{Page: web.Page{Title: "Sign in", Note: note}})
}

func (s *server) start(w http.ResponseWriter, r *http.Request, status int, v web.Start) {
	v.Open, v.Address = s.openSignup, s.shownAddress(r)
	if s.oidc != nil {
		v.Provider = s.oidc.Name()
	}
	s.render(w, r, status, v)
}

// webSignin begins a session from the form.
func (s *server) webSignin(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, formLimit(r))
	email := r.PostFormValue("email")
	secret, _, err := s.auth.LoginBrowser(r.Context(), address(r), email, r.PostFormValue("password"), r.UserAgent())
	if err != nil {
		s.startAgain(w, r, web.Start{Page: web.Page{Title: "Sign in"}, Email: email, Device: r.PostFormValue("device")}, err, "Invalid email or password.")
		return
	}
	s.setCookie(w, secret)
	http.Redirect(w, r, afterSignin(r.PostFormValue("device")), http.StatusSeeOther)
}

// webSignup shows the form for a new account, where anyone may make one, and makes it.
func (s *server) webSignup(w http.ResponseWriter, r *http.Request) {
	v := web.Start{Page: web.Page{Title: "Make an account"}, Signup: true}
	if !s.openSignup {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	if r.Method != http.MethodPost {
		s.start(w, r, http.StatusOK, v)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, formLimit(r))
	in := auth.Registration{Email: r.PostFormValue("email"), Name: r.PostFormValue("name"), Password: r.PostFormValue("password")}
	v.Email = in.Email
	if err := auth.CheckChosen(in.Password); err != nil {
		s.startAgain(w, r, v, err, "")
		return
	}
	account, err := s.makeAccount(r, in)
	if err != nil {
		s.startAgain(w, r, v, err, "")
		return
	}
	secret, _, err := s.auth.BeginBrowser(r.Context(), account, r.UserAgent())
	if err != nil {
		s.startAgain(w, r, v, err, "")
		return
	}
	s.setCookie(w, secret)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// startAgain shows the form again and what is wrong with what was said; nobody is told more of
// a wrong log-in than wrong.
func (s *server) startAgain(w http.ResponseWriter, r *http.Request, v web.Start, err error, wrong string) {
	f := faultOf(s.log, err)
	for name, values := range f.header {
		w.Header()[name] = values
	}
	v.Alert = f.message
	if f.kind == api.Unauthenticated && wrong != "" {
		v.Alert = wrong
	}
	s.start(w, r, f.status, v)
}

func (s *server) webSignout(w http.ResponseWriter, r *http.Request) {
	if id, err := s.identify(r); err == nil {
		if err := s.auth.Logout(r.Context(), id); err != nil {
			s.webError(w, r, id, err)
			return
		}
	}
	s.dropCookie(w)
	http.Redirect(w, r, "/?again=out", http.StatusSeeOther)
}
