package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/migrations"
)

// earlier makes a site's database what an earlier release left.
func (s *site) earlier(version int64) {
	s.t.Helper()
	owner, err := migrations.As(s.admin, migrations.Owner)
	if err != nil {
		s.t.Fatal(err)
	}
	s.must("migrate") // the roles
	r, err := migrations.BeginRebuild(s.t.Context(), owner, slog.New(slog.DiscardHandler))
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	if err := errors.Join(r.Clear(s.t.Context()), r.UpTo(s.t.Context(), version), r.Commit(s.t.Context())); err != nil {
		s.t.Fatal(err)
	}
}

// version is that of the schema, 0 for none.
func (s *site) version() (v int) {
	s.t.Helper()
	var there bool
	if s.one(`SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = 'satchel' AND tablename = 'goose_db_version')`, &there); there {
		s.one(`SELECT max(version_id) FROM satchel.goose_db_version`, &v)
	}
	return v
}

// TestCommandsMigrateNothing: between the installation of a new release and the restart of the servers, no command changes the schema
// under these; a backup is of what is there, and the way back to it.
func TestCommandsMigrateNothing(t *testing.T) {
	const before = 36
	s := newSite(t, "here", "")
	s.earlier(before)
	for _, command := range []string{"user list", "user add a@example.org --password-stdin", "user disable a@example.org", "keys list", "bans", "gc", "fsck", "blobs claim"} {
		if code, _, errs := satcheld(t, "pw", append(strings.Fields(command), s.flags...)...); code != 1 || !strings.Contains(errs, fmt.Sprintf("of an earlier release (version %d,", before)) || !strings.Contains(errs, "satcheld migrate") {
			t.Errorf("satcheld %s: exit code %d, %q", command, code, errs)
		}
	}
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.Mkdir(s.data, 0o711); err != nil { // as its server has
		t.Fatal(err)
	}
	s.must("backup", backup)
	s.must("psql-url")
	if v := s.version(); v != before {
		t.Fatalf("a command migrated the database to %d", v)
	}
	restored := newSite(t, "restored", "")
	restored.must("restore", backup)
	restored.must("user", "list")

	s.must("migrate")
	s.must("user", "add", "a@example.org", "--password-stdin")
	_, stop := s.serve()
	if code := stop(); code != 0 {
		t.Errorf("serve ended with %d", code)
	}
	if v := s.version(); v != restored.version() || v <= before {
		t.Errorf("migrated to %d; the restored one to %d", v, restored.version())
	}

	var one int
	s.one(`INSERT INTO satchel.goose_db_version (version_id, is_applied) VALUES (99999, true) RETURNING 1`, &one)
	for _, command := range []string{"user list", "backup " + backup, "psql-url", "gc", "migrate", "serve --listen 127.0.0.1:0"} {
		if code, _, errs := s.run(strings.Fields(command)...); code != 1 || !strings.Contains(errs, "version 99999") || !strings.Contains(errs, "use the newer satcheld") {
			t.Errorf("satcheld %s on a later release's database: exit code %d, %q", command, code, errs)
		}
	}
}

// TestAnEmptyDatabaseIsNoInstallation: what works on an installation makes none in a database that was given, as a mistyped URL names; who
// makes accounts does, also beside the first start of a server.
func TestAnEmptyDatabaseIsNoInstallation(t *testing.T) {
	s := newSite(t, "new", "")
	for _, command := range []string{"user list", "gc", "fsck", "backup " + filepath.Join(t.TempDir(), "b"), "psql-url", "bans"} {
		if code, _, errs := s.run(strings.Fields(command)...); code != 1 || !strings.Contains(errs, "there is no installation in this database") {
			t.Errorf("satcheld %s: exit code %d, %q", command, code, errs)
		}
	}
	if v := s.version(); v != 0 {
		t.Fatalf("a command made the schema %d", v)
	}
	added := make(chan string, 1)
	go func() {
		code, _, errs := satcheld(t, "pw", append([]string{"user", "add", "a@example.org", "--password-stdin"}, s.flags...)...)
		added <- fmt.Sprint(code, errs)
	}()
	_, stop := s.serve()
	if said := <-added; !strings.HasPrefix(said, "0") {
		t.Errorf("user add at the first start: %s", said)
	}
	if list := s.must("user", "list"); !strings.Contains(list, "a@example.org") {
		t.Errorf("the accounts are %s", list)
	}
	if code := stop(); code != 0 {
		t.Errorf("serve ended with %d", code)
	}
}
