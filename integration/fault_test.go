package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	old := time.Now().Add(-time.Hour)
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
