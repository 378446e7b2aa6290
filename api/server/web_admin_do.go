package server

import (
	"net/http"
	"strings"

	"satchel/api"
	"satchel/api/admin"
	"satchel/api/auth"
)

// quotaOf reads a form's quota; empty and "none" are none.
func quotaOf(text string) (int64, error) {
	if strings.EqualFold(strings.TrimSpace(text), "none") {
		return 0, nil
	}
	return parseSize(text)
}

func (s *server) doAddUser(w http.ResponseWriter, r *http.Request, id auth.Identity, desk *admin.Desk) error {
	quota, err := quotaOf(r.PostFormValue("quota"))
	if err != nil {
		return err
	}
	u, password, err := desk.AddUser(r.Context(), admin.NewUser{Email: r.PostFormValue("email"), Name: r.PostFormValue("name"), Role: r.PostFormValue("role"), Quota: quota})
	if err != nil {
		return err
	}
	return s.person(w, r, id, desk, u.ID, password) // not a redirect: it is shown this once
}

func (s *server) doChangeUser(w http.ResponseWriter, r *http.Request, _ auth.Identity, desk *admin.Desk) error {
	user, err := api.ParseID(r.PostFormValue("user"))
	if err != nil {
		return err
	}
	var c admin.UserChange
	given := func(name string) *string {
		if !r.PostForm.Has(name) {
			return nil
		}
		v := r.PostForm.Get(name)
		return &v
	}
	c.Name, c.Role = given("name"), given("role")
	if text := given("quota"); text != nil {
		quota, err := quotaOf(*text)
		if err != nil {
			return err
		}
		c.Quota = &quota
	}
	if text := given("disabled"); text != nil {
		disabled := *text == "true"
		c.Disabled = &disabled
	}
	if err := desk.ChangeUser(r.Context(), user, c); err != nil {
		return err
	}
	return back(w, r, "/people/"+user.String())
}

func (s *server) doResetPassword(w http.ResponseWriter, r *http.Request, id auth.Identity, desk *admin.Desk) error {
	user, err := api.ParseID(r.PostFormValue("user"))
	if err != nil {
		return err
	}
	password, err := desk.ResetPassword(r.Context(), user, "")
	if err != nil {
		return err
	}
	return s.person(w, r, id, desk, user, password)
}

func (s *server) doEndLogin(w http.ResponseWriter, r *http.Request, _ auth.Identity, desk *admin.Desk) error {
	session, err := api.ParseID(r.PostFormValue("session"))
	if err != nil {
		return err
	}
	if err := desk.EndLogin(r.Context(), session); err != nil && api.KindOf(err) != api.NotFound { // it ended meanwhile
		return err
	}
	return back(w, r, "/logins")
}

func (s *server) doLiftBan(w http.ResponseWriter, r *http.Request, _ auth.Identity, desk *admin.Desk) error {
	if err := desk.LiftBans(r.Context(), r.PostFormValue("network")); err != nil && api.KindOf(err) != api.NotFound { // it is over
		return err
	}
	return back(w, r, "/bans")
}

func (s *server) doRun(w http.ResponseWriter, r *http.Request, _ auth.Identity, desk *admin.Desk) error {
	if _, err := desk.Run(r.Context(), r.PostFormValue("kind"), r.PostFormValue("deep") != ""); err != nil {
		return err
	}
	return back(w, r, "/upkeep")
}
