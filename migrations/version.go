package migrations

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"

	"satchel/api"
)

// Check makes sure that the database has this program's schema, and changes nothing; the URL is one
// that [Up] takes. It waits for a migration that is under way. Without a schema it is [api.NotFound], with that of an
// earlier release [api.Unavailable]: servers of that release may run, and it is not for a command that only looks to end the way back to them. That
// of a later release is [api.Invalid].
func Check(ctx context.Context, url string) error {
	return look(ctx, url, func(conn *pgx.Conn) error {
		if err := settled(ctx, conn); err != nil {
			return err
		}
		current, err := version(ctx, conn)
		if err == nil && current < newest {
			err = api.Errorf(api.Unavailable, "the database is of an earlier release (version %d, this program's is %d)\n"+
				"restart its servers with this release, or run satcheld migrate; until then, use the earlier satcheld", current, newest)
		}
		return err
	})
}

// CheckReadable makes sure that the database has a schema that this program knows: its own, or that of an
// earlier release. The errors are those of [Check].
func CheckReadable(ctx context.Context, url string) error {
	return look(ctx, url, func(conn *pgx.Conn) error {
		_, err := version(ctx, conn)
		return err
	})
}

// newest is the version of this program's schema.
var newest = func() (n int64) {
	all, err := files.ReadDir(".")
	if err != nil {
		panic(err)
	}
	for _, f := range all {
		v, err := goose.NumericComponent(f.Name())
		if err != nil {
			panic(err)
		}
		n = max(n, v)
	}
	return n
}()

func look(ctx context.Context, url string, fn func(*pgx.Conn) error) error {
	conn, err := connect(ctx, url)
	if sqlState(err) == "3D000" {
		return api.Errorf(api.NotFound, "there is no installation: %w", err)
	}
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return fn(conn)
}

// version reads the schema's version.
func version(ctx context.Context, conn *pgx.Conn) (current int64, err error) {
	var there bool
	err = conn.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2)`,
		Schema, versionName).Scan(&there)
	if err == nil && there {
		if _, err = conn.Exec(ctx, `SET ROLE `+Owner); err == nil {
			err = conn.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM `+versionTable+` WHERE is_applied`).Scan(&current)
		}
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("read the database's version: %w", err)
	case current == 0:
		return 0, api.Errorf(api.NotFound, "there is no installation in this database: satcheld serve, user add and restore make one")
	}
	return current, newer(current, newest)
}

// migrating is the advisory lock of which everybody who migrates the database has a share, from the first file to the last right.
const migrating = `hashtextextended('satchel.migrating', 0)`

// settled waits until nobody migrates the database. It looks again and again instead of waiting for the lock, since who wants to
// migrate would wait behind it.
func settled(ctx context.Context, conn *pgx.Conn) error {
	for deadline := time.Now().Add(patience); ; {
		var free bool
		err := conn.QueryRow(ctx, `SELECT CASE WHEN pg_try_advisory_lock(`+migrating+`) THEN pg_advisory_unlock(`+migrating+`) ELSE false END`).Scan(&free)
		switch {
		case err != nil:
			return fmt.Errorf("wait for a migration: %w", err)
		case free:
			return nil
		case time.Now().After(deadline):
			return api.Errorf(api.Unavailable, "the database has been migrated for %v, and still is: try again when its server has started", patience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// newer refuses a database that a later release has migrated: this program
// would write rows that the later one does not expect.
func newer(current, known int64) error {
	if current > known {
		return api.Errorf(api.Invalid, "the database has version %d, this program knows %d: use the newer satcheld", current, known)
	}
	return nil
}
