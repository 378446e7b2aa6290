package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"satchel/api"
	"satchel/storage/blob"
	"satchel/storage/mirror"
	"satchel/storage/postgres"
)

// Names lists the backups in a blob store, the oldest first.
func Names(ctx context.Context, from blob.Store) ([]string, error) {
	var names []string
	for info, err := range from.List(ctx) {
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(info.Key, namePrefix) {
			names = append(names, info.Key)
		}
	}
	slices.Sort(names)
	return names, nil
}

// IsContent tells whether a store has packs and nothing of a backup: some
// installation keeps content there.
func IsContent(ctx context.Context, s blob.Store) (packs bool, err error) {
	for info, err := range s.List(ctx) {
		if err != nil {
			return false, err
		}
		if strings.HasPrefix(info.Key, namePrefix) || strings.HasPrefix(info.Key, rowsPrefix) {
			return false, nil
		}
		if _, err := api.ParseID(info.Key); err == nil {
			packs = true
		}
	}
	return packs, nil
}

// find reads what a backup in a store says of itself; "" means the newest. None
// of that name is [api.NotFound].
func find(ctx context.Context, from blob.Store, name string) (n named, found string, err error) {
	if name == "" {
		names, err := Names(ctx, from)
		if err != nil {
			return n, "", err
		}
		if len(names) == 0 {
			return n, "", api.Errorf(api.NotFound, "there is no backup in this store")
		}
		name = names[len(names)-1]
	}
	if !strings.HasPrefix(name, namePrefix) {
		return n, "", api.Errorf(api.NotFound, "%q is no backup's name", name)
	}
	r, err := from.Get(ctx, name, 0, -1)
	if err != nil {
		return n, "", fmt.Errorf("read the backup %s: %w", name, err)
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxNamed))
	if err != nil {
		return n, "", fmt.Errorf("read the backup %s: %w", name, err)
	}
	if err := json.Unmarshal(text, &n); err != nil || !strings.HasPrefix(n.Rows, rowsPrefix) {
		return n, "", api.Errorf(api.Invalid, "the object %s is not what Satchel writes", name)
	}
	return n, name, nil
}

// Describe tells of a backup in a store, as it says of itself.
func Describe(ctx context.Context, from blob.Store, name string) (Report, error) {
	n, name, err := find(ctx, from, name)
	return Report{Name: name, Header: n.Header, Summary: n.Summary, Size: n.Size}, err
}

// CheckIn reads a whole backup in a store, "" is the newest, and compares its hashes.
func CheckIn(ctx context.Context, from blob.Store, name string, o Options) (report Report, err error) {
	begin := time.Now()
	n, name, err := find(ctx, from, name)
	if err != nil {
		return report, err
	}
	body, err := from.Get(ctx, n.Rows, 0, -1)
	if err != nil {
		return report, err
	}
	report, err = Check(body, o)
	body.Close()
	if err != nil {
		return report, err
	}
	report.Name, report.Summary = name, n.Summary
	defer report.time(begin)
	for i, id := range n.PackList {
		o.progress("packs", int64(i), int64(len(n.PackList)))
		body, err := from.Get(ctx, id.String(), 0, -1)
		if api.KindOf(err) == api.NotFound {
			report.Missing = union(report.Missing, []api.ID{id})
			continue
		}
		if err != nil {
			return report, err
		}
		whole, err := mirror.DrainPack(body)
		body.Close()
		if err != nil {
			return report, err
		}
		if !whole {
			report.Damaged = union(report.Damaged, []api.ID{id})
		}
		report.Copied++
	}
	return report, nil
}

// Prune removes all backups in a store but the newest ones, and what none of
// those names: also what a backup left that was broken off. If none of the
// newest has all content whole, the newest that has stays too; rows alone are
// none. One that is to go, and can't be read, goes. Rows is the backup that was just
// made: as long as it has its locks, no other one of the installation is on its way into the store.
func Prune(ctx context.Context, rows *postgres.Backup, in blob.Store, keep int, log *slog.Logger) (removed int64, err error) {
	in = held{in, rows}
	names, err := Names(ctx, in)
	if err != nil {
		return 0, err
	}
	var old []string
	needed := map[string]bool{}
	whole := false // one of those that stay is, with content
	for i, name := range slices.Backward(names) {
		extra := i < len(names)-max(1, keep)
		if extra && whole {
			old = append(old, name)
			continue
		}
		n, _, err := find(ctx, in, name)
		if kind := api.KindOf(err); extra && (kind == api.NotFound || kind == api.Invalid) {
			log.Warn("an older backup can't be read, and is removed", "err", err)
			old = append(old, name)
			continue
		}
		if err != nil {
			return 0, err
		}
		all := n.Content == Beside && n.Whole()
		if extra && !all {
			old = append(old, name)
			continue
		}
		whole = whole || all
		needed[name], needed[n.Rows] = true, true
		for _, id := range n.PackList {
			needed[id.String()] = true
		}
	}
	for _, name := range old { // first, so that what is left of one is none
		if err := in.Delete(ctx, name); err != nil {
			return removed, err
		}
		removed++
	}
	sizes, err := list(ctx, in)
	if err != nil {
		return removed, err
	}
	for key := range sizes {
		_, noPack := api.ParseID(key)
		if needed[key] || noPack != nil && !strings.HasPrefix(key, rowsPrefix) { // what else is there is not ours
			continue
		}
		if err := in.Delete(ctx, key); err != nil {
			return removed, err
		}
	}
	return removed, nil
}
