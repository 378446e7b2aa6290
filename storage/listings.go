package storage

import (
	"context"

	"satchel/api"
	"satchel/storage/postgres"
)

// Listings is the first pages of at most [api.MaxListings] directories, as [Drive.Mirrored] gives each, from one snapshot. All of them
// together have at most limit entries ([api.MaxPage] if it is not positive, or more): when the answer has as many, the last page may be cut,
// and the directories behind it are missing. More directories are [api.TooLarge].
func (d *Drive) Listings(ctx context.Context, dirs []api.ID, limit int) (all []api.Listed, err error) {
	if len(dirs) > api.MaxListings {
		return nil, api.Errorf(api.TooLarge, "%d directories were asked for; at most %d may be at once", len(dirs), api.MaxListings)
	}
	if limit <= 0 {
		limit = api.MaxPage
	}
	limit = min(limit, api.MaxPage)
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		drive, err := tx.Drive(ctx, d.id)
		if err != nil {
			return err
		}
		found, err := tx.Dirs(ctx, d.id, dirs)
		if err != nil {
			return err
		}
		hidden, err := d.hidden(ctx, tx, dirs, api.PermList|api.PermRead)
		if err != nil {
			return err
		}
		all = make([]api.Listed, 0, len(dirs))
		var heads []postgres.Head
		var places []int // of the heads in the answer
		for left := limit; left > 0 && len(all) < len(dirs); {
			dir, i := found[dirs[len(all)]], len(all)
			all = append(all, api.Listed{Listing: api.Listing{State: api.State{Epoch: drive.Epoch, Seq: drive.Seq}}})
			switch {
			case dir.Node.Nlink == 0:
				all[i].Problem = api.NotFound
			case dir.Node.Type != api.Directory:
				all[i].Problem = api.NotDirectory
			case hidden[dirs[i]]:
				all[i].Problem = api.Permission
			default:
				heads, places = append(heads, postgres.Head{Dir: dirs[i], Most: left + 1}), append(places, i)
				left -= int(min(dir.Entries, int64(left)))
			}
		}
		tx.Last()
		children, err := tx.FirstChildren(ctx, d.id, heads)
		if err != nil {
			return err
		}
		for k, i := range places {
			all[i].Listing = page(drive, found[dirs[i]].Node, children[k], heads[k].Most-1)
		}
		return nil
	})
	return all, err
}

// hidden is those of some directories on which a guest holds none of some permissions.
func (d *Drive) hidden(ctx context.Context, tx *postgres.Tx, dirs []api.ID, anyOf api.Permissions) (map[api.ID]bool, error) {
	if d.own() {
		return nil, nil
	}
	needs := make([]postgres.Need, len(dirs))
	for i, dir := range dirs {
		needs[i] = postgres.Need{Node: dir, AnyOf: anyOf}
	}
	held, err := tx.Holds(ctx, d.id, needs)
	hidden := map[api.ID]bool{}
	for i, h := range held {
		hidden[dirs[i]] = !h
	}
	return hidden, err
}
