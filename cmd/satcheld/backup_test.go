package main

import (
	"bytes"
	"encoding/json"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/api/auth"
	"satchel/migrations"
	"satchel/storage/backup"
	"satchel/storage/blob/s3/s3test"
	"satchel/storage/postgres/pgtest"
	"satchel/storage/private"
)

// site is an installation for tests.
type site struct {
	t     *testing.T
	flags []string
	admin string // the database, as its superuser
	data  string
}

func newSite(t *testing.T, name, blobs string) *site {
	t.Helper()
	server := pgtest.Start(t)
	database := "site_" + strings.ToLower(strings.NewReplacer("/", "_", " ", "_", "-", "_").Replace(t.Name()+"_"+name))
	database = database[max(0, len(database)-60):]
	if err := migrations.CreateDatabase(t.Context(), server.URL(private.Superuser, "postgres"), database); err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, admin: server.URL(private.Superuser, database), data: dataDir(t)}
	s.flags = []string{"--data", s.data, "--database-url", s.admin}
	if blobs != "" {
		s.flags = append(s.flags, "--blobs", blobs)
	}
	return s
}

func (s *site) run(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	return satcheld(s.t, "", append(args, s.flags...)...)
}

func (s *site) must(args ...string) string {
	s.t.Helper()
	return must(s.t, "pw", append(args, s.flags...)...)
}

func (s *site) serve() (account, func() int) {
	s.t.Helper()
	url, stop := serving(s.t, s.flags...)
	a := account{s.t, url, ""}
	return a, stop
}

// one runs a query for one value, as the superuser.
func (s *site) one(query string, to any) {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.admin)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(s.t.Context())
	if err := conn.QueryRow(s.t.Context(), query).Scan(to); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	mathrand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(b)
	return b
}

// filled is a served site with alice's files.
func filled(t *testing.T, blobs string) (s *site, a account, stop func() int) {
	t.Helper()
	s = newSite(t, "from", blobs)
	s.must("user", "add", "alice@example.org", "--password-stdin")
	a, stop = s.serve()
	a.login("alice@example.org", "pw")
	a.store("films/large", random(20<<20))
	a.store("letters/1.txt", []byte("first\tline\nsecond \\N line"))
	a.store("letters/1.txt", []byte("newer"))
	return s, a, stop
}

// checkRestored tells whether a site has what filled put there.
func checkRestored(t *testing.T, s *site) {
	t.Helper()
	a, stop := s.serve()
	defer stop()
	a.login("alice@example.org", "pw")
	a.retrieves("films/large", random(20<<20))
	a.retrieves("letters/1.txt", []byte("newer"))
	a.store("letters/2.txt", []byte("life goes on"))
	a.retrieves("letters/2.txt", []byte("life goes on"))
	stop()
	if code, out, errs := s.run("fsck", "--deep"); code != 0 || !strings.Contains(out, "all is well") {
		t.Errorf("fsck after the restore: %d %s%s", code, out, errs)
	}
}

// From each store into each other one, through a file and through a store of
// backups: all is there again, in a drive of another epoch.
func TestBackupBringsAllBack(t *testing.T) {
	t.Cleanup(s3test.Stop)
	dir := t.TempDir()
	stores := []struct {
		name  string
		blobs func(t *testing.T) string
	}{
		{"file", func(*testing.T) string { return "" }},
		{"s3", func(t *testing.T) string { return s3test.Bucket(t).URL }},
		{"postgres", func(*testing.T) string { return "postgres:" }},
	}
	for i, from := range stores {
		t.Run("from "+from.name, func(t *testing.T) {
			s, a, _ := filled(t, from.blobs(t))
			file, store := filepath.Join(dir, from.name+".backup"), "file:"+filepath.Join(dir, from.name+".backups")
			if from.name == "file" {
				store = s3test.Bucket(t).URL
			}
			said := s.must("backup", file)
			if !strings.Contains(said, "sealing key") || !strings.Contains(said, "is not in it") {
				t.Errorf("a backup without the key says %q", said)
			}
			s.must("backup", store, "--with-key")
			a.store("letters/3.txt", []byte("after the backup"))
			var epoch api.ID
			s.one(`SELECT epoch FROM satchel.drives WHERE name = 'home'`, &epoch)

			for _, where := range []string{file, store} {
				must(t, "", "restore", where, "--check")
				into := stores[(i+1)%len(stores)]
				to := newSite(t, "to_"+into.name+where[:1], into.blobs(t))
				to.must("restore", where)
				var now api.ID
				to.one(`SELECT epoch FROM satchel.drives WHERE name = 'home'`, &now)
				if now == epoch {
					t.Error("the restored drive has the epoch that it had")
				}
				checkRestored(t, to)
				_, err := auth.ReadSealingKey(filepath.Join(to.data, "key"))
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// The second backup into a store copies what is new, old ones can be removed,
// and each of those that are left can be restored.
func TestBackupsInAStore(t *testing.T) {
	s, a, _ := filled(t, "")
	store := "file:" + filepath.Join(t.TempDir(), "backups")
	report := func(args ...string) (r backup.Report) {
		t.Helper()
		if err := json.Unmarshal([]byte(s.must(append(args, "--json")...)), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := report("backup", store)
	a.store("letters/2.txt", []byte("between the backups"))
	second := report("backup", store)
	if first.Copied < 2 || second.Copied != 1 || second.Packs != first.Packs+1 {
		t.Errorf("the first backup copied %d packs, the second %d of %d", first.Copied, second.Copied, second.Packs)
	}
	if list := must(t, "", "restore", store, "--list"); strings.Index(list, first.Name) != 0 || !strings.Contains(list, second.Name) {
		t.Errorf("--list says %q", list)
	}
	to := newSite(t, "first", "")
	to.must("restore", store, "--name", first.Name)
	b, stop := to.serve()
	b.login("alice@example.org", "pw")
	if status, _ := b.do("GET", "/rpc/retrieve_file?p_file_path=letters/2.txt", nil, nil); status == http.StatusOK {
		t.Error("the first backup has what came after it")
	}
	stop()

	third := report("backup", store, "--keep", "1")
	if third.Removed != 2 {
		t.Errorf("--keep 1 removed %d backups", third.Removed)
	}
	must(t, "", "restore", store, "--check")
	if code, _, errs := satcheld(t, "", "restore", store, "--check", "--name", first.Name); code != 1 {
		t.Errorf("a removed backup: %d %s", code, errs)
	}
	to = newSite(t, "third", "")
	to.must("restore", store)
	checkRestored(t, to)
}

// A restore does not touch what it was not told to, and a failed one nothing.
func TestRestoreRefuses(t *testing.T) {
	s, _, stop := filled(t, "")
	dir := t.TempDir()
	file := filepath.Join(dir, "b")
	s.must("backup", file, "--with-key")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fails := func(s *site, words string, args ...string) {
		t.Helper()
		defer s.must("fsck", "--deep")
		if code, out, errs := s.run(append([]string{"restore"}, args...)...); code == 0 || !strings.Contains(errs, words) {
			t.Errorf("restore %v: %d %s%s, want %q", args, code, out, errs, words)
		}
	}
	fails(s, "stop every one", file, "--replace")
	stop()
	fails(s, "has users", file)
	checkRestored(t, s)

	damaged := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	newer := append([]byte("satchel backup 2\n"), whole[len("satchel backup 1\n"):]...)
	var before, after int
	s.one(`SELECT count(*) FROM satchel.nodes`, &before)
	fails(s, "no such file", filepath.Join(dir, "nothing"), "--replace")
	fails(s, "not what its hash says", damaged("flipped", flipped), "--replace")
	fails(s, "ends too early", damaged("cut", whole[:len(whole)/3]), "--replace")
	fails(s, "ends too early", damaged("no trailer", whole[:len(whole)-37]), "--replace")
	fails(s, "follows after", damaged("longer", append(bytes.Clone(whole), 'x')), "--replace")
	fails(s, "format 2", damaged("newer", newer), "--replace")
	fails(s, "not a backup", damaged("other", []byte("hello")), "--replace")
	s.one(`SELECT count(*) FROM satchel.nodes`, &after)
	if before != after {
		t.Errorf("%d nodes were there, and after failed restores %d", before, after)
	}
	checkRestored(t, s)

	other := newSite(t, "other key", "")
	_, stopOther := other.serve()
	stopOther()
	fails(other, "another key", file)
	other.must("restore", file, "--replace")
	was, err := auth.ReadSealingKey(filepath.Join(s.data, "key"))
	if err != nil {
		t.Fatal(err)
	}
	if is, err := auth.ReadSealingKey(filepath.Join(other.data, "key")); err != nil || is != was {
		t.Errorf("the sealing key was not restored: %v", err)
	}
	checkRestored(t, other)

	rows := filepath.Join(dir, "rows")
	other.must("backup", rows, "--no-content")
	empty := newSite(t, "empty", "")
	fails(empty, "not in the blob store", rows)
	var drives int
	empty.one(`SELECT count(*) FROM satchel.drives`, &drives)
	if drives != 0 {
		t.Error("a restore without content left rows")
	}
	if code, _, errs := empty.run("restore", rows, "--allow-missing"); code != 1 || !strings.Contains(errs, "missing in the blob store") {
		t.Errorf("--allow-missing: %d %s", code, errs)
	}
	empty.one(`SELECT count(*) FROM satchel.drives`, &drives)
	if drives != 1 {
		t.Errorf("--allow-missing restored %d drives", drives)
	}
}
