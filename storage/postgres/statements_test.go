package postgres

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/storage/postgres/pgtest"
)

// whose tells who the transaction's user is and whether it may write, in one statement.
const whose = `SELECT current_setting('satchel.user_id', true), current_setting('transaction_read_only')`

// A transaction of one question is bound to its user, reads only, and leaves nothing of him to the next.
func TestLast(t *testing.T) {
	database := pgtest.New(t)
	db, err := Open(t.Context(), database.App+"&pool_max_conns=1")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	user := api.NewID()
	ask := func(ctx context.Context, tx *Tx) error {
		var who, readOnly string
		if err := tx.conn.QueryRow(ctx, whose).Scan(&who, &readOnly); err != nil {
			return err
		}
		if who != tx.user.String() && !(who == "" && tx.user.IsZero()) || readOnly != "on" {
			t.Errorf("asked as %q (read only: %s), not as %s", who, readOnly, tx.user)
		}
		return nil
	}
	batch := func(ctx context.Context, tx *Tx) error {
		var b pgx.Batch
		for range 2 {
			b.Queue(whose).QueryRow(func(row pgx.Row) error {
				var who, readOnly string
				err := row.Scan(&who, &readOnly)
				if err == nil && (who != user.String() || readOnly != "on") {
					t.Errorf("a batch was asked as %q (read only: %s)", who, readOnly)
				}
				return err
			})
		}
		return tx.conn.SendBatch(ctx, &b).Close()
	}
	for _, test := range []struct {
		what string
		user api.ID
		fn   func(context.Context, *Tx) error
		ok   bool
	}{
		{"nothing", user, func(context.Context, *Tx) error { return nil }, true},
		{"nothing that would be last", user, func(_ context.Context, tx *Tx) error { tx.Last(); return nil }, true},
		{"one question", user, func(ctx context.Context, tx *Tx) error { tx.Last(); return ask(ctx, tx) }, true},
		{"nobody's question", api.ID{}, func(ctx context.Context, tx *Tx) error { tx.Last(); return ask(ctx, tx) }, true},
		{"two questions", user, func(ctx context.Context, tx *Tx) error {
			if err := ask(ctx, tx); err != nil {
				return err
			}
			tx.Last()
			return ask(ctx, tx)
		}, true},
		{"a batch", user, func(ctx context.Context, tx *Tx) error { tx.Last(); return batch(ctx, tx) }, true},
		{"a question and a batch", user, func(ctx context.Context, tx *Tx) error {
			if err := ask(ctx, tx); err != nil {
				return err
			}
			tx.Last()
			return batch(ctx, tx)
		}, true},
		{"a question after the last", user, func(ctx context.Context, tx *Tx) error {
			tx.Last()
			if err := ask(ctx, tx); err != nil {
				t.Error(err)
			}
			return ask(ctx, tx)
		}, false},
		{"a batch after the last", user, func(ctx context.Context, tx *Tx) error {
			tx.Last()
			if err := ask(ctx, tx); err != nil {
				t.Error(err)
			}
			return batch(ctx, tx)
		}, false},
		{"a last one that writes", user, func(ctx context.Context, tx *Tx) error { tx.Last(); return tx.EnsureHome(ctx) }, false},
		{"a last one that is wrong", user, func(ctx context.Context, tx *Tx) error {
			tx.Last()
			_, err := tx.conn.Query(ctx, `SELECT nothing`)
			return err
		}, false},
		{"a row that is not read", user, func(ctx context.Context, tx *Tx) error {
			tx.Last()
			rows, err := tx.conn.Query(ctx, `SELECT generate_series(1, 3)`)
			rows.Close()
			return err
		}, true},
		{"a row that can't be read", user, func(ctx context.Context, tx *Tx) error {
			tx.Last()
			var n int
			return tx.conn.QueryRow(ctx, `SELECT 'text'`).Scan(&n)
		}, false},
	} {
		if err := db.AsReadOnly(t.Context(), test.user, test.fn); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.what, err)
		}
		// There is one connection, so it is the same, unless it was given up.
		var who string
		if err := db.pool.QueryRow(t.Context(), `SELECT coalesce(current_setting('satchel.user_id', true), '')`).Scan(&who); err != nil || who != "" {
			t.Errorf("after %s the user is %q: %v", test.what, who, err)
		}
	}
}

// What writes is not ended by its last statement, which its caller may still refuse.
func TestLastOfAWrite(t *testing.T) {
	database := pgtest.New(t)
	db, err := Open(t.Context(), database.App)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	user := api.NewID()
	admin, err := pgx.Connect(t.Context(), database.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	if _, err := admin.Exec(t.Context(), `INSERT INTO satchel.users (id, email, role, password_hash) VALUES ($1, 'a@example.org', 'editor', 'x')`, user.String()); err != nil {
		t.Fatal(err)
	}
	refused := api.Errorf(api.Conflict, "no")
	for _, answer := range []error{refused, nil} {
		err := db.As(t.Context(), user, func(ctx context.Context, tx *Tx) error {
			tx.Last()
			if err := tx.EnsureHome(ctx); err != nil {
				t.Error(err)
			}
			return answer
		})
		if err != answer {
			t.Fatalf("%v, not %v", err, answer)
		}
		err = db.AsReadOnly(t.Context(), user, func(ctx context.Context, tx *Tx) error {
			tx.Last()
			_, err := tx.Home(ctx)
			return err
		})
		if (err == nil) != (answer == nil) {
			t.Errorf("after %v the home is %v", answer, err)
		}
	}
}

// A connection that broke in the pool is noticed with the first statement, and the transaction is begun on another.
func TestBrokenInThePool(t *testing.T) {
	database := pgtest.New(t)
	db, err := Open(t.Context(), database.App+"&pool_max_conns=1")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	admin, err := pgx.Connect(t.Context(), database.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	for _, last := range []bool{false, true} {
		var gone int
		err := admin.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`).Scan(&gone)
		if err != nil || gone == 0 {
			t.Fatalf("%d connections were ended: %v", gone, err)
		}
		err = db.AsReadOnly(t.Context(), api.NewID(), func(ctx context.Context, tx *Tx) error {
			if last {
				tx.Last()
			}
			_, err := tx.Drives(ctx)
			return err
		})
		if err != nil {
			t.Errorf("last %v: %v", last, err)
		}
	}
}
