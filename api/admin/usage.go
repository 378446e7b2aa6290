package admin

import (
	"context"
	"slices"
	"strings"
	"time"

	"satchel/api"
	"satchel/storage/postgres"
)

// DayUse is one day of the past (UTC).
type DayUse struct {
	Day     string `json:"day"` // 2006-01-02
	Changes int64  `json:"changes"`
	Added   int64  `json:"added"`   // bytes of new versions
	Removed int64  `json:"removed"` // bytes of versions that were let go
	Stored  int64  `json:"stored"`  // bytes at the day's end, with history and trash
}

// KindUse is files of one kind, as they were counted last.
type KindUse struct {
	Kind  string `json:"kind"`
	Files int64  `json:"files"`
	Bytes int64  `json:"bytes"`
}

// MaxDays is as far back as figures go.
const MaxDays = 730

// Days is the last days up to today, without gaps, the oldest first: of one
// account's drive or of all, if owner is zero.
func (d *Desk) Days(ctx context.Context, days int, owner api.ID) ([]DayUse, error) {
	days = min(max(days, 1), MaxDays)
	today := time.Now().UTC().Truncate(24 * time.Hour)
	first := today.AddDate(0, 0, 1-days)
	var busy []postgres.Day
	stored := int64(0)
	err := d.read(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		stored = 0
		accounts, err := tx.Accounts(ctx)
		if err != nil {
			return err
		}
		for _, a := range accounts {
			if owner.IsZero() || a.ID == owner {
				stored += a.Stored
			}
		}
		busy, err = tx.Days(ctx, first, owner)
		return err
	})
	if err != nil {
		return nil, err
	}
	return fill(first, days, stored, busy), nil
}

// fill puts busy days among those on which nothing happened. What was stored
// follows from what is stored now, backwards.
func fill(first time.Time, days int, stored int64, busy []postgres.Day) []DayUse {
	all := make([]DayUse, days)
	at := map[string]postgres.Day{}
	for _, b := range busy {
		at[b.Day.UTC().Format(time.DateOnly)] = b
	}
	for i := days - 1; i >= 0; i-- {
		day := first.AddDate(0, 0, i).Format(time.DateOnly)
		b := at[day]
		all[i] = DayUse{Day: day, Changes: b.Changes, Added: b.Added, Removed: b.Removed, Stored: max(stored, 0)}
		stored -= b.Added - b.Removed
	}
	return all
}

// OtherKind is what files without a known extension are.
const OtherKind = "Other"

// Kinds is the files by kind, the most bytes first, and when they were counted:
// the zero time if never.
func (d *Desk) Kinds(ctx context.Context, owner api.ID) (kinds []KindUse, at time.Time, err error) {
	var use []postgres.ExtensionUse
	err = d.read(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		use, at, err = tx.Extensions(ctx, owner)
		return err
	})
	sums := map[string]*KindUse{}
	for _, u := range use {
		kind := d.office.Kinds[u.Extension]
		if kind == "" {
			kind = OtherKind
		}
		if sums[kind] == nil {
			sums[kind] = &KindUse{Kind: kind}
		}
		sums[kind].Files += u.Files
		sums[kind].Bytes += u.Bytes
	}
	kinds = make([]KindUse, 0, len(sums))
	for _, k := range sums {
		kinds = append(kinds, *k)
	}
	slices.SortFunc(kinds, func(a, b KindUse) int {
		if a.Bytes != b.Bytes {
			return int(min(max(b.Bytes-a.Bytes, -1), 1))
		}
		return strings.Compare(a.Kind, b.Kind)
	})
	return kinds, at, err
}

// ExtensionsOf lists the extensions of a kind of files; of an unknown one, none.
func (o *Office) ExtensionsOf(kind string) []string {
	var all []string
	for extension, k := range o.Kinds {
		if k == kind {
			all = append(all, extension)
		}
	}
	slices.Sort(all)
	return all
}
