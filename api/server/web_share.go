package server

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"satchel/api"
	"satchel/api/auth"
	"satchel/api/web"
	"satchel/storage"
)

// What sharing with a person means, in words.
var shareChoices = []struct {
	value, label, may string
	permissions       api.Permissions
}{
	{"read", "look at it and download", "look at it", api.PermRead | api.PermList},
	{"write", "change it too", "change it", api.PermRead | api.PermList | api.PermWrite | api.PermMkdir | api.PermRename | api.PermCopy},
	{"all", "change and delete", "change and delete", api.AllPermissions},
}

// may says permissions in words: the most that they hold.
func may(p api.Permissions) string {
	word := strings.Join(p.Names(), ", ")
	for _, c := range shareChoices {
		if p&c.permissions == c.permissions {
			word = c.may
		}
	}
	return word
}

// webShare is the page of who sees what is at a path.
func (s *server) webShare(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	path, err := webPath(r.PathValue("path"))
	if err != nil {
		return err
	}
	d, err := s.webHome(r, id)
	if err != nil {
		return err
	}
	here, rest, err := d.Through(r.Context(), path)
	if err != nil {
		return err
	}
	n, err := here.Lookup(r.Context(), rest)
	if err != nil {
		return err
	}
	v := web.Share{Page: pageOf(id, "Share", "files"), Crumbs: crumbs(path), Path: webText(path), Folder: n.Type == api.Directory, Own: here.Same(d)}
	at := len(v.Crumbs) - 1
	v.Crumbs[at].URL = browseURL(path) // which leads on to a file's page
	if v.Own {
		if err := s.shares(r, id, d, path, n, &v); err != nil {
			return err
		}
	}
	s.render(w, r, http.StatusOK, v)
	return nil
}

func (s *server) shares(r *http.Request, id auth.Identity, d *storage.Drive, path []api.Name, n api.Node, v *web.Share) error {
	about, err := d.About(r.Context(), path)
	if err != nil {
		return err
	}
	if v.Public = about.Public; v.Public && !v.Folder {
		v.PublicLink = s.publicURL(r, d.Owner(), path)
	}
	links, err := d.Links(r.Context(), path)
	if err != nil {
		return err
	}
	v.Links = s.shownLinks(r, links, false)
	for _, c := range shareChoices {
		v.Permissions = append(v.Permissions, web.Choice{Value: c.value, Label: c.label})
	}
	guests, err := s.guests(r, id, d)
	if err != nil {
		return err
	}
	for _, g := range guests {
		if g.Path == "/"+api.JoinPath(path) {
			v.People = append(v.People, g)
		}
	}
	return nil
}

func (s *server) shownLinks(r *http.Request, links []storage.Link, paths bool) (all []web.Link) {
	for _, l := range links {
		shown := web.Link{ID: l.ID, URL: s.shownAddress(r) + "/s/" + l.Token, Password: l.Password != "", Created: l.Created}
		if l.Expires != nil {
			shown.Expires = *l.Expires
		}
		if paths {
			shown.Path = l.Path.Escape()
		}
		all = append(all, shown)
	}
	return all
}

// guests is who has permissions in the drive, by name. What everybody may is not among it.
func (s *server) guests(r *http.Request, id auth.Identity, d *storage.Drive) (all []web.Guest, err error) {
	grants, err := d.Grants(r.Context())
	if err != nil {
		return nil, err
	}
	names, err := s.drives.People(r.Context(), caller(id))
	if err != nil {
		return nil, err
	}
	for _, g := range grants {
		if g.UserID == api.Anonymous {
			continue
		}
		path, err := api.ParsePath(g.Path)
		if err != nil {
			return nil, err
		}
		guest := web.Guest{Principal: g.UserID, Name: names[g.UserID], May: may(g.Permissions), Path: g.Path, Share: pathURL("/share/", path)}
		switch {
		case g.UserID == api.Authenticated:
			guest.Name = "Everyone with an account here"
		case guest.Name == "":
			guest.Name = "Somebody without a name"
		}
		all = append(all, guest)
	}
	return all, nil
}

// formShare is the caller's drive and the path of a form that shares it, which may be the root.
func (s *server) formShare(r *http.Request, id auth.Identity) (*storage.Drive, []api.Name, error) {
	d, err := s.webHome(r, id)
	if err != nil {
		return nil, nil, err
	}
	path, err := webPath(r.PostFormValue("path"))
	return d, path, err
}

// webLink makes a link.
func (s *server) webLink(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, path, err := s.formShare(r, id)
	if err != nil {
		return err
	}
	var o storage.LinkOptions
	if text := r.PostFormValue("days"); text != "" {
		days, err := strconv.Atoi(text)
		if err != nil || days < 1 || days > 3650 {
			return api.Errorf(api.Invalid, "a link works for 1 to 3650 days, or until it is removed")
		}
		o.Expires = time.Now().Add(time.Duration(days) * 24 * time.Hour)
	}
	if password := r.PostFormValue("password"); password != "" {
		if o.PasswordHash, err = s.auth.HashLinkPassword(r.Context(), password); err != nil {
			return err
		}
	}
	if _, err := d.AddLink(r.Context(), path, o); err != nil {
		return err
	}
	return back(w, r, pathURL("/share/", path))
}

// webUnlink ends a link.
func (s *server) webUnlink(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, err := s.webHome(r, id)
	if err != nil {
		return err
	}
	link, err := api.ParseID(r.PostFormValue("id"))
	if err != nil {
		return err
	}
	if err := d.RemoveLink(r.Context(), link); err != nil && api.KindOf(err) != api.NotFound {
		return err
	}
	return back(w, r, cameFrom(r, "/shared"))
}

// webShareWith lets another user have something.
func (s *server) webShareWith(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, path, err := s.formShare(r, id)
	if err != nil {
		return err
	}
	if err := s.sharings.Take(id.User, address(r)); err != nil {
		return err
	}
	who, err := s.drives.PersonAt(r.Context(), caller(id), r.PostFormValue("email"))
	if err != nil {
		return err
	}
	if who.ID == id.User {
		return api.Errorf(api.Invalid, "it is yours already")
	}
	for _, c := range shareChoices {
		if c.value == r.PostFormValue("may") {
			g := api.Grant{Path: api.JoinPath(path), UserID: who.ID.String(), Permissions: c.permissions}
			if err := d.Grant(r.Context(), g); err != nil {
				return err
			}
			return back(w, r, pathURL("/share/", path))
		}
	}
	return api.Errorf(api.Invalid, "say what the person may do")
}

// webUnshare takes it back.
func (s *server) webUnshare(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, path, err := s.formShare(r, id)
	if err != nil {
		return err
	}
	err = d.Revoke(r.Context(), api.Grant{Path: api.JoinPath(path), UserID: r.PostFormValue("principal")})
	if err != nil && api.KindOf(err) != api.NotFound {
		return err
	}
	return back(w, r, pathURL("/share/", path))
}
