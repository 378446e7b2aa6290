package backup_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/storage/backup"
	"satchel/storage/blob"
	"satchel/storage/blob/local"
	"satchel/storage/fault"
	"satchel/storage/postgres"
	"satchel/storage/postgres/pgtest"
)

// open is a store of files.
func open(t *testing.T) blob.Store {
	t.Helper()
	s, err := local.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s blob.Store, key string, b []byte) {
	t.Helper()
	if err := s.Put(t.Context(), key, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
}

// packed gives alice some packs.
func packed(t *testing.T, conn *pgx.Conn) blob.Store {
	t.Helper()
	s := open(t)
	for i := range 3 {
		data := bytes.Repeat([]byte{byte(i)}, 10_000)
		var p chunk.PackWriter
		if err := p.Add(api.Hash(sha256.Sum256(data)), data); err != nil {
			t.Fatal(err)
		}
		id := api.NewID().String()
		put(t, s, id, p.Bytes())
		execute(t, conn, fmt.Sprintf(`INSERT INTO satchel.packs (owner, id, bytes) VALUES ('00000000-0000-0000-0000-00000000000a', '%s', %d)`, id, p.Size()))
	}
	return s
}

// A backup whose connection ends after its rows, as by a restart of PostgreSQL, has no locks any more: it ends there, and leaves what is
// in the store to whoever has them now.
func TestBackupLosesItsLocks(t *testing.T) {
	db := pgtest.New(t)
	conn := connect(t, db.Admin)
	execute(t, conn, aliceAndHerDrive)
	content, to := packed(t, conn), open(t)
	at := func(step fault.Step, do func(), work func(backup.Source) error) error {
		t.Helper()
		rows, err := postgres.OpenBackup(t.Context(), db.Owner)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		defer fault.Arm(func(s fault.Step) {
			if s == step {
				do()
			}
		})()
		return work(backup.Source{Rows: rows, Blobs: content})
	}
	restart := func() {
		execute(t, conn, `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'satcheld backup' AND datname = current_database()`)
	}
	nothing := func() {}
	saveTo := func(src backup.Source) error {
		_, err := backup.SaveTo(t.Context(), src, to, backup.Options{})
		return err
	}
	save := func(src backup.Source) error {
		_, err := backup.Save(t.Context(), src, io.Discard, backup.Options{})
		return err
	}
	names := func(want int) []string {
		t.Helper()
		names, err := backup.Names(t.Context(), to)
		if err != nil || len(names) != want {
			t.Fatalf("the store has the backups %v, %v", names, err)
		}
		return names
	}

	for _, step := range []fault.Step{fault.RowsSaved, fault.PackSaved} {
		if err := at(step, restart, save); api.KindOf(err) != api.Unavailable {
			t.Errorf("a file whose backup lost its locks at %s: %v", step, err)
		}
	}
	for _, step := range []fault.Step{fault.PackSaved, fault.BackupWhole} {
		if err := at(step, restart, saveTo); api.KindOf(err) != api.Unavailable {
			t.Errorf("a backup that lost its locks at %s: %v", step, err)
		}
		names(0)
	}

	// The next one is on its way when this one would remove what is old.
	const next = "rows-01900000-0000-7000-8000-0000000000aa"
	err := at(fault.BackupWhole, nothing, func(src backup.Source) error {
		if err := saveTo(src); err != nil {
			t.Fatal(err)
		}
		restart()
		put(t, to, next, []byte("rows"))
		_, err := backup.Prune(t.Context(), src.Rows, to, 1, quiet)
		return err
	})
	body, there := to.Get(t.Context(), next, 0, -1)
	if api.KindOf(err) != api.Unavailable || there != nil {
		t.Fatalf("without its locks it removed what the next one brought: %v, %v", err, there)
	}
	body.Close()

	// What has lost its rows all the same has no name.
	gone := func() {
		for info, err := range to.List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if len(info.Key) > 5 && info.Key[:5] == "rows-" {
				if err := to.Delete(t.Context(), info.Key); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := at(fault.BackupWhole, gone, saveTo); api.KindOf(err) != api.NotFound {
		t.Errorf("a backup without its rows: %v", err)
	}
	names(1)

	if err := at(fault.BackupWhole, nothing, saveTo); err != nil {
		t.Fatal(err)
	}
	if r, err := backup.CheckIn(t.Context(), to, names(2)[1], backup.Options{}); err != nil || !r.Whole() {
		t.Errorf("a backup with its locks: %+v, %v", r, err)
	}
}
