package storage

import (
	"context"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"satchel/api"
	"satchel/storage/postgres"
)

// Resolving says how [Drive.Resolve] reads a path.
type Resolving struct {
	Fold   bool // a name that is not there may be another's in other case or another Unicode form
	Follow bool // a symlink at the end of the path is followed too, not only those on the way
}

// maxLinks is how many symlinks one path may lead over (path_resolution(7)).
const maxLinks = 40

// Resolve finds what a path leads to: the real path, free of symlinks, and the
// node, nil if there is none; then the real path ends with the names that are
// missing. A name that is there always counts as it is; only a missing one may be
// folded, and only if one entry alone fits. A symlink that leaves the drive, or
// too many of them, are [api.NotFound]; what is no directory on the way is
// [api.NotDirectory].
func (d *Drive) Resolve(ctx context.Context, path []api.Name, r Resolving) (real []api.Name, node *api.Node, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		real, node, err = d.resolve(ctx, tx, path, r)
		return err
	})
	return real, node, err
}

func (d *Drive) resolve(ctx context.Context, tx *postgres.Tx, path []api.Name, r Resolving) ([]api.Name, *api.Node, error) {
	for links := 0; ; {
		if len(path) == 0 {
			n, err := tx.Node(ctx, d.id, d.root)
			return nil, &n, err
		}
		nodes, err := tx.Walk(ctx, d.id, d.root, path)
		if err != nil {
			return nil, nil, err
		}
		last, dir := api.Node{Type: api.Directory}, d.root
		if len(nodes) > 0 {
			last = nodes[len(nodes)-1]
			dir = last.ID
		}
		whole := len(nodes) == len(path)
		switch {
		case last.Type == api.Symlink && (!whole || r.Follow):
			if links++; links > maxLinks {
				return nil, nil, api.Errorf(api.NotFound, "the path leads over more than %d symlinks", maxLinks)
			}
			if path, err = followed(path[:len(nodes)-1], last.Target, path[len(nodes):]); err != nil {
				return nil, nil, err
			}
		case whole:
			return path, &last, nil
		case last.Type != api.Directory:
			return nil, nil, api.Errorf(api.NotDirectory, "%q on the path is not a directory", string(path[len(nodes)-1]))
		case !r.Fold:
			return path, nil, nil
		default:
			name, err := foldedMatch(ctx, tx, d.id, dir, path[len(nodes)])
			if err != nil || name == "" {
				return path, nil, err
			}
			path = append(append(append([]api.Name(nil), path[:len(nodes)]...), name), path[len(nodes)+1:]...)
		}
	}
}

// followed is the path that a symlink in a directory leads to, with what is
// left of the path. The directory's path is real, so that .. can be taken from it.
func followed(dir []api.Name, target api.Name, rest []api.Name) ([]api.Name, error) {
	if strings.HasPrefix(string(target), "/") {
		return nil, api.Errorf(api.NotFound, "a symlink leads out of the drive")
	}
	path := append([]api.Name(nil), dir...)
	for _, s := range strings.Split(string(target), "/") {
		switch s {
		case "", ".":
		case "..":
			if len(path) == 0 {
				return nil, api.Errorf(api.NotFound, "a symlink leads out of the drive")
			}
			path = path[:len(path)-1]
		default:
			if err := api.Name(s).Check(); err != nil {
				return nil, err
			}
			path = append(path, api.Name(s))
		}
	}
	return append(path, rest...), nil
}

// foldedMatch is the one name in a directory that is a name but for case and
// Unicode form; "" if there is none, or more than one.
func foldedMatch(ctx context.Context, tx *postgres.Tx, drive, dir api.ID, name api.Name) (match api.Name, err error) {
	folded, found := Folded(name), 0
	err = tx.NamesLike(ctx, drive, dir, name, func(n api.Name) {
		if Folded(n) == folded {
			match = n
			found++
		}
	})
	if found != 1 {
		match = ""
	}
	return match, err
}

// Folded is what names have in common that differ in case and Unicode form
// only (NFC over full case folding).
func Folded(n api.Name) string {
	s := string(n)
	for i := range len(s) {
		if s[i] >= 0x80 {
			return norm.NFC.String(cases.Fold().String(norm.NFC.String(s)))
		}
	}
	return strings.ToLower(s)
}
