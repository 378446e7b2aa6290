package server

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"satchel/api"
	"satchel/api/auth"
	"satchel/storage"
)

type sharesInput struct {
	InDrive
	Asked
	Path string `query:"path" doc:"Names in escaped form, joined by slashes; /: the root; empty: everything that is shared"`
}

// shareInput asks for a change of who else may use a path.
type shareInput[B any] struct {
	InDrive
	Asked
	Body B
}

type linkInput struct {
	InDrive
	Link api.ID `path:"link"`
}

// shareRoutes adds what the pages about sharing do too.
func (s *server) shareRoutes(v1 huma.API) {
	onDrive(s, v1, get("shares", "/drives/{drive}/shares", "Who else may use the drive, or a path of it"), func(ctx context.Context, d *storage.Drive, in sharesInput) (api.Shares, error) {
		path, err := webPath(in.Path)
		if err != nil {
			return api.Shares{}, err
		}
		return s.shares(ctx, in.request, d, path, in.Path == "")
	})
	onPath(s, v1, post("share-public", "/drives/{drive}/shares/public", "Let everybody read a path, or end that"), func(ctx context.Context, at shared, in api.SharePublic) (api.Shares, error) {
		if err := at.drive.SetPublic(ctx, at.path, in.Public); err != nil {
			return api.Shares{}, err
		}
		return s.shares(ctx, at.request, at.drive, at.path, false)
	})
	onPath(s, v1, post("share-with", "/drives/{drive}/shares/people", "Let a user have permissions on a path; none ends it"), func(ctx context.Context, at shared, in api.ShareWith) (api.Shares, error) {
		if err := s.shareWith(ctx, at, in); err != nil {
			return api.Shares{}, err
		}
		return s.shares(ctx, at.request, at.drive, at.path, false)
	})
	onPath(s, v1, post("add-link", "/drives/{drive}/links", "Make a link with which anyone reads a path"), func(ctx context.Context, at shared, in api.NewLink) (api.Link, error) {
		l, err := s.addLink(ctx, at, in.Expires, in.Password)
		if err != nil {
			return api.Link{}, err
		}
		return s.shownLink(at.request, l), nil
	})
	remove := huma.Operation{OperationID: "remove-link", Method: http.MethodDelete, Path: "/v1/drives/{drive}/links/{link}", Summary: "End a link"}
	known(s, v1, remove, func(ctx context.Context, id auth.Identity, in *linkInput) (*struct{}, error) {
		d, err := s.drive(ctx, id, in.Drive)
		if err != nil {
			return nil, err
		}
		return nil, d.RemoveLink(ctx, in.Link)
	})
}

// shared is a path whose shares somebody changes.
type shared struct {
	request *http.Request // whose body is read already
	by      auth.Identity
	drive   *storage.Drive
	path    []api.Name
}

// onPath adds an operation that changes who else may use the path that its body names.
func onPath[B interface{ At() string }, O any](s *server, v1 huma.API, op huma.Operation, h func(context.Context, shared, B) (O, error)) {
	known(s, v1, op, func(ctx context.Context, id auth.Identity, in *shareInput[B]) (*body[O], error) {
		d, err := s.drive(ctx, id, in.Drive)
		if err != nil {
			return nil, err
		}
		path, err := webPath(in.Body.At())
		if err != nil {
			return nil, err
		}
		return answer(h(ctx, shared{in.request, id, d, path}, in.Body))
	})
}

// reaches tells whether what is shared at a path is shared at another one too: below it, or the same.
func reaches(at, path []api.Name) bool {
	return len(at) <= len(path) && slices.Equal(at, path[:len(at)])
}

// shares is who else may use a path, also through the folders above it, or all paths, of the drive.
func (s *server) shares(ctx context.Context, r *http.Request, d *storage.Drive, path []api.Name, everything bool) (all api.Shares, err error) {
	all = api.Shares{Grants: []api.SharedWith{}, Links: []api.Link{}}
	if !everything {
		if _, err := d.Lookup(ctx, path); err != nil {
			return all, err
		}
	}
	grants, err := d.Shares(ctx)
	if err != nil {
		return all, err
	}
	names, err := s.drives.People(ctx, d.Caller())
	if err != nil {
		return all, err
	}
	for _, g := range grants {
		at, err := api.ParsePath(g.Path)
		if err != nil {
			return all, err
		}
		if !everything && !reaches(at, path) {
			continue
		}
		shown := api.SharedWith{Grant: g.Grant, Name: names[g.UserID], Email: g.Address}
		shown.Path = "/" + webText(at)
		if !everything && len(at) < len(path) {
			shown.Through = shown.Path
		}
		if g.UserID == api.Anonymous {
			switch n, err := d.Lookup(ctx, at); {
			case err != nil:
				return all, err
			case n.Type == api.File:
				shown.URL = s.publicURL(r, d.Owner(), at)
			}
		}
		all.Grants = append(all.Grants, shown)
	}
	links, err := d.AllLinks(ctx)
	if err != nil {
		return all, err
	}
	for _, l := range links {
		at, err := api.ParsePath(string(l.Path))
		if err != nil {
			return all, err
		}
		if !everything && !reaches(at, path) {
			continue
		}
		shown := s.shownLink(r, l)
		if !everything && len(at) < len(path) {
			shown.Through = shown.Path
		}
		all.Links = append(all.Links, shown)
	}
	return all, nil
}

func (s *server) shownLink(r *http.Request, l storage.Link) api.Link {
	shown := api.Link{ID: l.ID, Path: "/" + strings.TrimPrefix(l.Path.Escape(), "/"), URL: s.shownAddress(r) + "/s/" + l.Token, Password: l.Password != "", Created: l.Created}
	if l.Expires != nil {
		shown.Expires = *l.Expires
	}
	return shown
}

// addLink makes a link that asks for a password, unless that is "", until a time, unless that is zero.
func (s *server) addLink(ctx context.Context, at shared, expires time.Time, password string) (l storage.Link, err error) {
	o := storage.LinkOptions{Expires: expires}
	if password != "" {
		if o.PasswordHash, err = s.auth.HashLinkPassword(ctx, password); err != nil {
			return l, err
		}
	}
	return at.drive.AddLink(ctx, at.path, o)
}

// shareWith lets a user have exactly these permissions.
func (s *server) shareWith(ctx context.Context, at shared, with api.ShareWith) error {
	if with.UserID != "" {
		if with.Email != "" || with.Permissions != 0 {
			return api.Errorf(api.Invalid, "what is shared anew is shared by an address")
		}
		return at.drive.Revoke(ctx, api.Grant{Path: api.JoinPath(at.path), UserID: with.UserID})
	}
	if err := s.sharings.Take(at.by.User, address(at.request)); err != nil {
		return err
	}
	who, err := s.drives.PersonAt(ctx, caller(at.by), with.Email)
	if err != nil {
		return err
	}
	if who.ID == at.by.User {
		return api.Errorf(api.Invalid, "it is yours already")
	}
	return at.drive.ShareWith(ctx, at.path, who.ID, with.Email, with.Permissions)
}
