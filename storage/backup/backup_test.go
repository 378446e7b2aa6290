package backup_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/migrations"
	"satchel/storage/backup"
	"satchel/storage/blob"
	"satchel/storage/blob/local"
	"satchel/storage/postgres"
	"satchel/storage/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var quiet = slog.New(slog.DiscardHandler)

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func execute(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := conn.Exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// save makes a backup of rows.
func save(t *testing.T, db pgtest.Database) []byte {
	t.Helper()
	rows, err := postgres.OpenBackup(t.Context(), db.Owner)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var b bytes.Buffer
	if _, err := backup.Save(t.Context(), backup.Source{Rows: rows}, &b, backup.Options{}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// restore brings it back.
func restore(t *testing.T, saved []byte, db pgtest.Database) error {
	t.Helper()
	rows, err := postgres.BeginRestore(t.Context(), db.Owner, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	blobs, err := local.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, err = backup.Restore(t.Context(), bytes.NewReader(saved), backup.Target{Rows: rows, Blobs: blobs}, backup.Options{})
	return err
}

const aliceAndHerDrive = `
	INSERT INTO satchel.users (id, email, role, password_hash) VALUES ('00000000-0000-0000-0000-00000000000a', 'alice@example.org', 'editor', 'x');
	BEGIN;
	INSERT INTO satchel.drives (id, owner, name, root, seq) VALUES ('00000000-0000-0000-0000-0000000000d1', '00000000-0000-0000-0000-00000000000a', 'home', '00000000-0000-0000-0000-0000000000d2', 7);
	INSERT INTO satchel.nodes (drive, id, owner, size, mtime, ctime, btime, rev, uid, gid, mode, nlink, type)
	VALUES ('00000000-0000-0000-0000-0000000000d1', '00000000-0000-0000-0000-0000000000d2', '00000000-0000-0000-0000-00000000000a', 0, 0, 0, 0, 1, -1, -1, 493, 2, 'd');
	INSERT INTO satchel.versions (drive, id, owner, document, node, size, sha256, manifest, time)
	VALUES ('00000000-0000-0000-0000-0000000000d1', gen_random_uuid(), '00000000-0000-0000-0000-00000000000a', gen_random_uuid(), gen_random_uuid(), 42, sha256(''), '', 0);
	COMMIT;`

// A backup of an older release is what a migration would have made of it.
func TestOlderSchemaIsMigrated(t *testing.T) {
	old := pgtest.New(t)
	rebuild, err := migrations.BeginRebuild(t.Context(), old.Owner, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer rebuild.Close()
	for _, step := range []func() error{
		func() error { return rebuild.Clear(t.Context()) },
		func() error { return rebuild.UpTo(t.Context(), 4) }, // 5 counts what is stored
		func() error { return rebuild.Commit(t.Context()) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	execute(t, connect(t, old.Admin), aliceAndHerDrive)

	now := pgtest.New(t)
	if err := restore(t, save(t, old), now); err != nil {
		t.Fatal(err)
	}
	var stored, since int64
	var forced bool
	err = connect(t, now.Admin).QueryRow(t.Context(), `
		SELECT stored, since, (SELECT bool_and(relforcerowsecurity) FROM pg_class WHERE relname IN ('users', 'nodes', 'past_nodes'))
		FROM satchel.drives`).Scan(&stored, &since, &forced)
	if err != nil || stored != 42 || since != 7 || !forced {
		t.Errorf("after the migration: %d bytes stored, since %d, row-level security forced: %v, %v", stored, since, forced, err)
	}
	if err := migrations.Up(t.Context(), now.Owner, quiet); err != nil { // nothing is left to do
		t.Error(err)
	}
}

// A restore begins a new epoch of each drive, and keeps which it had, each with the last change that is of its past, from whatever release the backup is.
func TestRestoreKeepsFormerEpochs(t *testing.T) {
	from := pgtest.New(t)
	execute(t, connect(t, from.Admin), aliceAndHerDrive)
	var want []string
	for i := range 3 {
		var epoch, former string
		conn := connect(t, from.Admin)
		err := conn.QueryRow(t.Context(), `
			SELECT d.epoch, (SELECT coalesce(string_agg(concat(f.epoch, ' ', f.seq), ', ' ORDER BY f.seq), '') FROM jsonb_to_recordset(d.former) f (epoch uuid, seq bigint))
			FROM satchel.drives d`).Scan(&epoch, &former)
		if err != nil {
			t.Fatal(err)
		}
		if former != strings.Join(want, ", ") {
			t.Errorf("after %d restores the former epochs are %s, not %q", i, former, want)
		}
		want = append(want, fmt.Sprint(epoch, " ", 7+i))
		saved := save(t, from)
		conn.Close(t.Context())
		from = pgtest.New(t)
		if err := restore(t, saved, from); err != nil {
			t.Fatal(err)
		}
		execute(t, connect(t, from.Admin), `UPDATE satchel.drives SET seq = seq + 1`)
	}
}

// A backup of a newer release is refused.
func TestNewerSchemaIsRefused(t *testing.T) {
	newer, now := pgtest.New(t), pgtest.New(t)
	execute(t, connect(t, newer.Admin), aliceAndHerDrive,
		`INSERT INTO satchel.goose_db_version (version_id, is_applied) VALUES (99999, true)`)
	err := restore(t, save(t, newer), now)
	if api.KindOf(err) != api.Invalid || !strings.Contains(err.Error(), "99999") {
		t.Errorf("a backup of a newer release: %v", err)
	}
}

// What a migration of a later release adds is backed up, whether or not its
// author thought of backups.
func TestEveryTableIsSaved(t *testing.T) {
	db := pgtest.New(t)
	conn := connect(t, db.Admin)
	execute(t, conn, aliceAndHerDrive, `SET ROLE satchel_owner`,
		`CREATE TABLE satchel.a_later_one (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, owner uuid NOT NULL REFERENCES satchel.users, note text)`,
		`ALTER TABLE satchel.a_later_one ENABLE ROW LEVEL SECURITY`, `ALTER TABLE satchel.a_later_one FORCE ROW LEVEL SECURITY`, `RESET ROLE`,
		`INSERT INTO satchel.a_later_one (owner, note) SELECT id, 'kept' FROM satchel.users`)
	if err := migrations.Up(t.Context(), db.Owner, quiet); err != nil { // as the start of a server does
		t.Fatal(err)
	}
	saved := save(t, db)
	report, err := backup.Check(bytes.NewReader(saved), backup.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var all int64
	rows, _ := conn.Query(t.Context(), `SELECT relname::text FROM pg_class WHERE relnamespace = 'satchel'::regnamespace AND relkind = 'r' AND relname NOT IN ('goose_db_version', 'installation')`)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		var n int64
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM satchel.`+pgx.Identifier{table}.Sanitize()).Scan(&n); err != nil {
			t.Fatal(err)
		}
		all += n
	}
	if report.Rows != all || all < 4 {
		t.Errorf("%d of %d rows were saved", report.Rows, all)
	}
}

// mute is a store that does not answer.
type mute struct{ blob.Store }

func (mute) List(context.Context) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) { yield(blob.Info{}, api.Errorf(api.Unavailable, "not now")) }
}

func (mute) Get(context.Context, string, int64, int64) (io.ReadCloser, error) {
	return nil, api.Errorf(api.Unavailable, "not now")
}

// Rows are saved although the store of content does not answer; content is not.
func TestStoreThatCannotBeAsked(t *testing.T) {
	db := pgtest.New(t)
	rows, err := postgres.OpenBackup(t.Context(), db.Owner)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	store, err := local.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r, err := backup.SaveTo(t.Context(), backup.Source{Rows: rows, Blobs: mute{}, RowsOnly: true}, store, backup.Options{})
	if err != nil {
		t.Errorf("rows were not saved: %+v, %v", r, err)
	}
	if _, err := backup.SaveTo(t.Context(), backup.Source{Rows: rows, Blobs: mute{}}, store, backup.Options{}); api.KindOf(err) != api.Unavailable {
		t.Errorf("content was saved, too: %v", err)
	}
	if names, err := backup.Names(t.Context(), store); err != nil || len(names) != 1 {
		t.Errorf("the store has %v, %v", names, err)
	}
}
