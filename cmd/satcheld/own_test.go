package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/migrations"
	"satchel/storage/blob"
	"satchel/storage/blob/local"
)

// fails expects a command to fail, and to say why.
func (s *site) fails(why string, args ...string) {
	s.t.Helper()
	if code, out, errs := s.run(args...); code != 1 || !strings.Contains(errs, why) {
		s.t.Errorf("satcheld %v: %d %s%s", args, code, out, errs)
	}
}

// inhabit gives a site an account with a file.
func (s *site) inhabit(email string) {
	s.t.Helper()
	s.must("user", "add", email, "--password-stdin")
	a, stop := s.serve()
	a.login(email, "pw")
	a.store("here", random(1<<20))
	stop()
}

// forget makes the database one that has marked no store, as that of an earlier release.
func (s *site) forget() {
	var id string
	s.one(`UPDATE satchel.installation SET marked = false RETURNING id::text`, &id)
}

// aged counts the packs in a directory of a store, and makes them so old that they are no upload under way.
func aged(t *testing.T, dir string) (n int) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "objects", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-48 * time.Hour)
	for _, path := range found {
		if _, err := api.ParseID(filepath.Base(path)); err == nil {
			n++
			if err := os.Chtimes(path, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	return n
}

// markOf is the file of the mark in a directory of a store.
func markOf(dir string) string {
	return filepath.Join(dir, "objects", blob.MarkKey[len(blob.MarkKey)-2:], blob.MarkKey)
}

// marked reads whose a directory of a store is.
func marked(t *testing.T, dir string) blob.Mark {
	t.Helper()
	store, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := blob.ReadMark(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// What another installation has is not served, checked, saved or, above all, collected; and a database that was
// lost comes back to its content by a backup, from which time on the former one keeps off.
func TestStoreOfAnother(t *testing.T) {
	const another = "the blob store of another installation"
	dir := filepath.Join(t.TempDir(), "blobs")
	former, _, stop := filled(t, "file:"+dir)
	stop()
	saved := filepath.Join(t.TempDir(), "saved")
	former.must("backup", saved, "--no-content", "--with-key")
	before := aged(t, dir)

	fresh := newSite(t, "fresh", "file:"+dir)
	keepsOff := func(why string) {
		t.Helper()
		for _, command := range []string{"serve --listen 127.0.0.1:0", "gc --grace 0s", "fsck", "backup " + filepath.Join(t.TempDir(), "none")} {
			fresh.fails(why, strings.Fields(command)...)
		}
		if after := aged(t, dir); after != before || before == 0 {
			t.Fatalf("of %d packs %d are left", before, after)
		}
	}
	keepsOff(another)
	fresh.fails(another, "restore", saved)
	fresh.fails("this database knows none of it", "blobs", "claim")
	former.must("fsck", "--deep") // all of which changed nothing for it

	// As one of an earlier release left it, to a database that knows of no other.
	if err := os.Remove(markOf(dir)); err != nil {
		t.Fatal(err)
	}
	keepsOff("this database knows none of it")
	former.forget()
	former.must("gc")
	keepsOff(another)

	fresh.must("restore", saved, "--claim")
	checkRestored(t, fresh)
	former.fails(another, "gc", "--grace", "0s")
	former.must("blobs", "claim") // who knows the content may have it
	former.must("fsck", "--deep")
	fresh.fails(another, "gc", "--grace", "0s")

	newcomer := newSite(t, "newcomer", "file:"+dir) // what is there is given up
	newcomer.must("migrate")
	newcomer.must("blobs", "claim", "--force")
	aged(t, dir)
	newcomer.must("gc", "--grace", "0s")
	if left := aged(t, dir); left != 0 {
		t.Errorf("%d packs that nobody has any more are left", left)
	}
}

// A server whose store is taken over while it runs ends, rather than take uploads that another one will remove.
func TestServerLosesItsStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	s := newSite(t, "from", "file:"+dir)
	s.inhabit("alice@example.org")
	owner, err := migrations.As(s.admin, migrations.Owner)
	if err != nil {
		t.Fatal(err)
	}
	store, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	u := &upkeep{ownerURL: owner, blobs: store, store: "file:" + dir, log: slog.New(slog.DiscardHandler)}
	lost := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		u.watch(ctx, time.Millisecond, func(err error) { lost <- err })
	}()
	defer func() { cancel(); <-ended }()
	other := newSite(t, "other", "file:"+dir)
	other.must("migrate")
	other.must("blobs", "claim", "--force")
	if err := <-lost; api.KindOf(err) != api.Exists {
		t.Errorf("the store was lost with %v", err)
	}
}

// A directory on which the disk is not mounted is not taken for the store.
func TestStoreWithoutItsMark(t *testing.T) {
	parent := t.TempDir()
	dir, away := filepath.Join(parent, "blobs"), filepath.Join(parent, "away")
	s, _, stop := filled(t, "file:"+dir)
	stop()
	saved := filepath.Join(parent, "saved")
	s.must("backup", saved)
	if err := os.Rename(dir, away); err != nil {
		t.Fatal(err)
	}
	refused := func(why string) {
		t.Helper()
		s.fails(why, "serve", "--listen", "127.0.0.1:0")
		s.fails(why, "gc", "--grace", "0s")
		s.fails(why, "fsck", "--repair")
		s.fails(why, "backup", filepath.Join(parent, "none"))
		s.fails("has nothing of the content", "blobs", "claim")
	}
	refused("has not the mark")
	s.fails("has not the mark", "restore", saved, "--replace")
	s.must("backup", filepath.Join(parent, "rows"), "--no-content") // which needs none of it
	s.forget()                                                      // and the first start of this release is no better
	refused("has nothing of the content")
	if _, err := os.Stat(markOf(dir)); err == nil {
		t.Error("an empty directory is marked")
	}
	s.must("restore", saved, "--replace", "--claim") // when the disk is lost, and this is the new one
	if err := os.RemoveAll(away); err != nil {
		t.Fatal(err)
	}
	checkRestored(t, s)

	// Brought there without the mark, and by somebody who wrote into it.
	for _, spoil := range []func() error{
		func() error { return os.Remove(markOf(dir)) },
		func() error { return os.WriteFile(markOf(dir), []byte("{}"), 0o600) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		s.fails("satcheld blobs claim", "gc")
		s.must("blobs", "claim")
		s.must("gc")
	}

	if err := os.RemoveAll(dir); err != nil { // lost, and there is no backup
		t.Fatal(err)
	}
	s.fails("has nothing of the content", "blobs", "claim")
	s.must("blobs", "claim", "--force")
	s.fails("has faults", "fsck")
}

// A store of backups is not another installation's to put into, nor a place for content, nor the other way round.
func TestBackupsOfAnother(t *testing.T) {
	dir := t.TempDir()
	first, _, _ := filled(t, "file:"+filepath.Join(dir, "first"))
	second := newSite(t, "second", "file:"+filepath.Join(dir, "second"))
	second.inhabit("boris@example.org")
	backups := "file:" + filepath.Join(dir, "backups")
	first.must("backup", backups)
	first.must("backup", backups)
	for _, keep := range []string{"0", "1"} {
		second.fails("the store of backups of another installation", "backup", backups, "--keep", keep)
	}
	if names := listed(t, backups); len(names) != 2 {
		t.Errorf("there are %v", names)
	}
	for _, command := range []string{"backup", "blobs claim"} {
		second.fails("content is kept there", append(strings.Fields(command), "file:"+filepath.Join(dir, "first"))...)
		if err := os.Rename(markOf(filepath.Join(dir, "first")), filepath.Join(dir, "mark")); err != nil { // of an earlier release
			t.Fatal(err)
		}
		second.fails("content is kept there", append(strings.Fields(command), "file:"+filepath.Join(dir, "first"))...)
		if err := os.Rename(filepath.Join(dir, "mark"), markOf(filepath.Join(dir, "first"))); err != nil {
			t.Fatal(err)
		}
	}
	third := newSite(t, "third", backups)
	for _, command := range []string{"serve --listen 127.0.0.1:0", "blobs claim", "gc"} {
		third.fails("backups are kept there", strings.Fields(command)...)
	}
	second.must("blobs", "claim", backups)
	second.must("backup", backups, "--keep", "1")
	if names := listed(t, backups); len(names) != 1 {
		t.Errorf("there are %v", names)
	}
	first.fails("the store of backups of another installation", "backup", backups, "--keep", "1")
}

// Content in the database needs no mark, and its backups are kept in number like others.
func TestStoreInTheDatabase(t *testing.T) {
	s := newSite(t, "db", "postgres:")
	s.inhabit("alice@example.org")
	dir := t.TempDir()
	backups, files := "file:"+filepath.Join(dir, "backups"), "file:"+filepath.Join(dir, "files")
	for range 3 {
		s.must("backup", backups, "--keep", "2")
	}
	if names := listed(t, backups); len(names) != 2 {
		t.Errorf("there are %v", names)
	}
	if code, _, errs := s.run("blobs", "claim"); code != 2 || !strings.Contains(errs, "nothing to claim") {
		t.Errorf("claimed: %d %s", code, errs)
	}
	// There and back again.
	there := *s
	there.flags = append([]string{}, s.flags...)
	there.flags = append(there.flags, "--blobs", files)
	s.must("blobs", "copy", "postgres:", files)
	there.must("fsck", "--deep")
	s.must("blobs", "copy", files, "postgres:")
	s.must("fsck", "--deep")
	s.must("blobs", "copy", "postgres:", files)
	there.must("fsck", "--deep")

	// What was left behind in the database is not the store.
	there.inhabit("boris@example.org")
	s.isNotTheStore()
	there.must("fsck", "--deep")
	s.must("blobs", "copy", files, "postgres:")
	s.must("fsck", "--deep")

	var n int
	s.one(`WITH gone AS (DELETE FROM satchel.blobs RETURNING 1) SELECT count(*) FROM gone`, &n)
	s.isNotTheStore()
	s.must("blobs", "claim", "--force")
	s.fails("has faults", "fsck")
}

// Where content is kept elsewhere nobody takes the database for the store, and all content for lost.
func TestDatabaseIsNotTheStore(t *testing.T) {
	s := newSite(t, "elsewhere", "file:"+filepath.Join(t.TempDir(), "blobs"))
	inside := *s
	inside.flags = append(append([]string{}, s.flags...), "--blobs", "postgres:")
	inside.must("migrate")
	inside.must("gc") // there is nothing yet
	s.inhabit("alice@example.org")
	inside.isNotTheStore()
	s.must("fsck", "--deep")
}

// isNotTheStore expects that nothing is done with a store, since content is elsewhere.
func (s *site) isNotTheStore() {
	s.t.Helper()
	for _, command := range []string{"serve --listen 127.0.0.1:0", "gc --grace 0s", "fsck --repair", "backup " + filepath.Join(s.t.TempDir(), "none")} {
		s.fails("has not the newest content", strings.Fields(command)...)
	}
	s.must("backup", filepath.Join(s.t.TempDir(), "rows"), "--no-content")
}

// A copy of a store is the same installation's, and is not made in another one's.
func TestCopiedStoreIsMarked(t *testing.T) {
	dir := t.TempDir()
	from, to, others := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "others")
	s, _, stop := filled(t, "file:"+from)
	stop()
	other := newSite(t, "other", "file:"+others)
	other.inhabit("boris@example.org")
	before := aged(t, others)
	s.fails("another installation has it", "blobs", "copy", "file:"+from, "file:"+others)
	if after := aged(t, others); after != before {
		t.Errorf("the other one had %d objects, and has %d", before, after)
	}
	s.must("blobs", "copy", "file:"+from, "file:"+to)
	if was, is := marked(t, from), marked(t, to); was != is {
		t.Errorf("the copy of %+v is %+v", was, is)
	}
	s.flags = append(s.flags, "--blobs", "file:"+to)
	checkRestored(t, s)

	// Who forgets that it moved does not split it.
	left := *s
	left.flags = append(s.flags[:len(s.flags):len(s.flags)], "--blobs", "file:"+from)
	before = aged(t, from)
	left.isNotTheStore()
	if after := aged(t, from); after != before {
		t.Errorf("where it was there were %d packs, and are %d", before, after)
	}
	s.must("fsck", "--deep")

	// When the newest is lost, and not elsewhere, that is said.
	var newest string
	s.one(`SELECT id::text FROM satchel.packs ORDER BY created DESC, id DESC LIMIT 1`, &newest)
	if err := os.Remove(filepath.Join(to, "objects", newest[len(newest)-2:], newest)); err != nil {
		t.Fatal(err)
	}
	s.fails("satcheld blobs claim --force", "fsck")
	s.must("blobs", "claim", "--force")
	s.fails("has faults", "fsck")
	var lost int
	s.one(`SELECT count(DISTINCT pack) FROM satchel.chunks WHERE lost IS NOT NULL`, &lost)
	if lost != 1 {
		t.Errorf("%d packs are lost", lost)
	}
}

// Beside a server of the version before, what is new in the database is not there yet: that is said, with what to do.
func TestStoreOfAnEarlierSchema(t *testing.T) {
	s := newSite(t, "old", "")
	s.inhabit("alice@example.org")
	owner, err := migrations.As(s.admin, migrations.Owner)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), s.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `ALTER TABLE satchel.installation RENAME TO later`); err != nil {
		t.Fatal(err)
	}
	if _, err := identity(t.Context(), owner); api.KindOf(err) != api.Unavailable || !strings.Contains(err.Error(), "satcheld migrate") {
		t.Errorf("which installation it is: %v", err)
	}
}
