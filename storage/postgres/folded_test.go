package postgres

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"satchel/api"
	"satchel/storage/postgres/pgtest"
)

// TestNamesLikeIsBounded: a look for a name in other case and form of Unicode reads few of the names in its directory, and none for a user who may not see them.
func TestNamesLikeIsBounded(t *testing.T) {
	const each = 300
	p := newSearched(t, pgtest.New(t))
	var batch []api.Mutation
	for i := range each {
		for _, name := range []string{"foto %d.jpg", "Bild %d.JPG", "Été %d", "Отчёт %d", "stra\u00dfe %d", "raw \xfc %d"} {
			batch = append(batch, api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: p.drive.Root, Name: api.Name(fmt.Sprintf(name, i)), Attr: &api.Attr{Type: api.Directory}, Time: 1})
		}
	}
	for part := range slices.Chunk(batch, api.MaxBatch) {
		if err := p.db.As(t.Context(), p.user, p.commit(func(int) []api.Mutation { return part })); err != nil {
			t.Fatal(err)
		}
	}
	look := func(user api.ID, name api.Name) (found []api.Name, read int64) {
		t.Helper()
		if err := p.db.AsReadOnly(t.Context(), user, func(ctx context.Context, tx *Tx) error {
			looked := func() (n int64, err error) {
				err = tx.conn.QueryRow(ctx, `SELECT coalesce(sum(idx_tup_fetch + seq_tup_read), 0)::bigint FROM pg_stat_xact_user_tables WHERE relname = 'entries'`).Scan(&n)
				return n, err
			}
			before, err := looked()
			if err != nil {
				return err
			}
			if err := tx.NamesLike(ctx, p.drive.ID, p.drive.Root, name, func(n api.Name) { found = append(found, n) }); err != nil {
				return err
			}
			read, err = looked()
			read -= before
			return err
		}); err != nil {
			t.Fatalf("%q: %v", string(name), err)
		}
		return found, read
	}
	for name, want := range map[api.Name][]api.Name{
		"FOTO 7.jpg": {"foto 7.jpg"}, "bild 7.jpg": {"Bild 7.JPG"}, "BILD 7.JPG": {"Bild 7.JPG"}, "ÉTÉ 7": {"Été 7"}, "e\u0301te\u0301 7": {"Été 7"},
		"ОТЧЁТ 7": {"Отчёт 7"}, "STRASSE 7": {"stra\u00dfe 7"}, "Stra\u1e9ee 7": {"stra\u00dfe 7"}, "RAW \xfc 7": {"raw \xfc 7"}, "é": nil, "missing": nil, "Été": nil,
	} {
		found, read := look(p.user, name)
		if !slices.Equal(found, want) {
			t.Errorf("%q may be %q, not %q", string(name), found, want)
		}
		if read > int64(len(want))+1 {
			t.Errorf("%q took %d look-ups of %d names", string(name), read, len(batch))
		}
		if found, read := look(api.NewID(), name); len(found) > 0 || read > 0 {
			t.Errorf("a stranger is told of %q", found)
		}
	}
}
