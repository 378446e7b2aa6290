package server

import (
	"errors"
	"net/http"

	"satchel/api"
	"satchel/api/auth"
	"satchel/api/web"
)

// webAccount is the page of one's own account.
func (s *server) webAccount(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	return s.account(w, r, id, http.StatusOK, web.Account{Page: pageOf(id, "Account", "account")})
}

func (s *server) account(w http.ResponseWriter, r *http.Request, id auth.Identity, status int, v web.Account) error {
	v.Name, v.Email, v.Address = id.UserName, id.Email, s.shownAddress(r)
	browsers, err := s.auth.Browsers(r.Context(), id)
	if err != nil {
		return err
	}
	for _, b := range browsers {
		v.Browsers = append(v.Browsers, web.Login{ID: b.ID, Name: auth.BrowserName(b.Name), Created: b.Created, Seen: b.Seen, Current: b.Current})
	}
	devices, err := s.auth.Devices(r.Context(), id)
	if err != nil {
		return err
	}
	for _, d := range devices {
		v.Devices = append(v.Devices, web.Login{ID: d.ID, Name: d.Name, Created: d.Created, Seen: d.Seen, Current: d.Current, Unsent: true})
	}
	keys, err := s.auth.AccessKeys(r.Context(), id)
	if err != nil {
		return err
	}
	for _, k := range keys {
		v.Keys = append(v.Keys, web.AccessKey{Key: k.Key, Name: k.Name, Rotated: k.Rotated, Seen: k.Seen})
	}
	apps, err := s.auth.AppPasswords(r.Context(), id)
	if err != nil {
		return err
	}
	for _, a := range apps {
		v.Apps = append(v.Apps, web.Login{ID: a.ID, Name: a.Name, Created: a.Created, Seen: a.Seen})
	}
	s.render(w, r, status, v)
	return nil
}

func (s *server) webRenameMe(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	if _, err := s.auth.Rename(r.Context(), id, id.User, r.PostFormValue("name")); err != nil {
		return err
	}
	return back(w, r, "/account")
}

// webPassword changes the password, or says on the page why not.
func (s *server) webPassword(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	v := web.Account{Page: pageOf(id, "Account", "account")}
	chosen := r.PostFormValue("new")
	err := auth.CheckChosen(chosen)
	if err == nil {
		err = s.auth.ChangePassword(r.Context(), address(r), id, r.PostFormValue("current"), chosen)
	}
	if errors.Is(err, auth.ErrChanged) {
		return err
	}
	switch api.KindOf(err) {
	case "":
		v.Note = "Your password is changed; your other sessions have ended."
		return s.account(w, r, id, http.StatusOK, v)
	case api.Unauthenticated:
		v.Alert = "The current password is wrong."
	case api.Invalid, api.RateLimited:
		v.Alert = faultOf(s.log, err).message
	default:
		return err
	}
	return s.account(w, r, id, http.StatusBadRequest, v)
}

// webAppPassword makes a password for a program and shows it this once.
func (s *server) webAppPassword(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	p, err := s.auth.AddAppPassword(r.Context(), id, r.PostFormValue("name"))
	if err != nil {
		return err
	}
	return s.account(w, r, id, http.StatusOK, web.Account{Page: pageOf(id, "Account", "account"), AppPassword: p.Password})
}

// webAccessKey makes a key for an S3 client and shows its secret this once.
func (s *server) webAccessKey(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	k, err := s.auth.AddAccessKey(r.Context(), id, r.PostFormValue("name"))
	return s.newKey(w, r, id, k, err)
}

// webRotateKey replaces a key's secret and shows it this once.
func (s *server) webRotateKey(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	k, err := s.auth.RotateAccessKey(r.Context(), id, r.PostFormValue("key"))
	return s.newKey(w, r, id, k, err)
}

func (s *server) newKey(w http.ResponseWriter, r *http.Request, id auth.Identity, k api.AccessKey, err error) error {
	if err != nil {
		return err
	}
	return s.account(w, r, id, http.StatusOK, web.Account{Page: pageOf(id, "Account", "account"), Key: k.Key, Secret: k.Secret})
}

func (s *server) webRevokeKey(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	if err := s.auth.RevokeAccessKey(r.Context(), id, r.PostFormValue("key")); err != nil && api.KindOf(err) != api.NotFound {
		return err
	}
	return back(w, r, "/account")
}

// webRevoke ends a session of a browser, a device or a program.
func (s *server) webRevoke(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	session, err := api.ParseID(r.PostFormValue("id"))
	if err != nil {
		return err
	}
	if err := s.auth.Revoke(r.Context(), id, session); err != nil && api.KindOf(err) != api.NotFound {
		return err
	}
	return back(w, r, "/account")
}
