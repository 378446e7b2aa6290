// Package migrations makes the database: its roles, and its schema by numbered
// SQL files that goose applies in order, each once and whole. No file has a
// way back: an older server refuses the database, and the backup from before has what it was.
//
// Five roles share the work. satchel_owner owns the schema and runs the
// files. satchel_app serves requests; it owns nothing, may become no other
// role, and row-level security binds it to the user set for the transaction.
// satchel_auth can't log in; it owns the few SECURITY DEFINER functions that
// must see more than one user's rows, and operators' commands act as it.
// satchel_keeper can't log in either; gc and fsck act as it, on all users' drives.
// satchel_backup, without a log-in too, reads everything and changes nothing.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"satchel/api"
)

//go:embed *.sql
var files embed.FS

// versionTable is where goose keeps what it has applied.
const (
	versionName  = "goose_db_version"
	versionTable = Schema + "." + versionName
)

// Up applies the files that were not applied yet, as the role of the URL,
// which must be satchel_owner or may become it. Several servers may call it at
// once: one works, the others wait, and so does [Check]. A schema newer than the program is
// [api.Invalid].
//
// Servers of the version before go on meanwhile. A file that changes a table waits for all
// transactions that use it, a backup's too, and whoever asks for the table then waits behind the file.
// So it waits for a short while only, is undone, and is tried again, for five minutes in all; after
// that it is [api.Unavailable].
func Up(ctx context.Context, ownerURL string, log *slog.Logger) error {
	db, err := open(ownerURL)
	if err != nil {
		return err
	}
	defer db.Close()
	p, err := provider(db, log)
	if err != nil {
		return err
	}
	current, known, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the database's version: %w", err)
	}
	if err := newer(current, known); err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err == nil {
		defer conn.Close()
		_, err = conn.ExecContext(ctx, `SELECT pg_advisory_lock_shared(`+migrating+`)`)
	}
	if err != nil {
		return fmt.Errorf("tell that the database is migrated: %w", err)
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock_shared(`+migrating+`)`)
	var results []*goose.MigrationResult
	_, err = backoff.Retry(ctx, func() (struct{}, error) {
		done, err := p.Up(ctx)
		if partial, ok := errors.AsType[*goose.PartialError](err); ok {
			done = partial.Applied
		}
		results = append(results, done...)
		if err == nil {
			err = grantBackup(ctx, db)
		}
		if !contended(err) {
			return struct{}{}, backoff.Permanent(err)
		}
		log.Warn("the database is in use: it is migrated when that is over", "err", err)
		return struct{}{}, err
	}, backoff.WithBackOff(backoff.NewConstantBackOff(lockPause)), backoff.WithMaxElapsedTime(patience))
	if contended(err) {
		return api.Errorf(api.Unavailable, "migrate the database, which others use (a backup?): %w", err)
	}
	if err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	var took time.Duration
	for _, r := range results {
		log.Debug("database migrated", "file", r.Source.Path, "took", r.Duration)
		took += r.Duration
	}
	if n := len(results); n > 0 {
		log.Info("database migrated", "migrations", n, "last", results[n-1].Source.Path, "took", took)
	}
	return nil
}

const (
	lockTimeout = 2 * time.Second // how long a file waits for a table, and others behind it
	lockPause   = 3 * time.Second // that they then have before it is tried again
	patience    = 5 * time.Minute // in all, and for another server that migrates
)

// contended tells whether others held what a file wanted to lock (55P03), or it was
// broken off for them (40P01).
func contended(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "55P03" || pg.Code == "40P01")
}

// open opens a database with satchel_owner's rights.
func open(ownerURL string) (*sql.DB, error) {
	c, err := pgx.ParseConfig(ownerURL)
	if err != nil {
		return nil, api.Errorf(api.Invalid, "the database URL: %w", err)
	}
	c.RuntimeParams["lock_timeout"] = lockTimeout.String()
	return stdlib.OpenDB(*c), nil
}

func provider(db *sql.DB, log *slog.Logger) (*goose.Provider, error) {
	// Tries every second: a long migration of another server may be under way.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, uint64(patience/time.Second)))
	if err != nil {
		return nil, err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithSessionLocker(locker), goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true), goose.WithSlog(log))
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	return p, nil
}
