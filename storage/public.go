package storage

import (
	"bytes"
	"context"
	"encoding/json"

	"satchel/api"
	"satchel/storage/postgres"
)

// About is what is said about a node; see package postgres.
type About = postgres.About

// maxMetadata is the most metadata of one document in bytes.
const maxMetadata = 64 << 10

// publicPermissions are what everybody has on what is public.
const publicPermissions = api.PermRead | api.PermList

// Resolve finds the drive that a path of any caller means, and the rest of the
// path in it. A path whose first name is the caller's own means his own drive. Any
// other must begin with the owner's id or a bucket's name, so that nobody can put
// something where another expects his own; the zero caller is a stranger, who
// has nothing of his own. Binds are followed. A drive of which the caller sees nothing is [api.NotFound].
func (s *Service) Resolve(ctx context.Context, c Caller, path []api.Name) (*Drive, []api.Name, error) {
	d, rest, err := s.resolve(ctx, c, path)
	if err != nil {
		return nil, nil, err
	}
	return d.Through(ctx, rest)
}

func (s *Service) resolve(ctx context.Context, c Caller, path []api.Name) (*Drive, []api.Name, error) {
	if len(path) == 0 {
		return nil, nil, errNoNode()
	}
	owner, err := api.ParseID(string(path[0]))
	qualified := err == nil && !owner.IsZero()
	if !c.User.IsZero() && !c.Admin {
		home, err := s.Home(ctx, c)
		if err != nil {
			return nil, nil, err
		}
		if qualified && owner == c.User {
			return home, path[1:], nil
		}
		_, err = home.Lookup(ctx, path[:1])
		if err == nil || api.KindOf(err) != api.NotFound {
			return home, path, err
		}
	}
	if !qualified && CheckBucketName(string(path[0])) != nil {
		return nil, nil, errNoNode()
	}
	var shared postgres.Drive
	err = s.db.AsReadOnly(ctx, c.User, func(ctx context.Context, tx *postgres.Tx) (err error) {
		if qualified { // an id could be a bucket's name, too
			shared, err = tx.SharedDriveOf(ctx, owner, postgres.HomeName)
			return err
		}
		shared, err = tx.SharedBucket(ctx, string(path[0]))
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return s.open(c, shared), path[1:], nil
}

// About tells what is said about the node at a path. One that is missing, or
// that the caller may not read, is [api.NotFound].
func (d *Drive) About(ctx context.Context, path []api.Name) (a About, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		n, err := d.lookup(ctx, tx, path)
		if err != nil {
			return err
		}
		p, err := tx.Permissions(ctx, d.id, n.ID)
		if err == nil && p&api.PermRead == 0 {
			err = errNoNode()
		}
		if err == nil {
			a, err = tx.About(ctx, d.id, n.ID)
		}
		return err
	})
	return a, err
}

// seen is an error for a guest who may not read what is at a path: only what he
// sees may tell him that it is not his.
func (d *Drive) seen(ctx context.Context, path []api.Name) error {
	if d.own() {
		return nil
	}
	_, err := d.About(ctx, path)
	return err
}

// SetPublic lets everybody read the node at a path and what is below it, or
// only those again who may otherwise. Only who decides about the drive's grants may: others have
// [api.Permission].
func (d *Drive) SetPublic(ctx context.Context, path []api.Name, public bool) error {
	if err := d.seen(ctx, path); err != nil {
		return err
	}
	g := api.Grant{Path: api.JoinPath(path), UserID: api.Anonymous, Permissions: publicPermissions}
	if public {
		return d.Grant(ctx, g)
	}
	err := d.Revoke(ctx, g)
	if api.KindOf(err) == api.NotFound { // it was not public by itself
		_, err = d.Lookup(ctx, path)
	}
	return err
}

// SetMetadata sets what the owner says about the file at a path, a JSON
// object of at most 64 KiB; anything else is [api.Invalid]. It stays with the document.
func (d *Drive) SetMetadata(ctx context.Context, path []api.Name, metadata json.RawMessage) error {
	metadata = bytes.TrimSpace(metadata)
	if len(metadata) > maxMetadata {
		return api.Errorf(api.TooLarge, "the metadata has %d bytes; at most %d are allowed", len(metadata), maxMetadata)
	}
	if !json.Valid(metadata) || metadata[0] != '{' {
		return api.Errorf(api.Invalid, "the metadata must be a JSON object")
	}
	if err := d.seen(ctx, path); err != nil {
		return err
	}
	if !d.own() {
		return errNotYours()
	}
	return d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		n, err := d.lookup(ctx, tx, path)
		if err != nil {
			return err
		}
		if n.Type != api.File {
			return errNoNode()
		}
		return tx.SetMetadata(ctx, d.id, d.owner, n.Document, metadata)
	})
}
