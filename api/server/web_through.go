package server

import (
	"context"

	"satchel/api"
	"satchel/storage"
)

// The pages show what is bound in a drive as a part of it. These act where a path
// leads to: the last name is an entry of the directory above it, and may be a bind itself.

// entryAt is the drive that an entry is in, and its path there.
func entryAt(ctx context.Context, d *storage.Drive, path []api.Name) (*storage.Drive, []api.Name, error) {
	if len(path) == 0 {
		return nil, nil, api.Errorf(api.Invalid, "say which file or folder")
	}
	return d.ThroughTo(ctx, path)
}

// remove moves an entry to the trash.
func remove(ctx context.Context, d *storage.Drive, path []api.Name) error {
	here, at, err := entryAt(ctx, d, path)
	if err != nil {
		return err
	}
	return here.Remove(ctx, at)
}

// move gives an entry another path. Into another one's drive it is copied, since each
// owner keeps his own bytes, and then removed here.
func (s *server) move(ctx context.Context, d *storage.Drive, from, to []api.Name) error {
	source, at, err := entryAt(ctx, d, from)
	if err != nil {
		return err
	}
	target, there, err := entryAt(ctx, d, to)
	if err != nil {
		return err
	}
	if !source.Same(target) {
		copied, err := copyAcross(ctx, d, from, target, there, true)
		if err != nil {
			return err
		}
		return source.RemoveCopied(ctx, at, copied)
	}
	_, err = source.Move(ctx, at, there, storage.MoveOptions{Parents: true})
	return err
}

// copy copies an entry to another path.
func (s *server) copy(ctx context.Context, d *storage.Drive, from, to []api.Name) error {
	source, at, err := d.Through(ctx, from)
	if err != nil {
		return err
	}
	target, there, err := entryAt(ctx, d, to)
	if err != nil {
		return err
	}
	if !source.Same(target) {
		_, err := copyAcross(ctx, d, from, target, there, false)
		return err
	}
	_, err = source.Copy(ctx, at, there, storage.CopyOptions{MoveOptions: storage.MoveOptions{Parents: true}})
	return err
}

// copyAcross stores what is at a path of d, and below it, in another drive, and tells what it
// copied. Where all must be, nothing is if there is what can't be.
func copyAcross(ctx context.Context, d *storage.Drive, from []api.Name, target *storage.Drive, there []api.Name, all bool) (copied map[api.ID]api.ID, err error) {
	source, at, err := d.Through(ctx, from)
	if err != nil {
		return nil, err
	}
	n, err := source.Lookup(ctx, at)
	if err != nil {
		return nil, err
	}
	t := vfsTarget{drive: source, path: at}
	if all {
		if err := t.copyable(ctx, from[len(from)-1], n); err != nil {
			return nil, err
		}
	}
	_, copied, err = t.copyOver(ctx, n, &vfsTarget{drive: target, path: there}, false)
	return copied, err
}
