// Package pgtest gives tests databases of a real private PostgreSQL. It does
// not import package postgres, so that package's own tests may use it.
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
//	func TestX(t *testing.T) { db := pgtest.New(t); … db.App … }
package pgtest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"satchel/integration/require"
	"satchel/migrations"
	"satchel/storage/private"
)

// Database is an empty, migrated database.
type Database struct {
	App   string // URL for satchel_app: what a server uses
	Owner string // URL for satchel_owner
	Admin string // URL for the cluster's superuser
}

const template = "template_satchel"

var shared struct {
	once   sync.Once
	server *private.Server
	err    error
	dir    string
	number atomic.Int64
}

// Main runs a package's tests and ends the PostgreSQL that they used, if any.
// Goroutines that the tests left make them fail.
func Main(m *testing.M) { require.Main(m, stop) }

func stop() {
	if shared.server != nil {
		shared.server.Stop()
	}
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
}

// Start runs the package's PostgreSQL, if it does not run yet, and returns it.
func Start(t testing.TB) *private.Server {
	t.Helper()
	shared.once.Do(func() { shared.err = start() })
	if shared.err != nil {
		t.Fatalf("no PostgreSQL for tests: %v", shared.err)
	}
	return shared.server
}

// New makes a database for one test. Its cost is a copy of a template.
func New(t testing.TB) Database {
	t.Helper()
	s := Start(t)
	name := fmt.Sprintf("test_%d", shared.number.Add(1))
	exec(t, s, "CREATE DATABASE "+name+" TEMPLATE "+template)
	t.Cleanup(func() { exec(t, s, "DROP DATABASE "+name+" WITH (FORCE)") })
	return Database{App: s.URL(migrations.App, name), Owner: s.URL(migrations.Owner, name), Admin: s.URL(private.Superuser, name)}
}

// Localized is New with a database of another locale than the template's, as an operator's own may be.
func Localized(t testing.TB, locale string) Database {
	t.Helper()
	s := Start(t)
	name := fmt.Sprintf("localized_%d", shared.number.Add(1))
	exec(t, s, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING UTF8 LOCALE '"+locale+"'")
	t.Cleanup(func() { exec(t, s, "DROP DATABASE "+name+" WITH (FORCE)") })
	d := Database{App: s.URL(migrations.App, name), Owner: s.URL(migrations.Owner, name), Admin: s.URL(private.Superuser, name)}
	if err := migrations.Prepare(t.Context(), d.Admin); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Up(t.Context(), d.Owner, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return d
}

// Rented makes an empty database, without our roles' schema, and returns its URL
// for a role that may make neither roles nor schemas, as a hosting service gives it.
func Rented(t testing.TB) string {
	t.Helper()
	s := Start(t)
	name := fmt.Sprintf("rented_%d", shared.number.Add(1))
	exec(t, s, "CREATE ROLE "+name+" LOGIN")
	exec(t, s, "CREATE DATABASE "+name)
	t.Cleanup(func() {
		exec(t, s, "DROP DATABASE "+name+" WITH (FORCE)")
		exec(t, s, "DROP ROLE "+name)
	})
	// pg_ident.conf does not name it, so the superuser becomes it.
	url, err := migrations.As(s.URL(private.Superuser, name), name)
	if err != nil {
		t.Fatal(err)
	}
	return url
}

func exec(t testing.TB, s *private.Server, statement string) {
	t.Helper()
	ctx := context.Background() // also in clean-up, when the test's is cancelled
	conn, err := pgx.Connect(ctx, s.URL(private.Superuser, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func start() (err error) {
	ctx := context.Background()
	if shared.dir, err = os.MkdirTemp("", "satchel-pgtest-"); err != nil {
		return err
	}
	// The user postgres, as which it runs when we are root, must get through.
	if err = os.Chmod(shared.dir, 0o711); err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	shared.server, err = private.Start(ctx, private.Config{
		Dir: filepath.Join(shared.dir, "pg"), Log: log,
		// Tests survive no crash of the machine, so nothing need reach the disk.
		Settings: map[string]string{"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "64MB"},
	})
	if err != nil {
		return err
	}
	if err = migrations.CreateDatabase(ctx, shared.server.URL(private.Superuser, "postgres"), template); err != nil {
		return err
	}
	if err = migrations.Prepare(ctx, shared.server.URL(private.Superuser, template)); err != nil {
		return err
	}
	return migrations.Up(ctx, shared.server.URL(migrations.Owner, template), log)
}
