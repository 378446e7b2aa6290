package postgres

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/migrations"
	"satchel/storage/blob"
	"satchel/storage/blob/pg"
)

// Restore fills a database with the rows of a backup, in one transaction:
// nobody sees anything of it before Commit, and nothing happened without. It is
// not safe for concurrent use.
type Restore struct {
	rebuild *migrations.Rebuild
	tx      pgx.Tx
	tables  []string // of the backup's version
	forced  []string // those whose row-level security binds their owner too

	installation Installation // whose database it is
}

// BeginRestore connects at the URL of satchel_owner, or of a role that may
// become it, and begins. The caller calls Close. While a server runs on the
// database, or garbage is being collected, it is [api.Unavailable].
func BeginRestore(ctx context.Context, ownerURL string, log *slog.Logger) (_ *Restore, err error) {
	rebuild, err := migrations.BeginRebuild(ctx, ownerURL, log)
	if err != nil {
		return nil, err
	}
	r := &Restore{rebuild: rebuild, tx: rebuild.Tx()}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	if err := r.alone(ctx); err != nil {
		return nil, err
	}
	if err := r.keep(ctx); err != nil {
		return nil, err
	}
	for name, value := range copySettings {
		if _, err := r.tx.Exec(ctx, fmt.Sprintf(`SET LOCAL %s = '%s'`, name, value)); err != nil {
			return nil, classify(err)
		}
	}
	return r, nil
}

// aloneWait is how long a process that was killed may seem to be there yet.
const aloneWait = 5 * time.Second

// alone makes sure that nobody else works on the database.
func (r *Restore) alone(ctx context.Context) error {
	const others = `SELECT CASE
		WHEN NOT pg_try_advisory_lock(` + servingLock + `) THEN 'a satcheld serves this database: stop every one of them first'
		WHEN NOT pg_try_advisory_lock(` + keeperLock + `)
			THEN 'another satcheld restores, checks or backs up this database, or collects garbage: try again when it has ended'
		ELSE '' END`
	for deadline := time.Now().Add(aloneWait); ; {
		var who string
		if err := r.tx.QueryRow(ctx, others).Scan(&who); err != nil {
			return classify(err)
		}
		if who == "" {
			return nil
		}
		if time.Now().After(deadline) {
			return api.Errorf(api.Unavailable, "%s", who)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(aloneWait / 20):
		}
	}
}

// Close ends the connection; without a Commit before it nothing happened.
func (r *Restore) Close() { r.rebuild.Close() }

// Empty tells whether the database, as it was before Begin, has neither users
// nor content. The accounts that every installation has, of the public and of the
// system, are no users.
func (r *Restore) Empty(ctx context.Context) (empty bool, err error) {
	// The owner sees no rows while row-level security is forced.
	if _, err := r.tx.Exec(ctx, `SET LOCAL ROLE satchel_backup`); err != nil {
		return false, classify(err)
	}
	err = r.tx.QueryRow(ctx, `
		SELECT NOT EXISTS (SELECT FROM satchel.users WHERE id NOT IN ('00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000001'))
		   AND NOT EXISTS (SELECT FROM satchel.packs)`).Scan(&empty)
	if err != nil {
		return false, classify(err)
	}
	_, err = r.tx.Exec(ctx, `SET LOCAL ROLE satchel_owner`)
	return empty, classify(err)
}

// Begin makes the schema what it was when the backup was made, without any
// rows. A version that this program does not know is [api.Invalid].
func (r *Restore) Begin(ctx context.Context, schema int64) error {
	if err := r.rebuild.Clear(ctx); err != nil {
		return classify(err)
	}
	if err := r.rebuild.UpTo(ctx, schema); err != nil {
		return classify(err)
	}
	var err error
	if r.tables, err = r.list(ctx); err != nil {
		return err
	}
	rows, _ := r.tx.Query(ctx, `
		SELECT relname::text FROM pg_class
		WHERE relnamespace = 'satchel'::regnamespace AND relname = ANY ($1) AND relforcerowsecurity`, r.tables)
	if r.forced, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return classify(err)
	}
	// What migrations put into the tables the backup has too. No trigger shall do
	// again what was done already; that of foreign keys stays. COPY can't be
	// used where row-level security binds.
	if err := r.each(ctx, r.tables, `TRUNCATE %s CASCADE`, `ALTER TABLE %s DISABLE TRIGGER USER`); err != nil {
		return err
	}
	if err := r.each(ctx, r.forced, `ALTER TABLE %s NO FORCE ROW LEVEL SECURITY`); err != nil {
		return err
	}
	_, err = r.tx.Exec(ctx, `SET CONSTRAINTS ALL DEFERRED`)
	return classify(err)
}

// list is the names of all tables but those of migrations and of which
// installation it is.
func (r *Restore) list(ctx context.Context) ([]string, error) {
	rows, _ := r.tx.Query(ctx, `
		SELECT relname::text FROM pg_class
		WHERE relnamespace = 'satchel'::regnamespace AND relkind = 'r' AND relname NOT IN ('goose_db_version', 'installation') ORDER BY 1`)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return names, classify(err)
}

// each runs statements on tables.
func (r *Restore) each(ctx context.Context, tables []string, statements ...string) error {
	for _, t := range tables {
		for _, s := range statements {
			if _, err := r.tx.Exec(ctx, fmt.Sprintf(s, pgx.Identifier{migrations.Schema, t}.Sanitize())); err != nil {
				return classify(fmt.Errorf("prepare the table %s: %w", t, err))
			}
		}
	}
	return nil
}

// Copy fills a table with rows in COPY's text format and tells how many there
// were. A table that there is not, and rows that do not fit, are [api.Invalid].
func (r *Restore) Copy(ctx context.Context, t Table, rows io.Reader) (int64, error) {
	if !slices.Contains(r.tables, t.Name) || slices.Contains(notBackedUp, t.Name) || len(t.Columns) == 0 {
		return 0, api.Errorf(api.Invalid, "the backup has rows of a table %q, which there is not", t.Name)
	}
	tag, err := r.tx.Conn().PgConn().CopyFrom(ctx, rows, `COPY `+t.columns()+` FROM STDIN`)
	if err != nil {
		return 0, classify(fmt.Errorf("fill the table %s: %w", t.Name, err))
	}
	return tag.RowsAffected(), nil
}

// Finish makes what was filled a database of this program's version, in
// which every drive has another epoch than ever before.
func (r *Restore) Finish(ctx context.Context) error {
	if _, err := r.tx.Exec(ctx, `SET CONSTRAINTS ALL IMMEDIATE`); err != nil {
		return classify(fmt.Errorf("check the rows: %w", err))
	}
	if err := r.sequences(ctx); err != nil {
		return err
	}
	if err := r.each(ctx, r.tables, `ALTER TABLE %s ENABLE TRIGGER USER`); err != nil {
		return err
	}
	if err := r.each(ctx, r.forced, `ALTER TABLE %s FORCE ROW LEVEL SECURITY`); err != nil {
		return err
	}
	if err := r.rebuild.Up(ctx); err != nil {
		return classify(err)
	}
	if err := r.identify(ctx); err != nil {
		return err
	}
	if err := r.asAuth(ctx); err != nil {
		return err
	}
	now, err := r.list(ctx) // migrations may have dropped some
	if err != nil {
		return err
	}
	return r.each(ctx, now, `ANALYZE %s`) // the first queries shall know how many rows there are
}

// asAuth gives every drive another epoch than it ever had, and writes into the audit log, which came with the backup, that it was restored.
func (r *Restore) asAuth(ctx context.Context) error {
	for _, statement := range []string{`SET LOCAL ROLE satchel_auth`,
		`UPDATE satchel.drives SET epoch = gen_random_uuid()`,
		`SELECT set_config('satchel.via', 'command', true)`,
		`SELECT satchel.record('installation restored', 'from a backup', '{}')`, `SET LOCAL ROLE satchel_owner`} {
		if _, err := r.tx.Exec(ctx, statement); err != nil {
			return classify(fmt.Errorf("begin new epochs, and note the restore: %w", err))
		}
	}
	return nil
}

// sequences lets numbers that columns take by themselves go on after the
// greatest.
func (r *Restore) sequences(ctx context.Context) error {
	rows, _ := r.tx.Query(ctx, `
		SELECT c.relname::text, a.attname::text, pg_get_serial_sequence(c.oid::regclass::text, a.attname)
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.relname = ANY ($1) AND c.relnamespace = 'satchel'::regnamespace
		  AND pg_get_serial_sequence(c.oid::regclass::text, a.attname) IS NOT NULL`, r.tables)
	type counter struct{ Table, Column, Sequence string }
	counters, err := pgx.CollectRows(rows, pgx.RowToStructByPos[counter])
	if err != nil {
		return classify(err)
	}
	for _, c := range counters {
		statement := fmt.Sprintf(`SELECT setval($1, coalesce(max(%s), 0) + 1, false) FROM %s`,
			pgx.Identifier{c.Column}.Sanitize(), pgx.Identifier{migrations.Schema, c.Table}.Sanitize())
		if _, err := r.tx.Exec(ctx, statement, c.Sequence); err != nil {
			return classify(fmt.Errorf("set the sequence of %s: %w", c.Table, err))
		}
	}
	return nil
}

// Packs lists the objects that the restored rows name. It is to be called
// after Finish.
func (r *Restore) Packs(ctx context.Context) ([]KeptPack, error) {
	if _, err := r.tx.Exec(ctx, `SET LOCAL ROLE satchel_backup`); err != nil {
		return nil, classify(err)
	}
	rows, _ := r.tx.Query(ctx, `SELECT id, bytes FROM satchel.packs ORDER BY id`)
	packs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[KeptPack])
	if err != nil {
		return nil, classify(err)
	}
	_, err = r.tx.Exec(ctx, `SET LOCAL ROLE satchel_owner`)
	return packs, classify(err)
}

// MarkLost takes the marks that came with the backup from packs whose content was found whole, and then marks the chunks of those that the
// store lacks, or has damaged. Of all others nobody knows more than the backup did. Nothing but Commit may be called after it.
func (r *Restore) MarkLost(ctx context.Context, found, lost []api.ID) error {
	return r.asKeeper(ctx, func() error {
		for _, step := range []struct {
			statement string
			packs     []api.ID
		}{
			{`UPDATE satchel.chunks SET lost = NULL WHERE lost IS NOT NULL AND pack = ANY ($1::uuid[])`, found},
			{`UPDATE satchel.packs SET damaged = false WHERE damaged AND id = ANY ($1::uuid[])`, found},
			{`UPDATE satchel.chunks SET lost = now() WHERE lost IS NULL AND pack = ANY ($1::uuid[])`, lost},
			{`UPDATE satchel.packs SET damaged = true WHERE NOT damaged AND id = ANY ($1::uuid[])`, lost},
		} {
			packs := nonNil(column(step.packs, func(p *api.ID) string { return p.String() }))
			if _, err := r.tx.Exec(ctx, step.statement, packs); err != nil {
				return fmt.Errorf("mark what is lost: %w", err)
			}
		}
		return nil
	})
}

// Commit makes all of it real.
func (r *Restore) Commit(ctx context.Context) error { return classify(r.rebuild.Commit(ctx)) }

// Objects is the postgres: store inside the transaction, for content. Nothing
// but MarkLost and Commit may be called after it.
func (r *Restore) Objects(ctx context.Context) (blob.Store, error) {
	if _, err := r.tx.Exec(ctx, `SET LOCAL ROLE satchel_auth`); err != nil {
		return nil, classify(err)
	}
	return pg.Within(r.tx), nil
}
