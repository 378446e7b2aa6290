package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/text/unicode/norm"

	"satchel/api"
	"satchel/storage/postgres/pgtest"
	"satchel/storage/postgres/populate"
)

// newSearched makes a user with an empty drive.
func newSearched(t *testing.T, database pgtest.Database) *planned {
	t.Helper()
	p := &planned{admin: database.Admin, user: api.NewID(), by: Author{Device: api.NewID(), Incarnation: api.NewID()}}
	admin, err := pgx.Connect(t.Context(), database.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.WithoutCancel(t.Context()))
	if _, err := admin.Exec(t.Context(), `INSERT INTO satchel.users (id, email, role, password_hash) VALUES ($1::uuid, 'anna@example.org', 'editor', 'x')`, p.user.String()); err != nil {
		t.Fatal(err)
	}
	if p.db, err = Open(t.Context(), database.App); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.db.Close)
	if err := p.db.As(t.Context(), p.user, func(ctx context.Context, tx *Tx) (err error) {
		if err := tx.EnsureHome(ctx); err != nil {
			return err
		}
		p.drive, err = tx.Home(ctx)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestSearchIsBounded: a word that all files have costs no more look-ups in a larger drive, and in a folder no more than it has files;
// and what is in a folder is found there, whatever the rest of the drive has.
func TestSearchIsBounded(t *testing.T) {
	const nodes, wide, ranked, limit = 14_000, 2000, 10_000, 100
	p := newSearched(t, pgtest.New(t))
	nowhere := func(context.Context, api.ID, []byte) error { return nil }
	made, err := populate.Drive(t.Context(), p.admin, p.drive.ID, populate.Shape{Nodes: nodes, Wide: wide, Store: nowhere})
	if err != nil {
		t.Fatal(err)
	}
	all, thousand, one := populate.Words(made.Files / 2)
	_, _, inWide := populate.Words(wide / 2)
	const small = 96 // files in a directory that has no others below it
	for _, c := range []struct {
		top         api.Name // of the root's directories, and below; "" for all
		words, part string
		found       int
		most        int64 // look-ups of nodes and entries
	}{
		{"", one, "", 1, 20},
		{"", thousand, "", limit, 3000},
		{"", all, "", limit, 2*ranked + 1000},
		{"", "", "file-", limit, nodes + 1000},
		{"top/dir-20", all, "", small, 4 * small},
		{"top/dir-20", one, "", 0, 3 * small},
		{"top/dir-20", "", "file-0", 9, 3 * small},
		{"top/dir-20", all, "file-", small, 6 * small},
		{"wide", inWide, "", 1, 20},
		{"wide", one, "", 0, 20},
		{"wide", all, "", limit, 2*wide + 1000},
		{"top", one, "", 1, 20},
		{"top", thousand, "", limit, 3000},
	} {
		if err := p.db.AsReadOnly(t.Context(), p.user, func(ctx context.Context, tx *Tx) error {
			top := p.drive.Root
			if c.top != "" {
				var path []api.Name
				for _, name := range strings.Split(string(c.top), "/") {
					path = append(path, api.Name(name))
				}
				found, err := tx.Walk(ctx, p.drive.ID, top, path)
				if err != nil || len(found) != len(path) {
					return fmt.Errorf("%s: %d, %w", c.top, len(found), err)
				}
				top = found[len(path)-1].ID
			}
			looked := func() (n int64, err error) {
				err = tx.conn.QueryRow(ctx, `
					SELECT coalesce(sum(idx_tup_fetch + seq_tup_read), 0)::bigint FROM pg_stat_xact_user_tables WHERE relname IN ('nodes', 'entries')`).Scan(&n)
				return n, err
			}
			before, err := looked()
			if err != nil {
				return err
			}
			found, err := tx.Search(ctx, p.drive.ID, top, c.words, c.part, limit)
			if err != nil {
				return err
			}
			if len(found) != c.found {
				t.Errorf("%q or a name with %q is found %d times in %q, not %d", c.words, c.part, len(found), c.top, c.found)
			}
			read, err := looked()
			if read -= before; read < int64(c.found) || read > c.most {
				t.Errorf("%q or a name with %q in %q took %d look-ups; at most %d were expected", c.words, c.part, c.top, read, c.most)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSearchSpelled: a part of a name is found in whatever case and form of Unicode it is written, whatever the database's locale.
func TestSearchSpelled(t *testing.T) {
	for _, locale := range []string{"C.UTF-8", "C"} {
		t.Run(locale, func(t *testing.T) {
			p := newSearched(t, pgtest.Localized(t, locale))
			names := []string{
				"Übersicht.pdf", norm.NFD.String("über das Wasser"), "uber alles", "Жук и жаба", "ΟΔΟΣ", "straße", "STRAẞE", "strasse",
				norm.NFC.String("Tiếng Việt"), norm.NFD.String("tiếng việt 2"), "tiê\u0301ng viê\u0323t 3", norm.NFD.String("한국어"),
				"100%_a\\b.*(é)[x]", "100 é", "Kelvin.txt", string(api.Name("raw \xfc").Escape()),
			}
			if err := p.db.As(t.Context(), p.user, p.commit(func(int) []api.Mutation {
				batch := make([]api.Mutation, len(names))
				for i, name := range names {
					batch[i] = api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: p.drive.Root, Name: api.Unescape(name), Attr: &api.Attr{Type: api.Directory}, Time: 1}
				}
				return batch
			})); err != nil {
				t.Fatal(err)
			}
			for part, want := range map[string][]int{
				"Übersicht": {0}, "übersicht": {0}, "ÜBERSICHT.PDF": {0}, norm.NFD.String("Über"): {0, 1}, "über": {0, 1}, "uber": {2}, "UBER": {2},
				"жук": {3}, "ЖАБА": {3}, "ж": {3}, "оз": {}, "οδος": {4}, "ΟΔΟς": {4}, "straße": {5, 6}, "STRASSE": {7},
				"tiếng": {8, 9, 10}, norm.NFD.String("VIỆT"): {8, 9, 10}, "한국": {11}, "é": {12, 13}, "É)[X]": {12}, "%_a\\b.*(é)": {12}, "0% é": {}, "100": {12, 13},
				"%_": {12}, "%": {12}, "kelvin": {14}, "\u212aelvin": {14}, "\u00e9\u00e9": {}, strings.Repeat("é", 255): {}, strings.Repeat("é", 500): {},
			} {
				var found []Found
				if err := p.db.AsReadOnly(t.Context(), p.user, func(ctx context.Context, tx *Tx) (err error) {
					found, err = tx.Search(ctx, p.drive.ID, p.drive.Root, "", part, 100)
					return err
				}); err != nil {
					t.Fatalf("%q: %v", part, err)
				}
				got := []int{}
				for _, f := range found {
					got = append(got, slices.Index(names, f.Path.Escape()))
				}
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("%q is found in %v, not in %v", part, got, want)
				}
			}
		})
	}
}
