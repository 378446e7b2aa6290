package postgres

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// notBackedUp are tables that a restored database fills by itself: what it
// has of migrations, which installation it is, the objects of the postgres: store
// (which are content), and what garbage collection knows of another cluster's
// transactions and another store's objects.
var notBackedUp = []string{"goose_db_version", "installation", "blobs", "blob_parts", "condemned", "discarded_packs", "thumbnails"}

// Backup reads all rows of all users, as they are at one moment, and keeps the
// objects that they name from being deleted. No request can: it is a connection
// of its own, as satchel_backup, which only satchel_owner may become. It is not
// safe for concurrent use, but for Held.
type Backup struct {
	mu   sync.Mutex // of conn in Held
	conn *pgx.Conn
}

// Table is a table and those of its columns that have values of their own.
type Table struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
}

// copySettings make text mean the same to whoever writes and reads it.
var copySettings = map[string]string{
	"DateStyle": "ISO", "IntervalStyle": "postgres", "TimeZone": "UTC", "extra_float_digits": "3", "client_encoding": "UTF8",
	"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0",
}

// OpenBackup connects at the URL of satchel_owner, or of a role that may
// become it, and acts as satchel_backup.
func OpenBackup(ctx context.Context, ownerURL string) (*Backup, error) {
	config, err := lasting(ownerURL, "satcheld backup")
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, classify(fmt.Errorf("connect to the database: %w", err))
	}
	registerTypes(conn.TypeMap())
	statements := []string{`SET ROLE satchel_backup`, `SET search_path = satchel, pg_temp`, bounds,
		`SET tcp_user_timeout = 0`} // where rows go may be slow to take them, as a tape that is changed
	for name, value := range copySettings {
		statements = append(statements, fmt.Sprintf(`SET %s = '%s'`, name, value))
	}
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			conn.Close(context.WithoutCancel(ctx))
			return nil, classify(fmt.Errorf("%s: %w", statement, err))
		}
	}
	return &Backup{conn: conn}, nil
}

// Close ends the connection, and lets go of the objects.
func (b *Backup) Close() { b.conn.Close(context.Background()) }

// TryHold keeps garbage collection from deleting objects, and other backups
// from being made, until Close. It does not wait: false tells that one of these
// is at work. It may then be called again.
func (b *Backup) TryHold(ctx context.Context) (ok bool, err error) {
	// As a CASE, the second lock is not taken without the first.
	err = b.conn.QueryRow(ctx, `
		SELECT CASE WHEN pg_try_advisory_lock(`+backupLock+`) THEN
			CASE WHEN pg_try_advisory_lock_shared(`+keeperLock+`) THEN true ELSE NOT pg_advisory_unlock(`+backupLock+`) END
		ELSE false END`).Scan(&ok)
	return ok, classify(err)
}

// Held is an error when the connection is broken, [api.Unavailable]: the locks of TryHold, which live as long as it, may be others' by then,
// so it is asked before each thing that they are for, and at the end. Several may ask at once, while nothing else is done.
func (b *Backup) Held(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.conn.Ping(ctx)
	if err != nil && ctx.Err() == nil {
		err = api.Errorf(api.Unavailable, "the connection to the database broke, and with it the locks that keep garbage collection and other backups away: make the backup again: %w", err)
	}
	return err
}

// Snapshot is the database at one moment.
type Snapshot struct {
	Schema int64      // the version of the last migration
	Tables []Table    // each after those that it refers to
	Packs  []KeptPack // that the rows name
	tx     pgx.Tx
}

// Snapshot runs fn with the database as it is now; it does not hold up anyone.
func (b *Backup) Snapshot(ctx context.Context, fn func(*Snapshot) error) error {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return classify(pgx.BeginTxFunc(ctx, b.conn, options, func(tx pgx.Tx) error {
		s := &Snapshot{tx: tx}
		err := tx.QueryRow(ctx, `SELECT max(version_id) FROM goose_db_version WHERE is_applied`).Scan(&s.Schema)
		if err != nil {
			return fmt.Errorf("read the database's version: %w", err)
		}
		if s.Tables, err = tables(ctx, tx); err != nil {
			return fmt.Errorf("look for the tables: %w", err)
		}
		rows, _ := tx.Query(ctx, `SELECT id, bytes FROM packs ORDER BY id`)
		if s.Packs, err = pgx.CollectRows(rows, pgx.RowToStructByPos[KeptPack]); err != nil {
			return fmt.Errorf("list the packs: %w", err)
		}
		return fn(s)
	}))
}

// Copy writes a table's rows in COPY's text format and tells how many there are.
func (s *Snapshot) Copy(ctx context.Context, w io.Writer, t Table) (int64, error) {
	tag, err := s.tx.Conn().PgConn().CopyTo(ctx, w, `COPY `+t.columns()+` TO STDOUT`)
	if err != nil {
		return 0, fmt.Errorf("copy the table %s: %w", t.Name, err)
	}
	return tag.RowsAffected(), nil
}

// columns is the table and its columns as COPY wants them.
func (t Table) columns() string {
	var names []string
	for _, c := range t.Columns {
		names = append(names, pgx.Identifier{c}.Sanitize())
	}
	return pgx.Identifier{"satchel", t.Name}.Sanitize() + ` (` + strings.Join(names, ", ") + `)`
}

// tables lists the tables to back up, each after those that its foreign keys
// refer to. Keys that may be deferred need no order.
func tables(ctx context.Context, tx pgx.Tx) ([]Table, error) {
	rows, _ := tx.Query(ctx, `
		SELECT c.relname, array(
			SELECT a.attname::text FROM pg_attribute a
			WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum)
		FROM pg_class c
		WHERE c.relnamespace = 'satchel'::regnamespace AND c.relkind = 'r' AND c.relname <> ALL ($1)
		ORDER BY c.relname`, notBackedUp)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Table])
	if err != nil {
		return nil, err
	}
	needs := map[string][]string{}
	rows, _ = tx.Query(ctx, `
		SELECT c.relname, f.relname
		FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class f ON f.oid = k.confrelid
		WHERE k.contype = 'f' AND NOT k.condeferrable AND c.relnamespace = 'satchel'::regnamespace AND f.oid <> c.oid`)
	var table, needed string
	if _, err := pgx.ForEachRow(rows, []any{&table, &needed}, func() error {
		needs[table] = append(needs[table], needed)
		return nil
	}); err != nil {
		return nil, err
	}
	return inOrder(all, needs)
}

// inOrder sorts tables so that each comes after those that it needs.
func inOrder(all []Table, needs map[string][]string) ([]Table, error) {
	waiting := func(t Table, left []Table) bool {
		return slices.ContainsFunc(left, func(o Table) bool { return slices.Contains(needs[t.Name], o.Name) })
	}
	var sorted []Table
	for left := all; len(left) > 0; {
		i := slices.IndexFunc(left, func(t Table) bool { return !waiting(t, left) })
		if i < 0 {
			return nil, fmt.Errorf("the tables %v refer to each other in a circle", left)
		}
		sorted = append(sorted, left[i])
		left = slices.Delete(slices.Clone(left), i, i+1)
	}
	return sorted, nil
}
