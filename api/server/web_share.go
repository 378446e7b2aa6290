package server

import (
	"cmp"
	"net/http"
	"slices"
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
	{"read", "look at it and download", "look at it", api.MayRead},
	{"write", "change it too", "change it", api.MayWrite},
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
		if err := s.sharesShown(r, id, d, path, n, &v); err != nil {
			return err
		}
	}
	s.render(w, r, http.StatusOK, v)
	return nil
}

func (s *server) sharesShown(r *http.Request, id auth.Identity, d *storage.Drive, path []api.Name, n api.Node, v *web.Share) error {
	about, err := d.About(r.Context(), path)
	if err != nil {
		return err
	}
	if about.Public && !v.Folder {
		v.PublicLink = s.publicURL(r, d.Owner(), path)
	}
	people, links, err := s.seenBy(r, id, d, path)
	if err != nil {
		return err
	}
	v.Links = links
	for _, c := range shareChoices {
		v.Permissions = append(v.Permissions, web.Choice{Value: c.value, Label: c.label})
	}
	for _, g := range people {
		switch {
		case g.Principal != api.Anonymous:
			v.People = append(v.People, g)
		case about.Public && g.Through != nil:
			v.PublicBy = g.Through
		}
	}
	v.Public = about.Public && (v.PublicBy == nil || slices.ContainsFunc(people, func(g web.Guest) bool { return g.Principal == api.Anonymous && g.Through == nil }))
	return nil
}

// seenBy is who else sees what is at a path, and the links to it: also through the folders above it.
func (s *server) seenBy(r *http.Request, id auth.Identity, d *storage.Drive, path []api.Name) (people []web.Guest, links []web.Link, err error) {
	through := func(shared string) (folder *web.Crumb, reached bool, err error) {
		at, err := api.ParsePath(shared)
		if err != nil || len(at) == len(path) || !reaches(at, path) {
			return nil, reaches(at, path), err
		}
		folder = &web.Crumb{Name: webText(at), URL: pathURL("/share/", at)}
		if len(at) == 0 {
			folder.Name = "all files"
		}
		return folder, true, nil
	}
	guests, err := s.guests(r, id, d)
	if err != nil {
		return nil, nil, err
	}
	for _, g := range guests {
		folder, reached, err := through(g.Path)
		if err != nil {
			return nil, nil, err
		}
		if g.Through = folder; reached {
			people = append(people, g)
		}
	}
	all, err := d.AllLinks(r.Context())
	if err != nil {
		return nil, nil, err
	}
	for _, l := range all {
		folder, reached, err := through(string(l.Path))
		if err != nil {
			return nil, nil, err
		}
		if shown := s.webLinkOf(r, l); reached {
			shown.Path, shown.Through = "", folder
			links = append(links, shown)
		}
	}
	return people, links, nil
}

// seenWords says in words who else sees what is at a path.
func (s *server) seenWords(r *http.Request, id auth.Identity, d *storage.Drive, path []api.Name) (words []string, err error) {
	people, links, err := s.seenBy(r, id, d, path)
	if err != nil {
		return nil, err
	}
	add := func(who string, through *web.Crumb) {
		if through != nil {
			who += " (through " + through.Name + ")"
		}
		if !slices.Contains(words, who) {
			words = append(words, who)
		}
	}
	for _, g := range people {
		add(cmp.Or(g.Email, g.Name), g.Through)
	}
	for _, l := range links {
		who := "whoever has a link"
		if l.Password {
			who += " and its password"
		}
		add(who, l.Through)
	}
	return words, nil
}

func (s *server) webLinkOf(r *http.Request, link storage.Link) web.Link {
	l := s.shownLink(r, link)
	return web.Link{ID: l.ID, URL: l.URL, Path: l.Path, Password: l.Password, Created: l.Created, Expires: l.Expires}
}

// guests is who has permissions in the drive, by name.
func (s *server) guests(r *http.Request, id auth.Identity, d *storage.Drive) (all []web.Guest, err error) {
	grants, err := d.Shares(r.Context())
	if err != nil {
		return nil, err
	}
	names, err := s.drives.People(r.Context(), caller(id))
	if err != nil {
		return nil, err
	}
	for _, g := range grants {
		path, err := api.ParsePath(g.Path)
		if err != nil {
			return nil, err
		}
		guest := web.Guest{Principal: g.UserID, Name: api.Person(names[g.UserID], ""), Email: g.Address, May: may(g.Permissions), Path: g.Path, Share: pathURL("/share/", path)}
		switch {
		case g.UserID == api.Anonymous:
			guest.Name = "Everybody"
		case g.UserID == api.Authenticated:
			guest.Name = "Everyone with an account here"
		case guest.Name == "" && g.Address == "":
			guest.Name = "Somebody without a name"
		}
		all = append(all, guest)
	}
	return all, nil
}

// formShare is what a form shares: a path of the caller's drive, which may be the root.
func (s *server) formShare(r *http.Request, id auth.Identity) (at shared, err error) {
	at = shared{request: r, by: id}
	if at.drive, err = s.webHome(r, id); err != nil {
		return at, err
	}
	at.path, err = webPath(r.PostFormValue("path"))
	return at, err
}

// webLink makes a link.
func (s *server) webLink(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	at, err := s.formShare(r, id)
	if err != nil {
		return err
	}
	var expires time.Time
	if text := r.PostFormValue("days"); text != "" {
		days, err := strconv.Atoi(text)
		if err != nil || days < 1 || days > 3650 {
			return api.Errorf(api.Invalid, "a link works for 1 to 3650 days, or until it is removed")
		}
		expires = time.Now().Add(time.Duration(days) * 24 * time.Hour)
	}
	if _, err := s.addLink(r.Context(), at, expires, r.PostFormValue("password")); err != nil {
		return err
	}
	return back(w, r, pathURL("/share/", at.path))
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
	at, err := s.formShare(r, id)
	if err != nil {
		return err
	}
	for _, c := range shareChoices {
		if c.value == r.PostFormValue("may") {
			if err := s.shareWith(r.Context(), at, api.ShareWith{Email: r.PostFormValue("email"), Permissions: c.permissions}); err != nil {
				return err
			}
			return back(w, r, pathURL("/share/", at.path))
		}
	}
	return api.Errorf(api.Invalid, "say what the person may do")
}

// webUnshare takes it back.
func (s *server) webUnshare(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	at, err := s.formShare(r, id)
	if err != nil {
		return err
	}
	err = at.drive.Revoke(r.Context(), api.Grant{Path: api.JoinPath(at.path), UserID: r.PostFormValue("principal")})
	if err != nil && api.KindOf(err) != api.NotFound {
		return err
	}
	return back(w, r, pathURL("/share/", at.path))
}
