package storage

import (
	"context"

	"satchel/api"
	"satchel/storage/postgres"
	"satchel/storage/tree"
)

// maxEffects is how many names a dry restore tells.
const maxEffects = 100

// effects says what an amendment that was not written would do to names, in the order of its changes: to the first
// [maxEffects], and to how many.
func effects(ctx context.Context, tx *postgres.Tx, drive api.ID, a *amendment) (first []api.Effect, names int, err error) {
	type fate struct {
		from, to         tree.Key // where it is, and where it shall be; zero: nowhere
		content, changed bool
	}
	fates := map[api.ID]*fate{}
	var order []api.ID
	madeAt := map[api.ID]tree.Key{} // what comes back: its path is not in the database
	for _, c := range a.Diff().Changes {
		f := fates[c.Node]
		if f == nil {
			f = &fate{}
			fates[c.Node] = f
			order = append(order, c.Node)
		}
		switch c.Op {
		case api.OpCreate:
			f.to, madeAt[c.Node] = c.From, c.From
		case api.OpUnlink, api.OpRmdir:
			f.from = c.From
		case api.OpWrite:
			f.content = true
		default:
			f.changed = true
		}
	}
	var pathOf func(k tree.Key) (api.Name, error)
	pathOf = func(k tree.Key) (api.Name, error) {
		up, made := madeAt[k.Parent]
		if !made {
			return tx.PathOf(ctx, drive, k)
		}
		path, err := pathOf(up)
		return path + "/" + k.Name, err
	}
	for _, id := range order[:min(len(order), maxEffects)] {
		f, e := fates[id], api.Effect{}
		switch {
		case f.from != tree.Key{} && f.to != tree.Key{}:
			e.What = api.EffectMoved
		case f.to != tree.Key{}:
			e.What = api.EffectBack
		case f.from != tree.Key{}:
			e.What = api.EffectTrashed
		case f.content:
			e.What = api.EffectContent
		default:
			e.What = api.EffectAttributes
		}
		place := a.Place(id) // none: it is the root
		switch {
		case f.from != tree.Key{}:
			e.Path, err = tx.PathOf(ctx, drive, f.from)
		case f.to != tree.Key{}:
			e.Path, err = pathOf(f.to)
		case place != tree.Key{}:
			e.Path, err = tx.PathOf(ctx, drive, place)
		}
		if err == nil && e.What == api.EffectMoved {
			e.To, err = pathOf(f.to)
		}
		if err != nil {
			return nil, 0, err
		}
		first = append(first, e)
	}
	return first, len(order), nil
}
