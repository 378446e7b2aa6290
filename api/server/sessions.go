package server

import (
	"errors"
	"net/http"
	"slices"

	"satchel/api"
	"satchel/api/auth"
	"satchel/storage/postgres"
)

// rpcRegister makes an account, where anyone may, and logs it in.
func (s *server) rpcRegister(w http.ResponseWriter, r *http.Request) {
	account, err := s.register(w, r)
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	secret, token, err := s.auth.BeginBrowser(r.Context(), account, r.UserAgent())
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	s.setCookie(w, secret)
	writeRows(w, r, http.StatusOK, []any{struct {
		User  api.ID `json:"user_id"`
		Name  string `json:"name"`
		Email string `json:"email"`
		Token string `json:"token"`
	}{account.ID, account.Name, account.Email, token.Token}})
}

func (s *server) register(w http.ResponseWriter, r *http.Request) (account postgres.Account, err error) {
	if !s.openSignup {
		return account, errClosed()
	}
	var in struct{ Email, Name, Password string } // and not a Registration: who vouches for the address is not the request's to say
	if err := readArguments(w, r, &in); err != nil {
		return account, err
	}
	return s.makeAccount(r, auth.Registration{Email: in.Email, Name: in.Name, Password: in.Password})
}

// makeAccount makes an account for whoever asks. On this machine itself, as when programs are tried out against the server, it
// makes as many as one wants.
func (s *server) makeAccount(r *http.Request, in auth.Registration) (postgres.Account, error) {
	in.Unlimited = s.limitless(r)
	return s.auth.Register(r.Context(), address(r), in)
}

// limitless tells whether a request comes from this machine, and through no proxy on it: that says for whom it asks, but perhaps in
// words that nobody was told to believe, or that can't be read.
func (s *server) limitless(r *http.Request) bool {
	passedOn := slices.ContainsFunc([]string{s.bans.AddressHeader, "Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"}, func(name string) bool {
		return len(r.Header.Values(name)) > 0
	})
	return s.bans.exempt(address(r)) && !passedOn
}

// errClosed is the answer to signing up where one can't.
func errClosed() error {
	return api.Errorf(api.Permission, "signing up is closed: ask whoever runs this server for an account")
}

// rpcCurrentUser says who asks.
func (s *server) rpcCurrentUser(w http.ResponseWriter, r *http.Request) {
	id, err := s.identify(r)
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	writeRows(w, r, http.StatusOK, []any{struct {
		User  api.ID `json:"user_id"`
		Name  string `json:"name"`
		Email string `json:"email"`
	}{id.User, id.UserName, id.Email}})
}

// rpcRefreshSession lets the session's time without use begin anew.
func (s *server) rpcRefreshSession(w http.ResponseWriter, r *http.Request) {
	id, err := s.identify(r)
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	token, err := s.auth.Refresh(r.Context(), id)
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	writeRows(w, r, http.StatusOK, []any{token})
}

// rpcLogout ends the session. The cookie goes in any case: one that is no good
// is of no use to the browser either.
func (s *server) rpcLogout(w http.ResponseWriter, r *http.Request) {
	s.dropCookie(w)
	id, err := s.identify(r)
	if err == nil {
		err = s.auth.Logout(r.Context(), id)
	}
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// rpcChangePassword changes the caller's password and ends his other sessions.
func (s *server) rpcChangePassword(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Current string `json:"current_password"`
		New     string `json:"new_password"`
	}
	id, err := s.identify(r)
	if err == nil {
		err = readArguments(w, r, &in)
	}
	if err == nil {
		err = s.auth.ChangePassword(r.Context(), address(r), id, in.Current, in.New)
		if api.KindOf(err) == api.Unauthenticated && !errors.Is(err, auth.ErrChanged) { // the session is good: only the password is not
			err = &pgrstStatus{http.StatusBadRequest, "28P01", api.Errorf(api.Invalid, "the current password is wrong")}
		}
	}
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
