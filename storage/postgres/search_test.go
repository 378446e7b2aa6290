package postgres

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/storage/postgres/pgtest"
	"satchel/storage/postgres/populate"
)

// TestSearchIsBounded: a word that all files have costs no more look-ups in a larger drive.
func TestSearchIsBounded(t *testing.T) {
	const nodes, ranked = 14_000, 10_000
	database := pgtest.New(t)
	admin, err := pgx.Connect(t.Context(), database.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.WithoutCancel(t.Context()))
	user := api.NewID()
	if _, err := admin.Exec(t.Context(), `INSERT INTO satchel.users (id, email, role, password_hash) VALUES ($1::uuid, 'anna@example.org', 'editor', 'x')`, user.String()); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), database.App)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	var drive Drive
	if err := db.As(t.Context(), user, func(ctx context.Context, tx *Tx) (err error) {
		if err := tx.EnsureHome(ctx); err != nil {
			return err
		}
		drive, err = tx.Home(ctx)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	nowhere := func(context.Context, api.ID, []byte) error { return nil }
	made, err := populate.Drive(t.Context(), database.Admin, drive.ID, populate.Shape{Nodes: nodes, Wide: 2000, Store: nowhere})
	if err != nil {
		t.Fatal(err)
	}
	all, thousand, one := populate.Words(made.Files / 2)
	for _, c := range []struct {
		words string
		found int
		most  int64 // look-ups of nodes
	}{
		{one, 1, 10},
		{thousand, 1000, 2100},
		{all, 1000, ranked + 1100},
	} {
		if err := db.AsReadOnly(t.Context(), user, func(ctx context.Context, tx *Tx) error {
			looked := func(ctx context.Context) (n int64, err error) {
				err = tx.conn.QueryRow(ctx, `SELECT coalesce(sum(idx_tup_fetch), 0)::bigint FROM pg_stat_xact_user_tables WHERE relname = 'nodes'`).Scan(&n)
				return n, err
			}
			before, err := looked(ctx)
			if err != nil {
				return err
			}
			found, err := tx.Search(ctx, drive.ID, drive.Root, c.words, "", 1000)
			if err != nil {
				return err
			}
			if len(found) != c.found {
				t.Errorf("%s is found in %d files, not %d", c.words, len(found), c.found)
			}
			read, err := looked(ctx)
			if read -= before; read < int64(c.found) || read > c.most {
				t.Errorf("%s took %d look-ups of nodes; at most %d were expected", c.words, read, c.most)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}
