package storage

import (
	"context"
	"slices"
	"strings"
	"time"

	"satchel/api"
	"satchel/storage/postgres"
)

// What WebDAV and S3 clients keep beside files; see package postgres.
type (
	Property = postgres.Property
	DAVLock  = postgres.DAVLock
	Object   = postgres.Object
)

// MaxProperties is how many properties a node may have, and a patch of them may set and remove.
const MaxProperties = postgres.MaxProperties

// Properties is what WebDAV clients said about some nodes.
func (d *Drive) Properties(ctx context.Context, nodes []api.ID) (all []Property, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		tx.Last()
		all, err = tx.Properties(ctx, d.id, nodes)
		return err
	})
	return all, err
}

// PropertySizes is how many bytes the properties of some nodes have; those that have none are missing.
func (d *Drive) PropertySizes(ctx context.Context, nodes []api.ID) (sizes map[api.ID]int64, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		tx.Last()
		all, err := tx.PropertySizes(ctx, d.id, nodes)
		sizes = make(map[api.ID]int64, len(all))
		for id, said := range all {
			sizes[id] = said.Bytes
		}
		return err
	})
	return sizes, err
}

const (
	maxProperty   = 64 << 10  // bytes of a property's value
	maxProperties = 256 << 10 // bytes of all of a node's, with their names: as many as of its extended attributes
)

// PropertyPatch sets a property, or removes it.
type PropertyPatch struct {
	Property
	Remove bool
}

// PatchProperties sets and removes properties of a node in order, all or none.
// Too long a value, or too many of them, are [api.TooLarge].
func (d *Drive) PatchProperties(ctx context.Context, node api.ID, patches []PropertyPatch) error {
	if !d.own() {
		return api.Errorf(api.Permission, "only a drive's owner sets properties in it")
	}
	return d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		if _, err := tx.Lock(ctx, d.id, d.owner, postgres.Author{}, nil); err != nil {
			return err
		}
		if _, err := d.live(ctx, tx, node); err != nil {
			return err
		}
		if err := d.hold(ctx, tx); err != nil {
			return err
		}
		for _, p := range patches {
			p.Node = node
			if p.Remove {
				if err := tx.RemoveProperty(ctx, d.id, node, p.Space, p.Name); err != nil {
					return err
				}
				continue
			}
			if len(p.Value) > maxProperty || len(p.Space)+len(p.Name) > 1000 {
				return api.Errorf(api.TooLarge, "a property has at most %d bytes", maxProperty)
			}
			if err := tx.SetProperty(ctx, d.id, d.owner, p.Property); err != nil {
				return err
			}
		}
		if !slices.ContainsFunc(patches, func(p PropertyPatch) bool { return !p.Remove }) { // of one that has too many, too
			return nil
		}
		sizes, err := tx.PropertySizes(ctx, d.id, []api.ID{node})
		switch said := sizes[node]; {
		case err != nil:
			return err
		case said.Number > MaxProperties:
			return api.Errorf(api.TooLarge, "a file has at most %d properties", MaxProperties)
		case said.Bytes > maxProperties:
			return api.Errorf(api.TooLarge, "a file's properties have at most %d bytes together", maxProperties)
		}
		return nil
	})
}

// DAVLocks lists the locks of WebDAV clients in the drive, with their holders or without.
func (d *Drive) DAVLocks(ctx context.Context, holders bool) (locks []DAVLock, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		tx.Last()
		locks, err = tx.DAVLocks(ctx, d.id, holders)
		return err
	})
	return locks, err
}

// AddDAVLock adds a lock unless allow, which is told the present ones, refuses.
// No other lock is added meanwhile.
func (d *Drive) AddDAVLock(ctx context.Context, l DAVLock, allow func([]DAVLock) error) error {
	return d.s.db.As(ctx, d.caller.User, func(ctx context.Context, tx *postgres.Tx) error {
		if _, err := tx.Lock(ctx, d.id, d.owner, postgres.Author{}, nil); err != nil {
			return err
		}
		locks, err := tx.DAVLocks(ctx, d.id, true)
		if err == nil {
			err = allow(locks)
		}
		if err == nil {
			err = tx.AddDAVLock(ctx, d.id, d.owner, l)
		}
		return err
	})
}

// RefreshDAVLock lets a lock live until a time. One that has ended is [api.NotFound].
func (d *Drive) RefreshDAVLock(ctx context.Context, token api.ID, expires time.Time) error {
	return d.onLock(ctx, func(ctx context.Context, tx *postgres.Tx) (bool, error) {
		return tx.RefreshDAVLock(ctx, d.id, token, expires)
	})
}

// RemoveDAVLock ends a lock. One that has ended is [api.NotFound].
func (d *Drive) RemoveDAVLock(ctx context.Context, token api.ID) error {
	return d.onLock(ctx, func(ctx context.Context, tx *postgres.Tx) (bool, error) {
		return tx.RemoveDAVLock(ctx, d.id, token)
	})
}

func (d *Drive) onLock(ctx context.Context, do func(context.Context, *postgres.Tx) (bool, error)) error {
	return d.s.db.As(ctx, d.caller.User, func(ctx context.Context, tx *postgres.Tx) error {
		done, err := do(ctx, tx)
		if err == nil && !done {
			err = api.Errorf(api.NotFound, "there is no such lock")
		}
		return err
	})
}

// RemoveDAVLocks ends the locks on a path and below it, as when it is deleted.
func (d *Drive) RemoveDAVLocks(ctx context.Context, path []api.Name) error {
	return d.s.db.As(ctx, d.caller.User, func(ctx context.Context, tx *postgres.Tx) error {
		return tx.RemoveDAVLocks(ctx, d.id, LockPath(path))
	})
}

// LockPath is a path as locks have it.
func LockPath(path []api.Name) string {
	names := make([]string, len(path))
	for i, n := range path {
		names[i] = n.Escape()
	}
	return strings.Join(names, "/")
}

// Objects is what the S3 API keeps of versions, but for their parts; those that it did not write
// are missing.
func (d *Drive) Objects(ctx context.Context, versions []api.ID) (objects map[api.ID]Object, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		objects, err = tx.Objects(ctx, d.id, versions)
		return err
	})
	return objects, err
}

// ObjectParts are the sizes in bytes of the parts that a version was sent in, in their order; none if it was not sent in parts, or
// they are not known.
func (d *Drive) ObjectParts(ctx context.Context, version api.ID) (sizes []int64, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		sizes, err = tx.ObjectParts(ctx, d.id, version)
		return err
	})
	return sizes, err
}

// objectOf is what the S3 API keeps of a file's present version; nothing of what is no file, or nil.
func (d *Drive) objectOf(ctx context.Context, tx *postgres.Tx, n *api.Node) (Object, error) {
	if n == nil || n.Type != api.File {
		return Object{}, nil
	}
	objects, err := tx.Objects(ctx, d.id, []api.ID{n.Version})
	return objects[n.Version], err
}
