package main

import (
	"context"

	"satchel/api"
	"satchel/cmd/internal/cli"
)

// A directory of another drive that is shown in this one has a place here, a
// directory that is empty: what is done there is seen by nobody. The mount shows
// the other one in it; the commands that need no mount refuse.

// bound is what others' directories are shown in the drive, by the directory that
// each is in. It is asked for once.
func (t *tree) bound(ctx context.Context) (map[api.ID]api.Bind, error) {
	if t.binds != nil {
		return t.binds, nil
	}
	all, err := t.Binds(ctx)
	if err != nil {
		return nil, err
	}
	t.binds = make(map[api.ID]api.Bind, len(all))
	for _, b := range all {
		t.binds[b.Node] = b
	}
	return t.binds, nil
}

// through is how many names of a path lead to a directory that shows another
// drive's, and its bind; 0 when none does.
func (t *tree) through(ctx context.Context, names []api.Name) (int, api.Bind, error) {
	binds, err := t.bound(ctx)
	if err != nil || len(binds) == 0 {
		return 0, api.Bind{}, err
	}
	for i := range names {
		n, err := t.Lookup(ctx, api.JoinPath(names[:i+1]))
		if kind := api.KindOf(err); kind == api.NotFound || kind == api.NotDirectory {
			break
		}
		if err != nil {
			return 0, api.Bind{}, err
		}
		if b, ok := binds[n.ID]; ok {
			return i + 1, b, nil
		}
	}
	return 0, api.Bind{}, nil
}

// shownFrom says that another drive's directory is shown at a path, and whose, or that it was.
func (t *tree) shownFrom(ctx context.Context, path []api.Name, bind api.Bind) string {
	if bind.Ended {
		return cli.Printable(api.JoinPath(path)) + " was shared with you, and is not any more"
	}
	from := "another drive"
	if all, err := t.client.Theirs(ctx); err == nil { // else it is told without
		for _, theirs := range all {
			if theirs.Bind == bind.ID && sharer(theirs) != "" {
				from = "the drive of " + sharer(theirs)
			}
		}
	}
	return cli.Printable(api.JoinPath(path)) + " is shown from " + cli.Printable(from)
}

// refuse is of what would act on the place of a directory that is another's.
func (t *tree) refuse(ctx context.Context, path []api.Name, bind api.Bind) error {
	if bind.Ended {
		return api.Errorf(api.NotFound, "%s\ntake it out of your drive with: %s", t.shownFrom(ctx, path, bind), t.sh.command("shared remove", api.JoinPath(path)))
	}
	return api.Errorf(api.Invalid, "%s: use it in the mounted folder, or: %s DIR", t.shownFrom(ctx, path, bind), t.sh.command("shared get", api.JoinPath(path)))
}
