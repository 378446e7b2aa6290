package storage

import (
	"context"
	"time"

	"satchel/api"
	"satchel/storage/postgres"
)

// CopyOptions says how [Drive.Copy] copies.
type CopyOptions struct {
	MoveOptions
	From    *Drive // where the first path begins, if not here: another directory of the same drive
	Shallow bool   // of a directory only itself, without what is in it

	// Check may refuse to copy content; source is the file, old what it would
	// replace, nil if there is nothing, and object what the S3 API keeps of that.
	// Nobody else changes the drive between its answer and the change.
	Check func(source, old *api.Node, object Object) error

	Mtime int64 // ns, of a file's copy; 0 = now

	// Object is what the S3 API keeps of a file's copy; nil: what it keeps of the file.
	Object *Object
}

// Copy copies what is at a path, with all that is below it, in one
// transaction. It copies no bytes: the new versions name the chunks of the old
// ones. Properties that WebDAV clients have set come along; shares, history and
// the names of hard links do not. Over 100,000 entries are [api.TooLarge]. A guest needs to copy and to read what it is, and
// to list a directory, else it is [api.Permission].
func (d *Drive) Copy(ctx context.Context, from, to []api.Name, o CopyOptions) (created bool, err error) {
	if err := checkPath(to); err != nil {
		return false, err
	}
	of := d
	if o.From != nil {
		of = o.From
	}
	source, err := of.copySource(ctx, from, o.Shallow)
	if err != nil {
		return false, err
	}
	if source.node.Type == api.Directory && of.root == d.root && within(to, from) {
		return false, api.Errorf(api.Invalid, "a directory can't be copied into itself")
	}
	err = d.change(ctx, source.chunks(), func(ctx context.Context, tx *postgres.Tx) ([]api.Mutation, error) {
		now := time.Now().UnixNano()
		target, batch, parent, err := d.target(ctx, tx, to, o.Parents, now)
		if err != nil {
			return nil, err
		}
		created = target == nil
		var old *api.Node
		if target != nil {
			old = &target.Node
		}
		if o.Check != nil {
			object, err := d.objectOf(ctx, tx, old)
			if err != nil {
				return nil, err
			}
			if err := o.Check(&source.node, old, object); err != nil {
				return nil, err
			}
		}
		c := copier{source: source, now: now, mtime: o.Mtime}
		switch {
		case target == nil:
		case !o.Replace:
			return nil, api.Errorf(api.Exists, "the path is taken")
		case target.Node.Type == api.File && source.node.Type == api.File:
			c.over = target
		case within(from, to):
			return nil, api.Errorf(api.Invalid, "what is copied is in what it would replace")
		default:
			gone, whole, err := d.removal(ctx, tx, *target)
			if err != nil {
				return nil, err
			}
			if !whole {
				return nil, errTooMuch()
			}
			batch = append(batch, gone...)
		}
		batch = append(batch, c.mutations(parent, to[len(to)-1])...)
		if err := tx.CopyProperties(ctx, d.id, d.owner, c.nodes); err != nil {
			return nil, err
		}
		if o.Object != nil {
			objects := map[api.ID]Object{}
			for _, v := range c.versions {
				objects[v.To] = *o.Object
			}
			return batch, tx.SetObjects(ctx, d.id, d.owner, objects)
		}
		return batch, tx.CopyObjects(ctx, d.id, d.owner, c.versions)
	})
	return created, err
}

// copySource is what is copied, as it was at one moment.
type copySource struct {
	node     api.Node
	below    []postgres.Descendant // a directory before what is in it
	versions map[api.ID]api.Version
}

func (d *Drive) copySource(ctx context.Context, path []api.Name, shallow bool) (s copySource, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		if s.node, err = d.lookup(ctx, tx, path); err != nil {
			return err
		}
		whole := s.node.Type == api.Directory && !shallow
		asked := []api.Permissions{api.PermCopy, api.PermRead}
		if whole {
			asked = append(asked, api.PermList)
		}
		if err := d.holding(ctx, tx, s.node.ID, asked...); err != nil {
			return err
		}
		if whole {
			if s.below, err = tx.Subtree(ctx, d.id, s.node.ID, maxTree+1); err != nil {
				return err
			}
			if len(s.below) > maxTree {
				return errTooMuch()
			}
		}
		var ids []api.ID
		for _, n := range append([]postgres.Descendant{{Node: s.node}}, s.below...) {
			if n.Node.Type == api.File {
				ids = append(ids, n.Node.Version)
			}
		}
		s.versions, err = tx.VersionsByID(ctx, d.id, ids)
		return err
	})
	return s, err
}

func (s copySource) chunks() []api.Hash {
	all := make([]api.Mutation, 0, len(s.versions))
	for _, v := range s.versions {
		all = append(all, api.Mutation{Version: &v})
	}
	return named(all)
}

// copier turns a source into mutations and remembers what became what.
type copier struct {
	source   copySource
	now      int64
	mtime    int64                // of the top; 0: now
	over     *postgres.Descendant // a file that gets the content; nil: everything is new
	nodes    []postgres.Copied
	versions []postgres.Copied
}

func (c *copier) mutations(parent api.ID, name api.Name) []api.Mutation {
	top := c.one(c.source.node, parent, name)
	if c.mtime != 0 {
		top.Attr.Mtime = &c.mtime
	}
	if c.over != nil {
		top.Op, top.Node, top.Base = api.OpWrite, c.over.Node.ID, c.over.Node.Version
		top.Attr.Type, top.Attr.Mode = "", nil
	}
	c.nodes = append(c.nodes, postgres.Copied{From: c.source.node.ID, To: top.Node})
	batch := []api.Mutation{top}
	became := map[api.ID]api.ID{c.source.node.ID: top.Node}
	for _, b := range c.source.below {
		m := c.one(b.Node, became[b.Parent], b.Name)
		c.nodes = append(c.nodes, postgres.Copied{From: b.Node.ID, To: m.Node})
		became[b.Node.ID] = m.Node
		batch = append(batch, m)
	}
	return batch
}

// one creates the copy of one node.
func (c *copier) one(n api.Node, parent api.ID, name api.Name) api.Mutation {
	m := api.Mutation{
		Op: api.OpCreate, Node: api.NewID(), Parent: parent, Name: name, Time: c.now,
		Attr: &api.Attr{Type: n.Type, Mode: &n.Mode, Rdev: n.Rdev, Target: n.Target, Xattrs: n.Xattrs},
	}
	if n.Type == api.File {
		v := c.source.versions[n.Version]
		v.ID = api.NewID()
		c.versions = append(c.versions, postgres.Copied{From: n.Version, To: v.ID})
		m.Version = &v
	}
	return m
}
