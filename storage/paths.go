package storage

import (
	"cmp"
	"context"
	"slices"
	"time"

	"satchel/api"
	"satchel/storage/fault"
	"satchel/storage/postgres"
)

// maxTree is how many entries one transaction removes or copies: what it holds
// of them in memory.
var maxTree = 100_000

// Mkdir makes a directory. A taken name is [api.Exists], a missing directory
// above it [api.NotFound] unless parents are to be made too.
func (d *Drive) Mkdir(ctx context.Context, path []api.Name, parents bool) (node api.ID, err error) {
	if err := checkPath(path); err != nil {
		return node, err
	}
	err = d.change(ctx, nil, func(ctx context.Context, tx *postgres.Tx) (batch []api.Mutation, err error) {
		node, batch, err = d.mkdir(ctx, tx, path, parents)
		return batch, err
	})
	return node, err
}

func (d *Drive) mkdir(ctx context.Context, tx *postgres.Tx, path []api.Name, parents bool) (node api.ID, batch []api.Mutation, err error) {
	walked, err := tx.Walk(ctx, d.id, d.root, path)
	if err != nil {
		return node, nil, err
	}
	if len(walked) == len(path) {
		return node, nil, api.Errorf(api.Exists, "the path is taken")
	}
	now := time.Now().UnixNano()
	if _, _, err := d.parents(walked, path, parents, now); err != nil {
		return node, nil, err
	}
	batch, node, err = d.missingDirs(walked, path, now)
	return node, batch, err
}

// Remove removes what is at a path, with all that is below it. A missing path
// is [api.NotFound], and the root can't be removed ([api.Permission]). More than
// 100,000 entries go in several transactions, files first; all else goes at once. If the path leads to something else in
// between, that stays, as what was not removed yet does: [api.Conflict].
func (d *Drive) Remove(ctx context.Context, path []api.Name) error {
	return d.remove(ctx, path, func([]api.Mutation) error { return nil })
}

// RemoveCopied is Remove of what was copied to where it cannot move: copied is the
// nodes that were, files with their versions. Anything else at the path or below it, or
// another version, is [api.Conflict], and stays.
func (d *Drive) RemoveCopied(ctx context.Context, path []api.Name, copied map[api.ID]api.ID) error {
	return d.remove(ctx, path, func(batch []api.Mutation) error {
		for i := range batch {
			version, known := copied[batch[i].Node]
			if !known {
				return api.Errorf(api.Conflict, "%q came while the rest was copied", string(batch[i].Name))
			}
			batch[i].Base = version
		}
		return nil
	})
}

// remove is Remove with what check makes of each batch.
func (d *Drive) remove(ctx context.Context, path []api.Name, check func([]api.Mutation) error) error {
	if len(path) == 0 {
		return api.Errorf(api.Permission, "the drive's root can't be removed")
	}
	for top := (api.ID{}); ; { // what is removed, once it is begun
		whole, at := true, top
		err := d.change(ctx, nil, func(ctx context.Context, tx *postgres.Tx) ([]api.Mutation, error) {
			e, err := d.entryAt(ctx, tx, path)
			if err != nil {
				return nil, err
			}
			if at = e.Node.ID; !top.IsZero() && at != top {
				return nil, api.Errorf(api.Conflict, "what was being removed was moved away, and %q is something else now", string(e.Name))
			}
			batch, all, err := d.removal(ctx, tx, e)
			whole = all
			return batch, cmp.Or(err, check(batch))
		})
		if err != nil || whole {
			return err
		}
		fault.At(fault.TreeThinned)
		top, d = at, d.begun()
	}
}

// RemoveLeaf removes the file at a path, or the empty directory, and the
// directories above it that this leaves empty, but not the root. A directory that is not
// empty is [api.NotEmpty], one where a file is meant [api.IsDirectory]. Check, if it is not nil, may refuse to
// remove what is there, of which it gets what the S3 API keeps; nobody else changes the drive before it is removed.
func (d *Drive) RemoveLeaf(ctx context.Context, path []api.Name, directory bool, check func(*api.Node, Object) error) error {
	return d.change(ctx, nil, func(ctx context.Context, tx *postgres.Tx) ([]api.Mutation, error) {
		e, err := d.entryAt(ctx, tx, path)
		switch {
		case err != nil:
			return nil, err
		case directory && e.Node.Type != api.Directory:
			return nil, api.Errorf(api.NotDirectory, "this is not a directory")
		case !directory && e.Node.Type == api.Directory:
			return nil, api.Errorf(api.IsDirectory, "this is a directory")
		case directory:
			in, err := tx.Children(ctx, d.id, e.Node.ID, "", 1)
			if err == nil && len(in) > 0 {
				err = api.Errorf(api.NotEmpty, "the directory is not empty")
			}
			if err != nil {
				return nil, err
			}
		}
		if check != nil {
			object, err := d.objectOf(ctx, tx, &e.Node)
			if err != nil {
				return nil, err
			}
			if err := check(&e.Node, object); err != nil {
				return nil, err
			}
		}
		now := time.Now().UnixNano()
		batch := []api.Mutation{removalOf(e, now)}
		for above := path[:len(path)-1]; len(above) > 0; above = above[:len(above)-1] {
			e, err := d.entryAt(ctx, tx, above)
			if err != nil {
				return nil, err
			}
			in, err := tx.Children(ctx, d.id, e.Node.ID, "", 2)
			if err != nil {
				return nil, err
			}
			if len(in) > 1 {
				return batch, nil
			}
			batch = append(batch, removalOf(e, now))
		}
		return batch, nil
	})
}

// rmdir is what removes a directory by its id, if it is empty: nothing if it is not, or is gone already.
func (d *Drive) rmdir(ctx context.Context, tx *postgres.Tx, dir api.ID) ([]api.Mutation, error) {
	at, err := tx.PathOfNode(ctx, d.id, dir)
	if err != nil {
		return nil, err
	}
	path, err := api.ParsePath(string(at))
	if err != nil || len(path) == 0 {
		return nil, err
	}
	in, err := tx.Children(ctx, d.id, dir, "", 1)
	if err != nil || len(in) > 0 {
		return nil, err
	}
	e, err := d.entryAt(ctx, tx, path)
	if err != nil {
		return nil, err
	}
	return []api.Mutation{removalOf(e, time.Now().UnixNano())}, nil
}

// removalOf removes one entry; a directory must be empty by then.
func removalOf(e postgres.Descendant, now int64) api.Mutation {
	m := api.Mutation{Op: api.OpUnlink, Node: e.Node.ID, Parent: e.Parent, Name: e.Name, Time: now}
	if e.Node.Type == api.Directory {
		m.Op = api.OpRmdir
	}
	return m
}

// entryAt is the entry at a path that is not the root's. A missing one is
// [api.NotFound].
func (d *Drive) entryAt(ctx context.Context, tx *postgres.Tx, path []api.Name) (e postgres.Descendant, err error) {
	walked, err := tx.Walk(ctx, d.id, d.root, path)
	if err != nil {
		return e, err
	}
	if len(walked) < len(path) {
		return e, errNoNode()
	}
	e = postgres.Descendant{Parent: d.root, Name: path[len(path)-1], Node: walked[len(path)-1]}
	if len(path) > 1 {
		e.Parent = walked[len(path)-2].ID
	}
	return e, nil
}

// removal is the mutations that remove an entry and what is below it. If that
// is too much for one transaction, whole is false and they remove a part.
func (d *Drive) removal(ctx context.Context, tx *postgres.Tx, e postgres.Descendant) (batch []api.Mutation, whole bool, err error) {
	now := time.Now().UnixNano()
	if e.Node.Type == api.Directory {
		below, err := tx.Subtree(ctx, d.id, e.Node.ID, maxTree+1)
		if err != nil {
			return nil, false, err
		}
		if len(below) > maxTree {
			for _, b := range below {
				if b.Node.Type != api.Directory {
					batch = append(batch, removalOf(b, now))
				}
			}
			if len(batch) == 0 {
				return nil, false, api.Errorf(api.TooLarge, "there are more than %d directories in it: remove some of them first", maxTree)
			}
			return batch, false, nil
		}
		for _, b := range slices.Backward(below) {
			batch = append(batch, removalOf(b, now))
		}
	}
	batch = append(batch, removalOf(e, now))
	return batch, true, nil
}

// MoveOptions says how [Drive.Move] moves.
type MoveOptions struct {
	Replace bool // what is at the new path goes, with all that is below it; else it is [api.Exists]
	Parents bool // missing directories on the way are made; else they are [api.NotFound]
	NoDirs  bool // neither is a directory, else it is [api.IsDirectory]
}

// Move gives what is at a path another one; created tells that nothing was
// replaced. A file that replaces a file takes over its document. A directory
// can't move into itself ([api.Invalid]).
func (d *Drive) Move(ctx context.Context, from, to []api.Name, o MoveOptions) (created bool, err error) {
	if len(from) == 0 {
		return false, api.Errorf(api.Permission, "the drive's root can't be moved")
	}
	if err := checkPath(to); err != nil {
		return false, err
	}
	err = d.change(ctx, nil, func(ctx context.Context, tx *postgres.Tx) ([]api.Mutation, error) {
		created = false
		e, err := d.entryAt(ctx, tx, from)
		if err != nil {
			return nil, err
		}
		now := time.Now().UnixNano()
		target, batch, parent, err := d.target(ctx, tx, to, o.Parents, now)
		if err != nil {
			return nil, err
		}
		m := api.Mutation{Op: api.OpRename, Node: e.Node.ID, Parent: e.Parent, Name: e.Name, ToParent: parent, ToName: to[len(to)-1], Time: now}
		switch {
		case o.NoDirs && (e.Node.Type == api.Directory || target != nil && target.Node.Type == api.Directory):
			return nil, api.Errorf(api.IsDirectory, "a folder has the name: rename one of them")
		case target == nil:
			created = true
		case target.Parent == e.Parent && target.Name == e.Name:
			return nil, nil // it is there
		case !o.Replace:
			return nil, api.Errorf(api.Exists, "the path is taken")
		case target.Node.Type == api.File && e.Node.Type == api.File && target.Node.ID != e.Node.ID:
			m.Replaces, m.Base = target.Node.ID, target.Node.Version
		default:
			if within(from, to) || within(to, from) {
				return nil, api.Errorf(api.Invalid, "what is moved is in what it would replace, or the other way round")
			}
			gone, whole, err := d.removal(ctx, tx, *target)
			if err != nil {
				return nil, err
			}
			if !whole {
				return nil, errTooMuch()
			}
			batch = append(batch, gone...)
		}
		return append(batch, m), nil
	})
	return created, err
}

func errTooMuch() error {
	return api.Errorf(api.TooLarge, "there are more than %d files and directories in it: do it in parts", maxTree)
}

// target is the entry at a path, nil if there is none, the directory that it
// is in, and the mutations that make that.
func (d *Drive) target(ctx context.Context, tx *postgres.Tx, path []api.Name, missing bool, now int64) (e *postgres.Descendant, batch []api.Mutation, parent api.ID, err error) {
	walked, err := tx.Walk(ctx, d.id, d.root, path)
	if err != nil {
		return nil, nil, parent, err
	}
	batch, parent, err = d.parents(walked, path, missing, now)
	if err == nil && len(walked) == len(path) {
		e = &postgres.Descendant{Parent: parent, Name: path[len(path)-1], Node: walked[len(path)-1]}
	}
	return e, batch, parent, err
}

// within tells whether path is top or below it.
func within(path, top []api.Name) bool {
	return len(path) >= len(top) && slices.Equal(path[:len(top)], top)
}

// SetAttr sets the attributes that are present of what is at a path.
func (d *Drive) SetAttr(ctx context.Context, path []api.Name, attr api.Attr) error {
	return d.change(ctx, nil, func(ctx context.Context, tx *postgres.Tx) ([]api.Mutation, error) {
		n, err := d.lookup(ctx, tx, path)
		if err != nil {
			return nil, err
		}
		return []api.Mutation{{Op: api.OpSetattr, Node: n.ID, Attr: &attr, Time: time.Now().UnixNano()}}, nil
	})
}
