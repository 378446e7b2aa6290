package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/integration/rig"
	"satchel/migrations"
	"satchel/storage/fault"
	"satchel/storage/private"
)

// armed runs a command of satcheld that dies at a step, as kill -9 ends it.
func armed(t *testing.T, s *rig.Server, step fault.Step, args ...string) {
	t.Helper()
	s.Setenv(fault.Variable, string(step))
	defer s.Setenv(fault.Variable, "")
	eventually(t, 10*time.Second, func() error { // garbage goes when all older transactions have ended
		out, err := s.Satcheld(t.Context(), "", args...)
		if failed, ok := errors.AsType[*rig.CommandError](err); !ok || failed.Code != -1 {
			return fmt.Errorf("satcheld %s did not die at %s: %w\n%s", args[0], step, err, out)
		}
		return nil
	})
}

// clean is an error unless fsck finds all content whole. A process that was
// killed may seem to hold the lock for a moment.
func clean(t *testing.T, s *rig.Server) {
	t.Helper()
	eventually(t, 10*time.Second, func() error {
		_, err := s.Satcheld(t.Context(), "", "fsck", "--deep")
		return err
	})
}

// TestServerDiesAtEveryStep: kill -9 of a server at each step of an upload and
// of a commit costs the client a retry. Nothing is lost, nothing done twice,
// and nothing is left that fsck would tell of.
func TestServerDiesAtEveryStep(t *testing.T) {
	s := ownServer(t)
	anna := newAccount(t, s, "anna")
	laptop := anna.mountNew(t, "laptop")
	stored := map[string][]byte{}
	for i, step := range append(append([]fault.Step{}, fault.Upload...), fault.Commit...) {
		must(t, s.Stop())
		s.Setenv(fault.Variable, string(step))
		must(t, s.Start(t.Context()))
		s.Setenv(fault.Variable, "")
		for j := range 3 {
			name := fmt.Sprintf("%d-%s-%d", i, step, j)
			stored[name] = randomBytes(100_000 + j)
			must(t, os.WriteFile(filepath.Join(laptop.Mount, name), stored[name], 0o644))
		}
		if !s.Died(20 * time.Second) {
			t.Errorf("the server did not get to %s", step)
			must(t, s.Stop())
		}
		must(t, s.Start(t.Context()))
		syncAll(t, laptop)
		for name, content := range stored {
			must(t, anna.stored(t, name, content))
		}
		clean(t, s)
	}
	if all := anna.files(t, "select=id,file_path&limit=1000"); len(all) != len(stored) {
		t.Errorf("the server has %d files, not %d", len(all), len(stored))
	}
}

// TestGCDiesAtEveryStep: the same of garbage collection and of the rewriting
// of packs; the next run goes on from there.
func TestGCDiesAtEveryStep(t *testing.T) {
	s := ownServer(t)
	anna := newAccount(t, s, "anna")
	laptop := anna.mountNew(t, "laptop")
	kept := map[string][]byte{}
	for i, step := range append(append([]fault.Step{}, fault.Collect...), fault.Repack...) {
		// One pack, of which most becomes garbage.
		for j := range 5 {
			name := fmt.Sprintf("%d-%s-%d", i, step, j)
			content := randomBytes(700_000)
			must(t, os.WriteFile(filepath.Join(laptop.Mount, name), content, 0o644))
			if j == 0 {
				kept[name] = content
			}
		}
		syncAll(t, laptop)
		for j := 1; j < 5; j++ {
			must(t, os.Remove(filepath.Join(laptop.Mount, fmt.Sprintf("%d-%s-%d", i, step, j))))
		}
		syncAll(t, laptop)
		forgetPast(t, s)
		if step == fault.OrphanDeleted && !orphan(t, s) {
			continue
		}
		armed(t, s, step, "gc", "--grace", "0s")
		clean(t, s)
		eventually(t, 30*time.Second, func() error { // the dead one's connection may seem to hold the lock for a moment
			out, err := s.Satcheld(t.Context(), "", "gc", "--grace", "0s")
			if err == nil && strings.Contains(out, "another process") {
				err = fmt.Errorf("gc after it died at %s: %s", step, out)
			}
			return err
		})
		clean(t, s)
		for name, content := range kept {
			must(t, anna.stored(t, name, content))
		}
	}
}

// forgetPast makes what was removed as old as the retention policy lets it
// become.
func forgetPast(t *testing.T, s *rig.Server) {
	t.Helper()
	url, err := s.Satcheld(t.Context(), "", "psql-url")
	must(t, err)
	conn, err := pgx.Connect(t.Context(), strings.Replace(strings.TrimSpace(url), migrations.App+"@", private.Superuser+"@", 1))
	must(t, err)
	defer conn.Close(t.Context())
	for _, statement := range []string{`DELETE FROM satchel.trash`, `DELETE FROM satchel.past_entries`, `DELETE FROM satchel.past_nodes`, `UPDATE satchel.drives SET since = seq`} {
		_, err := conn.Exec(t.Context(), statement)
		must(t, err)
	}
}

// orphan puts an old object that no row knows into the server's store, where
// that is a directory.
func orphan(t *testing.T, s *rig.Server) bool {
	t.Helper()
	dir := filepath.Join(s.Data, "blobs", "objects")
	if _, err := os.Stat(dir); err != nil {
		return false
	}
	const id = "01900000-0000-7000-8000-0000000000aa"
	path := filepath.Join(dir, "aa", id)
	must(t, os.WriteFile(path, []byte("of an upload that was cut off"), 0o600))
	old := time.Now().Add(-24 * time.Hour)
	must(t, os.Chtimes(path, old, old))
	return true
}

// TestBackupAndRestoreDie: a backup that is killed leaves none, and a restore
// that is killed nothing: each can be run again.
func TestBackupAndRestoreDie(t *testing.T) {
	s := ownServer(t)
	anna := newAccount(t, s, "anna")
	content := randomBytes(3 << 20)
	anna.store(t, "film", content)
	dir := t.TempDir()
	file, store := filepath.Join(dir, "backup"), "file:"+filepath.Join(dir, "backups")
	for _, step := range fault.Backup {
		armed(t, s, step, "backup", file)
		if _, err := os.Stat(file); err == nil {
			t.Errorf("a backup that died at %s has its name", step)
		}
		armed(t, s, step, "backup", store)
		if out, err := s.Satcheld(t.Context(), "", "restore", store, "--list"); err != nil || out != "" {
			t.Errorf("a backup that died at %s is listed: %s %v", step, out, err)
		}
		must(t, os.RemoveAll(strings.TrimPrefix(store, "file:"))) // else no pack is left to be copied
	}
	for _, to := range []string{file, store} {
		if _, err := s.Satcheld(t.Context(), "", "backup", to); err != nil {
			t.Fatal(err)
		}
	}
	for i, from := range []string{file, store} {
		again, err := parts.NewServer(unique(t, fmt.Sprint("again", i)))
		must(t, err)
		for _, step := range fault.Restore {
			if i > 0 && step == fault.PackRestored {
				continue // the content is there since the step before
			}
			armed(t, again, step, "restore", from)
			_, err := again.Satcheld(t.Context(), "", "user", "list")
			must(t, err)
		}
		// The last one had committed.
		if _, err := again.Satcheld(t.Context(), "", "restore", from); err == nil {
			t.Error("a restore over users was not refused")
		}
		must(t, again.Start(t.Context()))
		boris := &account{server: again, email: anna.email, password: anna.password}
		boris.token = boris.login(t)
		must(t, boris.stored(t, "film", content))
		clean(t, again)
		must(t, again.Stop())
	}
}

// TestServerDiesAmongWriters: kill -9 of a server that does the writes of many in one transaction leaves all of them, or none: all
// if one was answered.
func TestServerDiesAmongWriters(t *testing.T) {
	s := ownServer(t)
	anna := newAccount(t, s, "anna")
	anna.token = anna.login(t)
	if got := anna.ask(t, "PUT", "/api/vfs/write/home/before", nil, []byte("before")); got.status/100 != 2 {
		t.Fatal(got)
	}
	for i, step := range append([]fault.Step{fault.PackRows}, fault.Commit...) {
		must(t, s.Stop())
		s.Setenv(fault.Variable, string(step)+" 2") // the first transaction is of who comes first, alone
		must(t, s.Start(t.Context()))
		s.Setenv(fault.Variable, "")
		held := holdDrives(t, s)
		const writers = 16
		contents, answered := make([][]byte, writers), make([]bool, writers)
		name := func(j int) string { return fmt.Sprintf("%d-%s/by-%d", i, step, j) }
		var all sync.WaitGroup
		for j := range writers {
			if j == 1 {
				held.wanted(t, 1) // by who is alone in the first transaction, since nobody else has come
			}
			contents[j] = randomBytes(100_000 + j)
			all.Go(func() {
				req, err := http.NewRequest("PUT", s.URL+"/api/vfs/write/home/"+name(j), bytes.NewReader(contents[j]))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+anna.token)
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					return // it died
				}
				defer res.Body.Close()
				_, err = io.Copy(io.Discard, res.Body)
				answered[j] = err == nil && res.StatusCode/100 == 2
			})
		}
		held.wanted(t, writers)
		held.release(t)
		all.Wait()
		if !s.Died(20 * time.Second) {
			t.Errorf("the server did not get to %s", step)
			must(t, s.Stop())
		}
		must(t, s.Start(t.Context()))
		held.connect(t, &held.look)
		var there []int
		for j := range writers {
			got := anna.retrieve(t, name(j))
			if !answered[j] && strings.Contains(got.message(), "not found") {
				continue
			}
			must(t, anna.stored(t, name(j), contents[j]))
			there = append(there, j)
		}
		switch n := held.transactions(t); {
		case len(there) == 0 || there[0] != 0:
			t.Errorf("%s: %v are there, and not who came first", step, there)
		case step != fault.CommitDone && (len(there) > 1 || n != 1):
			t.Errorf("%s: %v are there, of %d transactions: some of those who were killed together", step, there, n)
		case step == fault.CommitDone && (len(there) < 3 || n != 2):
			t.Errorf("%s: %v are there, of %d transactions: not who came first, and many together", step, there, n)
		}
		held.look.Close(t.Context())
		clean(t, s)
	}
}

// heldDrives keeps everyone from changing a drive.
type heldDrives struct {
	server       *rig.Server
	conn, look   *pgx.Conn
	objects, was int // how many objects and transactions there were before
}

func holdDrives(t *testing.T, s *rig.Server) *heldDrives {
	t.Helper()
	h := &heldDrives{server: s}
	h.connect(t, &h.conn)
	h.connect(t, &h.look)
	var err error
	h.objects, _, err = s.Objects(t.Context())
	must(t, err)
	h.was = h.transactions(t)
	_, err = h.conn.Exec(t.Context(), `BEGIN; SELECT FROM satchel.drives FOR UPDATE`)
	must(t, err)
	return h
}

func (h *heldDrives) connect(t *testing.T, to **pgx.Conn) {
	t.Helper()
	url, err := h.server.DatabaseURL(t.Context(), private.Superuser)
	must(t, err)
	*to, err = pgx.Connect(t.Context(), url)
	must(t, err)
}

// transactions is how many have written versions since the drives were held.
func (h *heldDrives) transactions(t *testing.T) (n int) {
	t.Helper()
	must(t, h.look.QueryRow(t.Context(), `SELECT count(DISTINCT xmin::text) FROM satchel.versions`).Scan(&n))
	return n - h.was
}

// wanted waits until so many have sent what they write, one of them wants a drive and the server does nothing else.
func (h *heldDrives) wanted(t *testing.T, writers int) {
	t.Helper()
	still := 0
	eventually(t, time.Minute, func() error {
		objects, _, err := h.server.Objects(t.Context())
		if err != nil {
			return err
		}
		var is bool
		if err := h.look.QueryRow(t.Context(), `
			SELECT count(*) > 0 AND bool_and(wait_event_type = 'Lock')
			FROM pg_stat_activity WHERE application_name = 'satcheld' AND state <> 'idle'`).Scan(&is); err != nil {
			return err
		}
		if still++; !is || objects < h.objects+writers {
			still = 0
		}
		if still < 10 {
			return fmt.Errorf("%d are there, and the server is not waiting", objects-h.objects)
		}
		return nil
	})
}

// release lets the server have the drives.
func (h *heldDrives) release(t *testing.T) {
	t.Helper()
	must(t, h.look.Close(t.Context()))
	must(t, h.conn.Close(t.Context()))
}
