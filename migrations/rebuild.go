package migrations

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"satchel/api"
)

// Rebuild makes the schema anew, at the version of a backup and then at the
// program's own, in one transaction: until Commit nobody sees anything of it,
// and if the process dies nothing happened. It is not safe for concurrent use.
type Rebuild struct {
	conn *stdlib.Conn
	tx   pgx.Tx
	log  *slog.Logger
}

// BeginRebuild connects with satchel_owner's rights and begins the
// transaction. The caller calls Close.
func BeginRebuild(ctx context.Context, ownerURL string, log *slog.Logger) (*Rebuild, error) {
	config, err := pgx.ParseConfig(ownerURL)
	if err != nil {
		return nil, api.Errorf(api.Invalid, "the database URL: %w", err)
	}
	config.RuntimeParams["application_name"] = "satcheld restore"
	config.RuntimeParams["idle_in_transaction_session_timeout"] = "0" // content is copied within it
	config.DefaultQueryExecMode = pgx.QueryExecModeExec               // a prepared plan would name tables that were dropped
	c, err := stdlib.GetConnector(*config).Connect(ctx)
	if err != nil {
		return nil, api.Errorf(api.Unavailable, "connect to the database: %w", err)
	}
	r := &Rebuild{conn: c.(*stdlib.Conn), log: log}
	if r.tx, err = r.conn.Conn().Begin(ctx); err != nil {
		r.conn.Close()
		return nil, fmt.Errorf("begin: %w", err)
	}
	return r, nil
}

// Tx is the transaction, as satchel_owner.
func (r *Rebuild) Tx() pgx.Tx { return r.tx }

// Clear drops everything in the schema, which stays: its owner need not be
// allowed to make one.
func (r *Rebuild) Clear(ctx context.Context) error {
	for _, kind := range []struct{ what, names string }{
		{"TABLE", `SELECT oid::regclass::text FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p') ORDER BY 1`},
		{"VIEW", `SELECT oid::regclass::text FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind = 'v' ORDER BY 1`},
		{"ROUTINE", `SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = $1::regnamespace ORDER BY 1`},
		{"SEQUENCE", `SELECT oid::regclass::text FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind = 'S' ORDER BY 1`},
		{"TYPE", `SELECT oid::regtype::text FROM pg_type WHERE typnamespace = $1::regnamespace AND typtype IN ('e', 'd') ORDER BY 1`},
	} {
		rows, _ := r.tx.Query(ctx, kind.names, Schema)
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return fmt.Errorf("look for what is to be dropped: %w", err)
		}
		for _, name := range names {
			// The catalogue quoted the names. What went with another one is gone already.
			if _, err := r.tx.Exec(ctx, "DROP "+kind.what+" IF EXISTS "+name+" CASCADE"); err != nil {
				return fmt.Errorf("drop %s: %w", name, err)
			}
		}
	}
	return nil
}

// UpTo applies the files that were not applied yet, up to a version. One that
// this program does not know is [api.Invalid].
func (r *Rebuild) UpTo(ctx context.Context, version int64) error {
	return r.migrate(ctx, func(p *goose.Provider) error {
		sources := p.ListSources()
		if newest := sources[len(sources)-1].Version; version > newest {
			return api.Errorf(api.Invalid, "the database in the backup has version %d, this program knows %d: use the newer satcheld", version, newest)
		}
		_, err := p.UpTo(ctx, version)
		return err
	})
}

// Up applies all files that were not applied yet.
func (r *Rebuild) Up(ctx context.Context) error {
	return r.migrate(ctx, func(p *goose.Provider) error {
		_, err := p.Up(ctx)
		return err
	})
}

func (r *Rebuild) migrate(ctx context.Context, fn func(*goose.Provider) error) error {
	db := sql.OpenDB(within{r.conn})
	db.SetMaxOpenConns(1)
	defer db.Close()
	// No locker: other servers wait for the tables that this transaction holds.
	p, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true), goose.WithSlog(r.log))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	if err := fn(p); err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	return grantBackup(ctx, db)
}

// Commit makes all of it real.
func (r *Rebuild) Commit(ctx context.Context) error { return r.tx.Commit(ctx) }

// Close ends the connection; without a Commit before it nothing happened.
func (r *Rebuild) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = r.tx.Rollback(ctx) // waits, so that who comes next finds the tables and locks free
	r.conn.Close()
}

// within makes database/sql work inside a transaction that is open already:
// the one connection's transactions are savepoints of it.
type within struct{ conn *stdlib.Conn }

func (w within) Connect(context.Context) (driver.Conn, error) { return nested{w.conn}, nil }

func (w within) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

type nested struct{ *stdlib.Conn }

// Close leaves the connection to its owner.
func (nested) Close() error { return nil }

// ResetSession does not mind the open transaction.
func (nested) ResetSession(context.Context) error { return nil }

func (n nested) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	if _, err := n.Conn.Conn().Exec(ctx, "SAVEPOINT nested"); err != nil {
		return nil, err
	}
	return savepoint{ctx, n.Conn.Conn()}, nil
}

type savepoint struct {
	ctx  context.Context
	conn *pgx.Conn
}

func (s savepoint) Commit() error {
	_, err := s.conn.Exec(s.ctx, "RELEASE SAVEPOINT nested")
	return err
}

func (s savepoint) Rollback() error {
	_, err := s.conn.Exec(s.ctx, "ROLLBACK TO SAVEPOINT nested")
	return err
}
