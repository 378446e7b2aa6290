package storage

import (
	"context"
	"errors"
	"slices"

	"satchel/api"
	"satchel/storage/postgres"
)

// maxBinds is how many binds one path may lead through.
const maxBinds = 16

// Through follows the binds on a path: the drive that it leads into, whose root
// is the directory last bound, and the rest of the path there. A bind whose
// source the caller does not see, or no more, is [api.NotFound].
func (d *Drive) Through(ctx context.Context, path []api.Name) (*Drive, []api.Name, error) {
	for range maxBinds {
		bind, rest, err := d.firstBind(ctx, path)
		if err != nil || bind == nil {
			return d, path, err
		}
		next, err := d.s.Drive(ctx, d.caller, bind.SourceDrive)
		if err != nil {
			return nil, nil, errNoNode()
		}
		next.root = bind.SourceNode
		if _, err := next.Node(ctx, next.root); err != nil {
			return nil, nil, errNoNode()
		}
		d, path = next, rest
	}
	return nil, nil, api.Errorf(api.NotFound, "the path leads through more than %d binds", maxBinds)
}

// ThroughTo is Through for who means the last name itself, as an entry of the
// directory above it: a bind there is not followed.
func (d *Drive) ThroughTo(ctx context.Context, path []api.Name) (*Drive, []api.Name, error) {
	if len(path) == 0 {
		return d, path, nil
	}
	last := len(path) - 1
	in, rest, err := d.Through(ctx, path[:last])
	return in, append(slices.Clip(rest), path[last]), err
}

// firstBind is the first bind on a path, nil if there is none, and what of the
// path is behind it.
func (d *Drive) firstBind(ctx context.Context, path []api.Name) (bind *postgres.Bind, rest []api.Name, err error) {
	if len(path) == 0 {
		return nil, nil, nil
	}
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		walked, err := tx.Walk(ctx, d.id, d.root, path)
		if err != nil {
			return err
		}
		ids := make([]api.ID, 0, len(walked))
		for _, n := range walked {
			if n.Type == api.Directory && !n.ID.IsZero() {
				ids = append(ids, n.ID)
			}
		}
		binds, err := tx.BindsAt(ctx, d.id, ids)
		if err != nil || len(binds) == 0 {
			return err
		}
		for i, n := range walked {
			for _, b := range binds {
				if b.Node == n.ID {
					bind, rest = &b, path[i+1:]
					return nil
				}
			}
		}
		return nil
	})
	return bind, rest, err
}

// Place is a path in a mount.
type Place struct {
	Mount string `json:"mount"`
	Path  string `json:"path"`
}

// Bind shows the directory at source in another place.
type Bind struct {
	ID     api.ID `json:"id"`
	Source Place  `json:"source"`
	Target Place  `json:"target"`
	ACL    string `json:"acl"` // source, or inherit
}

// What decides who sees what is bound.
const (
	SourceACL  = "source"  // the grants on the source
	InheritACL = "inherit" // whatever one holds at the target, one holds there too
)

// AddBind makes a bind, and the directory at its target if there is none. The
// target's drive must be the caller's, or the system's if he is an admin; with
// [InheritACL] the source's too ([api.Permission]). A target that is no empty
// directory is [api.Exists], and a cycle [api.Invalid].
func (s *Service) AddBind(ctx context.Context, c Caller, b Bind) (Bind, error) {
	if b.ACL == "" {
		b.ACL = SourceACL
	}
	if b.ACL != SourceACL && b.ACL != InheritACL {
		return b, api.Errorf(api.Invalid, "acl is %s or %s", SourceACL, InheritACL)
	}
	source, from, err := s.placed(ctx, c, b.Source)
	if err != nil {
		return b, err
	}
	dir, err := source.Lookup(ctx, from)
	if err != nil {
		return b, err
	}
	if dir.Type != api.Directory {
		return b, api.Errorf(api.NotDirectory, "only directories can be bound")
	}
	target, at, err := s.placed(ctx, c, b.Target)
	if err != nil {
		return b, err
	}
	node, undo, err := target.bindDir(ctx, at)
	if err != nil {
		return b, err
	}
	b.ID = api.NewID()
	err = s.db.As(ctx, c.User, func(ctx context.Context, tx *postgres.Tx) error {
		return tx.AddBind(ctx, postgres.Bind{ID: b.ID, Drive: target.id, Node: node,
			SourceDrive: source.id, SourceNode: dir.ID, Inherit: b.ACL == InheritACL})
	})
	if err != nil && undo != nil {
		err = errors.Join(err, undo())
	}
	return b, err
}

func (s *Service) placed(ctx context.Context, c Caller, p Place) (*Drive, []api.Name, error) {
	d, err := s.Mounted(ctx, c, p.Mount)
	if err != nil {
		return nil, nil, err
	}
	path, err := api.ParsePath(p.Path)
	if err != nil {
		return nil, nil, err
	}
	return d.Through(ctx, path)
}

// bindDir is the directory at a path of a drive in which the caller may bind; it
// is made if it is missing, and then undo removes it again if it is still empty.
func (d *Drive) bindDir(ctx context.Context, path []api.Name) (node api.ID, undo func() error, err error) {
	if len(path) == 0 {
		return node, nil, api.Errorf(api.Exists, "a bind needs a directory of its own")
	}
	maker := d
	if !d.own() {
		if d.owner != api.SystemOwner || !d.caller.Admin {
			return node, nil, errNotYours()
		}
		system := *d // an admin arranges the system's drives
		system.caller = Caller{User: api.SystemOwner, Device: d.caller.Device}
		maker = &system
	}
	n, err := maker.Lookup(ctx, path)
	if api.KindOf(err) == api.NotFound {
		node, err := maker.Mkdir(ctx, path, true)
		undo := func() error {
			return maker.change(ctx, nil, func(ctx context.Context, tx *postgres.Tx) ([]api.Mutation, error) {
				return maker.rmdir(ctx, tx, node)
			})
		}
		return node, undo, err
	}
	if err == nil && n.Type != api.Directory {
		err = api.Errorf(api.Exists, "the path is taken by what is not a directory")
	}
	return n.ID, nil, err
}

// Binds lists the binds in the caller's drives, and those that show others
// something of his. Paths that he can't know are empty.
func (s *Service) Binds(ctx context.Context, c Caller) ([]Bind, error) {
	var rows []postgres.Bind
	var shared []Shared
	err := s.db.AsReadOnly(ctx, c.User, func(ctx context.Context, tx *postgres.Tx) (err error) {
		if rows, err = tx.Binds(ctx); err == nil {
			shared, err = tx.SharedWithMe(ctx)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	binds := make([]Bind, len(rows))
	for i, row := range rows {
		b := Bind{ID: row.ID, ACL: SourceACL}
		if row.Inherit {
			b.ACL = InheritACL
		}
		if b.Source, err = s.placeOf(ctx, c, row.SourceOwner, row.SourceDrive, row.SourceNode, shared); err != nil {
			return nil, err
		}
		if b.Target, err = s.placeOf(ctx, c, row.Owner, row.Drive, row.Node, shared); err != nil {
			return nil, err
		}
		binds[i] = b
	}
	return binds, nil
}

// placeOf names a directory as the caller would.
func (s *Service) placeOf(ctx context.Context, c Caller, owner, drive, node api.ID, shared []Shared) (Place, error) {
	p := Place{Mount: "user:" + owner.String()}
	if owner == c.User {
		p.Mount = postgres.HomeName
	}
	d, err := s.Drive(ctx, c, drive)
	if api.KindOf(err) == api.NotFound {
		return p, nil // he holds nothing in it
	}
	if err != nil {
		return p, err
	}
	var seen api.Name // the way to it, as far up as he sees it
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		if owner == api.SystemOwner {
			of, err := tx.SharedDrive(ctx, drive)
			if err != nil {
				return err
			}
			p.Mount = of.Name
		}
		seen, err = tx.PathOfNode(ctx, drive, node)
		return err
	})
	if err != nil {
		return p, err
	}
	// It begins at the root, or at what is shared with him, of which he is told the name: which one it is, the path itself tells.
	ways := []api.Name{seen}
	for _, top := range shared {
		if top.Drive == drive {
			ways = append(ways, "/"+top.Name+seen)
		}
	}
	for _, way := range ways {
		path, err := api.ParsePath(string(way))
		if err != nil {
			return p, err
		}
		n, err := d.Lookup(ctx, path)
		switch {
		case err == nil && n.ID == node:
			p.Path = "/" + api.Name(api.JoinPath(path)).Escape()
			return p, nil
		case err != nil && api.KindOf(err) != api.NotFound:
			return p, err
		}
	}
	return p, nil
}

// RemoveBind ends a bind; its directory, which is empty, stays. A bind that
// does not concern the caller is [api.NotFound].
func (s *Service) RemoveBind(ctx context.Context, c Caller, id api.ID) error {
	return s.db.As(ctx, c.User, func(ctx context.Context, tx *postgres.Tx) error {
		_, _, err := tx.DropBind(ctx, id)
		return err
	})
}
