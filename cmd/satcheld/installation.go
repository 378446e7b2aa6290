package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"satchel/api"
	"satchel/api/auth"
	"satchel/migrations"
	"satchel/storage/blob"
	"satchel/storage/blob/local"
	"satchel/storage/blob/pg"
	"satchel/storage/blob/s3"
	"satchel/storage/private"
)

// installation is where a server keeps everything: the flags of all commands.
type installation struct {
	Data           string `setting:"" default:"${data}" placeholder:"DIR" help:"Where the server keeps its data (${data})."`
	DatabaseURL    string `setting:"" placeholder:"URL" help:"Use this PostgreSQL database, not a private one under --data."`
	AppDatabaseURL string `setting:"" placeholder:"URL" help:"Serve requests over this log-in, as satchel_app: one that can't become another role, as that of --database-url can."`
	Blobs          string `setting:"" placeholder:"STORE" help:"Where content is kept: file:DIR (file:DATA/blobs), s3://BUCKET/PREFIX?endpoint=URL&region=NAME, or postgres: (in the database)."`
	KeyFile        string `setting:"" placeholder:"FILE" help:"The key that seals secrets in the database; servers of one database share it (DATA/key)."`
}

// defaultData is where data belongs on this system.
func defaultData() string {
	if os.Getuid() == 0 {
		return "/var/lib/satchel"
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "satcheld")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "share", "satcheld")
	}
	return "satcheld-data"
}

// check finds wrong usage before anything is made.
func (in *installation) check() error {
	if in.AppDatabaseURL != "" && in.DatabaseURL == "" {
		return usageError{"--app-database-url goes with --database-url"}
	}
	if _, err := in.blobStore(); err != nil {
		return err
	}
	if in.Data == "" {
		return usageError{"--data is empty: say which directory is to keep the server's data"}
	}
	data, err := filepath.Abs(in.Data)
	in.Data = data
	return err
}

// openBlobs opens the store of --blobs. What it returns beside closes it.
type openBlobs func(context.Context, *database, *slog.Logger) (blob.Store, func(), error)

// blobsDir is the directory that --blobs names, if it does.
func (in *installation) blobsDir() (dir string, ok bool) {
	if in.Blobs == "" {
		return filepath.Join(in.Data, "blobs"), true
	}
	dir, ok = strings.CutPrefix(in.Blobs, "file:")
	return dir, ok && dir != ""
}

// blobStore understands --blobs.
func (in *installation) blobStore() (openBlobs, error) {
	if dir, ok := in.blobsDir(); ok {
		dir, err := filepath.Abs(dir)
		return openFiles(dir), err
	}
	switch {
	case strings.HasPrefix(in.Blobs, "s3:"):
		location, err := s3.Parse(in.Blobs)
		if err != nil {
			return nil, usageError{fmt.Sprintf("--blobs %s: %v", in.Blobs, err)}
		}
		return func(ctx context.Context, _ *database, log *slog.Logger) (blob.Store, func(), error) {
			s, err := s3.Open(ctx, location, log)
			return s, func() {}, err
		}, nil
	case in.Blobs == inDatabase:
		return func(ctx context.Context, db *database, _ *slog.Logger) (blob.Store, func(), error) {
			s, err := pg.Open(ctx, db.app)
			if err != nil {
				return nil, nil, err
			}
			return s, s.Close, nil
		}, nil
	}
	return nil, usageError{fmt.Sprintf("--blobs %s: there is no such store: use file:DIR, s3://BUCKET/PREFIX?endpoint=URL&region=NAME or postgres:", in.Blobs)}
}

func openFiles(dir string) openBlobs {
	return func(context.Context, *database, *slog.Logger) (blob.Store, func(), error) {
		s, err := local.Open(dir)
		return s, func() {}, err
	}
}

// makeData makes the data directory. Started by root, other users may pass
// through it, as the private PostgreSQL's user must.
func (in *installation) makeData() error {
	mode := fs.FileMode(0o700)
	if os.Getuid() == 0 {
		mode = 0o711
	}
	if st, err := os.Stat(in.Data); err == nil && !st.IsDir() {
		return api.Errorf(api.Invalid, "--data %s is not a directory", in.Data)
	}
	if err := os.MkdirAll(filepath.Dir(in.Data), 0o755); err != nil {
		return fmt.Errorf("make the data directory (choose another with --data): %w", err)
	}
	if err := os.Mkdir(in.Data, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the data directory (choose another with --data): %w", err)
	}
	return nil
}

func (in *installation) sealingKey() (auth.SealingKey, error) {
	return auth.LoadSealingKey(in.keyPath())
}

func (in *installation) keyPath() string {
	if in.KeyFile != "" {
		return in.KeyFile
	}
	return filepath.Join(in.Data, "key")
}

// database is an open way to the database.
type database struct {
	owner  string          // URL that acts as satchel_owner
	app    string          // URL that acts as satchel_app
	server *private.Server // nil with --database-url
}

// close ends the private PostgreSQL if this process runs it.
func (db *database) close() {
	if db.server != nil {
		db.server.Stop()
	}
}

// databaseName is the private PostgreSQL's one database.
const databaseName = "satchel"

// openDatabase opens the database of an installation that there is, and of this program's version. A mistyped --data shall not make
// a new one, whose check would be a success, and nothing but an upgrade shall migrate one: servers of the
// version before may work with it, and there is no way back to them.
func (p *program) openDatabase(ctx context.Context) (*database, error) {
	return p.openExisting(ctx, migrations.Check)
}

// openAsItIs also opens one of an earlier release, for what only reads: a backup before an upgrade is of what is there.
func (p *program) openAsItIs(ctx context.Context) (*database, error) {
	return p.openExisting(ctx, migrations.CheckReadable)
}

// openOrMakeDatabase is openDatabase, but where there is no installation it makes one.
func (p *program) openOrMakeDatabase(ctx context.Context) (*database, error) {
	db, err := p.openDatabase(ctx)
	if api.KindOf(err) == api.NotFound {
		return p.migrateDatabase(ctx, true)
	}
	return db, err
}

func (p *program) openExisting(ctx context.Context, check func(ctx context.Context, url string) error) (*database, error) {
	if err := p.exists(); err != nil {
		return nil, err
	}
	db, _, err := p.reach(ctx, true)
	if err != nil {
		return nil, err
	}
	if err := check(ctx, cmp.Or(p.DatabaseURL, db.owner)); err != nil {
		db.close()
		return nil, err
	}
	return db, nil
}

// exists refuses a data directory in which nobody has made an installation.
func (p *program) exists() error {
	if err := p.check(); err != nil {
		return err
	}
	if p.DatabaseURL == "" {
		if _, err := os.Stat(p.postgresDir()); errors.Is(err, fs.ErrNotExist) {
			return api.Errorf(api.NotFound, "there is no installation at %s: check --data (or SATCHELD_DATA)", p.Data)
		}
	}
	return nil
}

// postgresDir is where the private PostgreSQL is.
func (in *installation) postgresDir() string { return filepath.Join(in.Data, "postgres") }

// migrateDatabase makes the database ready for this version of the program, and the
// installation if there is none.
func (p *program) migrateDatabase(ctx context.Context, shared bool) (_ *database, err error) {
	db, admin, err := p.reach(ctx, shared)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			db.close()
		}
	}()
	if db.server != nil {
		if err := migrations.CreateDatabase(ctx, db.server.URL(private.Superuser, "postgres"), databaseName); err != nil {
			return nil, err
		}
	}
	if err := migrations.Prepare(ctx, admin); err != nil {
		return nil, err
	}
	return db, migrations.Up(ctx, db.owner, p.log)
}

// reach finds the ways to the database, and admin's, who may make roles. The private PostgreSQL is run by this process; a command that
// need not own it (shared) uses a running server's.
func (p *program) reach(ctx context.Context, shared bool) (db *database, admin string, err error) {
	if err := p.check(); err != nil {
		return nil, "", err
	}
	if p.DatabaseURL != "" {
		db, err := p.given()
		return db, p.DatabaseURL, err
	}
	if err := p.makeData(); err != nil {
		return nil, "", err
	}
	start := private.Start
	if shared {
		start = private.Attach
	}
	server, err := start(ctx, private.Config{Dir: p.postgresDir(), Log: p.log})
	if err != nil {
		return nil, "", err
	}
	return &database{
		owner:  server.URL(migrations.Owner, databaseName),
		app:    server.URL(migrations.App, databaseName),
		server: server,
	}, server.URL(private.Superuser, databaseName), nil
}

// given is the ways to the database of --database-url.
func (p *program) given() (*database, error) {
	owner, err := migrations.As(p.DatabaseURL, migrations.Owner)
	if err != nil {
		return nil, err
	}
	app := p.AppDatabaseURL
	if app == "" {
		app, err = migrations.As(p.DatabaseURL, migrations.App)
	}
	return &database{owner: owner, app: app}, err
}
