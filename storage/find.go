package storage

import (
	"context"

	"satchel/api"
	"satchel/storage/postgres"
)

// Reached is what a path leads to. Where it leads through a bind, that is in
// another drive, which begins at the directory that was bound.
type Reached struct {
	Home  *Drive     // where the path begins
	Drive *Drive     // where it ends
	Bound []api.Name // the way to the drive's root, in the home drive
	Real  []api.Name // and on from there, free of symlinks; the last names may be missing
	Node  *api.Node  // nil: nothing is there

	content *Content // nil: not known yet
}

// Finding says how [Service.Find] reads a path.
type Finding struct {
	Resolving
	Content bool // a file's content will be read
}

// Find finds what a path leads to that begins at the caller's home drive, as [Drive.Through] and then [Drive.Resolve] do, with
// their errors. Neither a symlink nor a bind at its end is followed unless both are. Home is nil if there is none for him ([api.Permission]); else it is there with an error, too.
func (s *Service) Find(ctx context.Context, c Caller, path []api.Name, f Finding) (Reached, error) {
	if c.Admin {
		return Reached{}, errHomeless()
	}
	found, known, err := s.findAtOnce(ctx, c, path, f)
	if known || err != nil {
		return found, err
	}
	if found.Home == nil {
		if found.Home, err = s.Home(ctx, c); err != nil {
			return Reached{}, err
		}
	}
	found.Drive, found.Node = found.Home, nil
	through := found.Home.Through
	if !f.Follow {
		through = found.Home.ThroughTo
	}
	in, rest, err := through(ctx, path)
	if err != nil {
		return found, err
	}
	found.Drive, found.Bound = in, path[:len(path)-len(rest)]
	found.Real, found.Node, err = in.Resolve(ctx, rest, f.Resolving)
	return found, err
}

// findAtOnce is Find for most paths, which lead to what is there over no symlink and no bind: one question tells. Of the others it
// is known no more than their home.
func (s *Service) findAtOnce(ctx context.Context, c Caller, path []api.Name, f Finding) (found Reached, known bool, err error) {
	var walk postgres.HomeWalk
	err = s.db.AsReadOnly(ctx, c.User, func(ctx context.Context, tx *postgres.Tx) error {
		tx.Last()
		walk, err = tx.HomeWalk(ctx, path, f.Content)
		return err
	})
	if api.KindOf(err) == api.NotFound {
		return Reached{}, false, nil // the home is still to be made
	}
	if err != nil {
		return Reached{}, false, err
	}
	last := walk.Nodes[len(walk.Nodes)-1]
	home := &Drive{s: s, caller: c, id: walk.Drive, root: walk.Nodes[0].ID, owner: c.User}
	found = Reached{Home: home, Drive: home, Real: path}
	missing := len(path) - (len(walk.Nodes) - 1)
	switch {
	case walk.Bound:
		return found, false, nil
	case missing == 0 && (last.Type != api.Symlink || !f.Follow):
		found.Node = &last
		if walk.Extents != nil {
			found.content = home.content(walk.Content)
			found.content.located = walk.Extents
		}
		return found, true, nil
	case missing == 0 || last.Type != api.Directory:
		return found, false, nil
	case !f.Fold:
		return found, true, nil
	}
	name := api.Name("")
	err = home.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		tx.Last()
		name, err = foldedMatch(ctx, tx, home.id, last.ID, path[len(path)-missing])
		return err
	})
	return found, name == "", err
}

// Content is the content of the file that was found; see [Drive.Content].
func (f *Reached) Content(ctx context.Context) (*Content, error) {
	if f.content != nil {
		return f.content, nil
	}
	return f.Drive.Content(ctx, f.Node.ID, f.Node.Version)
}
