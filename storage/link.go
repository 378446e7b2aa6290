package storage

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"regexp"
	"slices"
	"time"

	"satchel/api"
	"satchel/storage/postgres"
)

// Links; see package postgres.
type (
	Link   = postgres.Link
	Shared = postgres.Shared
)

// maxLinksTo is how many links one file or folder may have.
const maxLinksTo = 100

var tokenForm = regexp.MustCompile(`^[A-Za-z0-9_-]{22,64}$`)

// LinkOptions says what a link asks for, and until when it works.
type LinkOptions struct {
	PasswordHash string    // what [auth.HashPassword] makes; "": whoever has the link needs none
	Expires      time.Time // zero: never
}

// AddLink makes a link to what is at a path. Only the drive's owner may:
// others have [api.Permission].
func (d *Drive) AddLink(ctx context.Context, path []api.Name, o LinkOptions) (l Link, err error) {
	var secret [18]byte
	rand.Read(secret[:])
	l = Link{ID: api.NewID(), Token: base64.RawURLEncoding.EncodeToString(secret[:]), Password: o.PasswordHash}
	if !o.Expires.IsZero() {
		if !o.Expires.After(time.Now()) {
			return l, api.Errorf(api.Invalid, "a link ends in the future")
		}
		l.Expires = &o.Expires
	}
	if !d.own() {
		return l, errNotYours()
	}
	err = d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		n, err := d.lookup(ctx, tx, path)
		if err != nil {
			return err
		}
		if n.Type != api.File && n.Type != api.Directory {
			return api.Errorf(api.Invalid, "only files and folders can be shared")
		}
		l.Node, l.Path = n.ID, api.Name(api.JoinPath(path))
		there, err := tx.Links(ctx, d.id, n.ID)
		if err == nil && len(there) >= maxLinksTo {
			err = api.Errorf(api.TooLarge, "there are %d links to it already: remove some", maxLinksTo)
		}
		if err == nil {
			err = tx.AddLink(ctx, d.id, l)
		}
		return err
	})
	l.Created = time.Now()
	return l, err
}

// Links lists the links to what is at a path that are not over, the newest first.
func (d *Drive) Links(ctx context.Context, path []api.Name) (links []Link, err error) {
	if !d.own() {
		return nil, nil
	}
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		n, err := d.lookup(ctx, tx, path)
		if err == nil {
			links, err = tx.Links(ctx, d.id, n.ID)
		}
		return err
	})
	return links, err
}

// AllLinks lists the links into the drive that are not over.
func (d *Drive) AllLinks(ctx context.Context) (links []Link, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		links, err = tx.Links(ctx, d.id, api.ID{})
		return err
	})
	return links, err
}

// RemoveLink ends a link. One that is not there is [api.NotFound].
func (d *Drive) RemoveLink(ctx context.Context, id api.ID) error {
	return d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error { return tx.RemoveLink(ctx, d.id, id) })
}

// LinkTarget is what a link opens, and what it asks for.
type LinkTarget struct {
	postgres.LinkTarget
	Drive *Drive // whose root is the node: a directory, or a file
}

// ByLink is what a token opens: a drive that whoever has it may read, by the
// database's leave and no more of it. Its password is the caller's to ask for. A token that
// opens nothing, or no more, is [api.NotFound].
func (s *Service) ByLink(ctx context.Context, token string) (t LinkTarget, err error) {
	if !tokenForm.MatchString(token) {
		return t, api.Errorf(api.NotFound, "this link is over, or never was one")
	}
	err = s.db.ByLink(ctx, token, func(ctx context.Context, tx *postgres.Tx) error {
		t.LinkTarget, err = tx.LinkTarget(ctx, token)
		return err
	})
	t.Drive = &Drive{s: s, id: t.LinkTarget.Drive, root: t.Node, owner: t.Owner, link: token}
	return t, err
}

// PersonAt is the editor with an e-mail address, to share something with. There being none is
// [api.NotFound].
func (s *Service) PersonAt(ctx context.Context, c Caller, email string) (p postgres.Person, err error) {
	err = s.db.AsReadOnly(ctx, c.User, func(ctx context.Context, tx *postgres.Tx) error {
		p, err = tx.PersonAt(ctx, email)
		return err
	})
	return p, err
}

// People names the accounts, by their ids.
func (s *Service) People(ctx context.Context, c Caller) (names map[string]string, err error) {
	names = map[string]string{}
	err = s.db.AsReadOnly(ctx, c.User, func(ctx context.Context, tx *postgres.Tx) error {
		people, err := tx.People(ctx, FileQuery{})
		for _, p := range people {
			names[p.ID.String()] = p.Name
		}
		return err
	})
	return names, err
}

// SharedWith lists what others share with the caller.
func (s *Service) SharedWith(ctx context.Context, c Caller) (all []Shared, err error) {
	err = s.db.AsReadOnly(ctx, c.User, func(ctx context.Context, tx *postgres.Tx) error {
		all, err = tx.SharedWithMe(ctx)
		return err
	})
	return all, err
}

// Bound is a directory of another drive that shows in the caller's.
type Bound struct {
	ID          api.ID // of the bind
	Drive, Node api.ID
	Path        api.Name // in the caller's home drive; "" when its directory is deleted
	Ended       bool     // the caller does not see any more what it shows: the directory stays, and is empty
}

// Bound lists what is bound in the caller's drives.
func (s *Service) Bound(ctx context.Context, c Caller) (all []Bound, err error) {
	err = s.db.AsReadOnly(ctx, c.User, func(ctx context.Context, tx *postgres.Tx) error {
		binds, err := tx.Binds(ctx)
		if err != nil {
			return err
		}
		for _, b := range binds {
			if b.Owner != c.User {
				continue
			}
			path, err := tx.PathOfNode(ctx, b.Drive, b.Node)
			if err != nil {
				return err
			}
			may, err := tx.Permissions(ctx, b.SourceDrive, b.SourceNode)
			if err != nil {
				return err
			}
			all = append(all, Bound{ID: b.ID, Drive: b.SourceDrive, Node: b.SourceNode, Path: path, Ended: may&(api.PermRead|api.PermList) == 0})
		}
		return nil
	})
	return all, err
}

// BindShared shows a directory that another one shares with the caller in his
// home drive, and returns its path there: at, or without one its own name or one beside it. What
// is not shared with him is [api.NotFound]; a place that is no empty directory is [api.Exists].
func (s *Service) BindShared(ctx context.Context, c Caller, drive, node api.ID, at []api.Name) ([]api.Name, error) {
	theirs, err := s.SharedWith(ctx, c)
	if err != nil {
		return nil, err
	}
	home, err := s.Home(ctx, c)
	if err != nil {
		return nil, err
	}
	for _, t := range theirs {
		if t.Drive != drive || t.Node != node || t.Type != api.Directory {
			continue
		}
		bind := func(path []api.Name) ([]api.Name, error) {
			dir, undo, err := home.bindDir(ctx, path)
			if err != nil {
				return nil, err
			}
			err = s.db.As(ctx, c.User, func(ctx context.Context, tx *postgres.Tx) error {
				return tx.AddBind(ctx, postgres.Bind{ID: api.NewID(), Drive: home.id, Node: dir, SourceDrive: drive, SourceNode: node})
			})
			if err != nil && undo != nil {
				err = errors.Join(err, undo())
			}
			return path, err
		}
		if len(at) > 0 {
			return bind(at)
		}
		name := t.Name
		if name == "" {
			name = "Files"
		}
		for n := 1; ; n++ {
			path := []api.Name{name}
			if n > 1 {
				by := cmp.Or(t.Address, "shared")
				if api.PlainPersonName(t.Sharer) {
					by = t.Sharer
				}
				path[0] = besideName(name, by, n-1)
			}
			if path[0].Check() != nil { // an address may be no file's name
				path[0] = besideName(name, "shared", n-1)
			}
			_, err := home.Lookup(ctx, path)
			if err == nil && n < 100 {
				continue // taken
			}
			if err != nil && api.KindOf(err) != api.NotFound {
				return nil, err
			}
			return bind(path)
		}
	}
	return nil, api.Errorf(api.NotFound, "there is no such folder, or it is not shared with you any more")
}

// Unbind ends a bind in the caller's drive, and removes the directory in which it was unless something is in it: a
// device that was away may have saved there what it could not know to belong elsewhere. A bind that is not there is
// [api.NotFound].
func (s *Service) Unbind(ctx context.Context, c Caller, id api.ID) error {
	home, err := s.Home(ctx, c)
	if err != nil {
		return err
	}
	return home.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		binds, err := tx.Binds(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(binds, func(b postgres.Bind) bool { return b.ID == id && b.Owner == c.User }) {
			return api.Errorf(api.NotFound, "there is no such bind")
		}
		drive, node, err := tx.DropBind(ctx, id) // which is a change of the drive's own, before the next
		if err != nil || drive != home.id {
			return err
		}
		locked, err := tx.Lock(ctx, home.id, home.owner, home.author(), nil)
		if err != nil {
			return err
		}
		batch, err := home.rmdir(ctx, tx, node)
		if err == nil {
			_, err = home.applyWhole(ctx, tx, locked, nil, batch)
		}
		return err
	})
}
