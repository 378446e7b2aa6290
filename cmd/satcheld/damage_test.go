package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"satchel/api"
	"satchel/storage/backup"
)

// flip damages an object in a directory of blobs; called again, it mends it.
func flip(t *testing.T, dir, key string) {
	t.Helper()
	path := filepath.Join(dir, "objects", key[len(key)-2:], key)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// largest is the site's pack that has most bytes.
func (s *site) largest() (id api.ID) {
	s.t.Helper()
	s.one(`SELECT id FROM satchel.packs ORDER BY bytes DESC, id LIMIT 1`, &id)
	return id
}

// reports runs a command whose report names damaged content, and its exit code is 1.
func (s *site) reports(args ...string) (r backup.Report) {
	s.t.Helper()
	code, out, errs := s.run(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), &r); err != nil || (code == 0) != r.Whole() || code > 1 {
		s.t.Fatalf("%v: %d %s%s", args, code, out, errs)
	}
	return r
}

func (s *site) blobs() string { return filepath.Join(s.data, "blobs") }

// Damage is told by every backup that has it, until the content is mended; the last whole backup stays until there
// is another.
func TestBackupsTellOfDamage(t *testing.T) {
	s, a, _ := filled(t, "")
	store, file := "file:"+filepath.Join(t.TempDir(), "backups"), filepath.Join(t.TempDir(), "backup")
	whole := s.reports("backup", file)
	if !whole.Whole() {
		t.Fatalf("%+v", whole)
	}
	pack := s.largest()
	tells := func(r backup.Report) {
		t.Helper()
		if !slices.Equal(r.Damaged, []api.ID{pack}) || len(r.Missing) > 0 {
			t.Errorf("damaged is %s, told %v, missing %v", pack, r.Damaged, r.Missing)
		}
	}

	flip(t, s.blobs(), pack.String())
	for range 3 {
		tells(s.reports("backup", store, "--keep", "2"))
	}
	tells(s.reports("backup", file))
	must(t, "", "restore", file, "--check") // the one that is whole
	if code, _, errs := satcheld(t, "", "restore", file+incomplete, "--check"); code != 1 || !strings.Contains(errs, pack.String()) {
		t.Errorf("the one that is not: %d %s", code, errs)
	}
	to := newSite(t, "damaged", "")
	tells(to.reports("restore", store))
	if _, err := os.Stat(filepath.Join(to.blobs(), "objects", pack.String()[34:], pack.String())); err != nil {
		t.Errorf("the damaged pack was not restored as it is: %v", err)
	}

	flip(t, s.blobs(), pack.String())
	mended := s.reports("backup", store, "--keep", "2")
	if !mended.Whole() || mended.Copied != 1 {
		t.Errorf("after it was mended: %+v", mended)
	}
	a.store("films/newer", random(21<<20))
	s.one(`SELECT id FROM satchel.packs ORDER BY id DESC LIMIT 1`, &pack)
	flip(t, s.blobs(), pack.String())
	var last backup.Report
	for range 2 {
		last = s.reports("backup", store, "--keep", "1")
		tells(last)
	}
	if names := listed(t, store); !slices.Equal(names, []string{mended.Name, last.Name}) {
		t.Errorf("the store has the backups %v, the last whole one is %s", names, mended.Name)
	}
	must(t, "", "restore", store, "--check", "--name", mended.Name)
}

// Rows alone are no whole backup beside others that have content: they neither let the last whole one go, nor have all
// content read again. An older one that can't be read keeps none from being removed.
func TestRowsOnlyBesideContent(t *testing.T) {
	s, a, _ := filled(t, "")
	dir := filepath.Join(t.TempDir(), "backups")
	store := "file:" + dir
	s.reports("backup", store)
	pack := s.largest().String()
	s.reports("backup", store, "--no-content")
	flip(t, dir, pack) // who reads it puts another in its place
	again := s.reports("backup", store)
	if !again.Whole() || again.Copied != 0 {
		t.Errorf("content was read again: %+v", again)
	}
	flip(t, dir, pack)

	rows := s.reports("backup", store, "--no-content")
	if err := os.Truncate(filepath.Join(dir, "objects", rows.Name[len(rows.Name)-2:], rows.Name), 9); err != nil {
		t.Fatal(err)
	}
	a.store("films/newer", random(21<<20))
	s.one(`SELECT id::text FROM satchel.packs ORDER BY id DESC LIMIT 1`, &pack)
	flip(t, s.blobs(), pack)
	lacking := s.reports("backup", store)
	last := s.reports("backup", store, "--no-content", "--keep", "2")
	if names := listed(t, store); !slices.Equal(names, []string{again.Name, lacking.Name, last.Name}) {
		t.Errorf("the store has the backups %v, the last whole one is %s", names, again.Name)
	}
	must(t, "", "restore", store, "--check", "--name", again.Name)
}

// A backup that rots where it lies is told of by whoever restores it, and does no harm to what is whole.
func TestRestoreTellsOfRot(t *testing.T) {
	s, _, stop := filled(t, "")
	dir := filepath.Join(t.TempDir(), "backups")
	store := "file:" + dir
	if r := s.reports("backup", store); !r.Whole() {
		t.Fatalf("%+v", r)
	}
	stop()
	pack := s.largest()
	flip(t, dir, pack.String())

	to := newSite(t, "to", "")
	if code, _, errs := to.run("restore", store); code != 1 || !strings.Contains(errs, pack.String()) {
		t.Errorf("restored with a pack that rotted: %d %s", code, errs)
	}
	var users int
	if to.one(`SELECT count(*) FROM satchel.users WHERE email LIKE 'alice%'`, &users); users > 0 {
		t.Error("a refused restore left rows")
	}
	if r := to.reports("restore", store, "--allow-missing"); !slices.Equal(r.Damaged, []api.ID{pack}) {
		t.Errorf("%s rotted, told was %v", pack, r.Damaged)
	}
	a, stop := to.serve()
	a.login("alice@example.org", "pw")
	a.store("again", random(20<<20))
	a.retrieves("films/large", random(20<<20))
	stop()

	flip(t, s.blobs(), pack.String()) // as in the backup
	flip(t, dir, pack.String())
	if r := s.reports("restore", store, "--replace"); !r.Whole() {
		t.Errorf("the backup has what the installation has not: %+v", r)
	}
	flip(t, dir, pack.String())
	if r := s.reports("restore", store, "--replace"); !r.Whole() {
		t.Errorf("the installation has what the backup has not: %+v", r)
	}
	checkRestored(t, s)
}

// What a restore could not bring back is asked for when somebody has it, and then it is whole wherever it was.
func TestRestoreWithoutContent(t *testing.T) {
	s, _, stop := filled(t, "")
	rows := filepath.Join(t.TempDir(), "rows")
	s.must("backup", rows, "--no-content")
	stop()
	to := newSite(t, "to", "")
	to.reports("restore", rows, "--allow-missing")
	if code, out, errs := to.run("fsck"); code != 1 || !strings.Contains(out, "chunks (20.0 MiB) are lost: ") {
		t.Errorf("before: %d %s%s", code, out, errs)
	}
	a, stop := to.serve()
	defer stop()
	a.login("alice@example.org", "pw")
	a.store("again", random(20<<20))
	a.retrieves("films/large", random(20<<20))
	a.store("letters/2.txt", []byte("newer"))
	a.retrieves("letters/1.txt", []byte("newer"))
	a.store("letters/1.txt", []byte("first\tline\nsecond \\N line"))
	if code, out, errs := to.run("fsck", "--deep"); code != 0 || !strings.Contains(out, "all is well") {
		t.Errorf("after: %d %s%s", code, out, errs)
	}
}

// What was known to be lost when a backup was made is so after its restore, but for packs that the restore has read: a restore of rows
// alone looks at sizes only, and the content that it forgot would never be asked for again.
func TestRestoreOfWhatWasLost(t *testing.T) {
	s, _, stop := filled(t, "")
	stop()
	dir := t.TempDir()
	rows, file, store := filepath.Join(dir, "rows"), filepath.Join(dir, "file"), "file:"+filepath.Join(dir, "backups")
	pack := s.largest().String()
	flip(t, s.blobs(), pack)
	s.fails("has faults", "fsck", "--deep")
	flip(t, s.blobs(), pack) // which the rows do not know
	s.must("backup", rows, "--no-content")
	s.must("backup", file)
	s.must("backup", store)
	for from, want := range map[string]int{rows: 1, file: 0, store: 0} {
		s.must("restore", from, "--replace")
		var marked int
		s.one(`SELECT count(DISTINCT p.id) FROM satchel.packs p JOIN satchel.chunks c ON c.owner = p.owner AND c.pack = p.id WHERE p.damaged AND c.lost IS NOT NULL`, &marked)
		var traces int
		s.one(`SELECT (SELECT count(*) FROM satchel.packs WHERE damaged) + (SELECT count(DISTINCT pack) FROM satchel.chunks WHERE lost IS NOT NULL)`, &traces)
		if marked != want || traces != 2*want {
			t.Errorf("restored from %s: %d packs are marked, and %d traces are left", from, marked, traces)
		}
	}

	flip(t, s.blobs(), pack)
	s.must("restore", rows, "--replace")
	a, stop := s.serve()
	defer stop()
	a.login("alice@example.org", "pw")
	a.store("again", random(20<<20)) // all that is there of it
	a.retrieves("films/large", random(20<<20))
}

func listed(t *testing.T, store string) (names []string) {
	t.Helper()
	var all []backup.Report
	if err := json.Unmarshal([]byte(must(t, "", "restore", store, "--list", "--json")), &all); err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		names = append(names, r.Name)
	}
	return names
}
