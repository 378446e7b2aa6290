package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"satchel/api/auth"
	"satchel/storage/fault"
	"satchel/storage/postgres/pgtest"
)

// keyed is a site with a key of its own and a backup with it.
func keyed(t *testing.T, name string) (s *site, key auth.SealingKey, file string) {
	t.Helper()
	s = newSite(t, name, "")
	s.must("user", "add", name+"@example.org", "--password-stdin")
	_, stop := s.serve()
	stop()
	key, err := auth.ReadSealingKey(filepath.Join(s.data, "key"))
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), name)
	s.must("backup", file, "--with-key")
	return s, key, file
}

// The key of a backup takes its place with all else of it, and no key that was there is lost.
func TestRestoredKey(t *testing.T) {
	s, first, _ := keyed(t, "first")
	_, second, secondFile := keyed(t, "second")
	_, third, thirdFile := keyed(t, "third")
	keys := func(want map[string]auth.SealingKey) {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(s.data, "key*"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range found {
			found[i] = filepath.Base(found[i])
		}
		for name, key := range want {
			if is, err := auth.ReadSealingKey(filepath.Join(s.data, name)); err != nil || is != key {
				t.Errorf("%s is another key (%v)", name, err)
			}
			if i := slices.Index(found, name); i >= 0 {
				found = slices.Delete(found, i, i+1)
			}
		}
		if len(found) > 0 {
			t.Errorf("there are the keys %v, too", found)
		}
	}

	linked, cut := pgtest.Link(t, s.admin)
	disarm := fault.Arm(func(step fault.Step) {
		if step == fault.ContentThere {
			cut()
		}
	})
	code, _, errs := satcheld(t, "", "restore", secondFile, "--replace", "--data", s.data, "--database-url", linked)
	disarm()
	if code != 1 {
		t.Errorf("a restore that can't be committed: %d %s", code, errs)
	}
	keys(map[string]auth.SealingKey{"key": first})

	s.must("restore", secondFile, "--replace")
	keys(map[string]auth.SealingKey{"key": second, "key.replaced": first})
	s.must("restore", thirdFile, "--replace")
	keys(map[string]auth.SealingKey{"key": third, "key.replaced": first, "key.replaced-2": second})
}

// A key that can't take its place, when all else is restored, is not lost, and neither is the one before.
func TestKeyThatCannotBeStored(t *testing.T) {
	s, first, _ := keyed(t, "here")
	_, second, file := keyed(t, "there")
	path := filepath.Join(s.data, "key")
	disarm := fault.Arm(func(step fault.Step) {
		if step != fault.ContentThere {
			return
		}
		if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
			t.Error(err)
		}
	})
	code, _, errs := s.run("restore", file, "--replace")
	disarm()
	if code != 1 || !strings.Contains(errs, "mv -f "+path+".restored "+path) {
		t.Errorf("a key that can't take its place: %d %s", code, errs)
	}
	for name, key := range map[string]auth.SealingKey{path + ".restored": second, path + ".replaced": first} {
		if is, err := auth.ReadSealingKey(name); err != nil || is != key {
			t.Errorf("%s is another key (%v)", name, err)
		}
	}
}

// A key that is made for the occasion opens nothing, and no server has it.
func TestRotateNeedsTheServersKey(t *testing.T) {
	s, _, _ := keyed(t, "rotated")
	var before, after int
	s.one(`SELECT count(*) FROM satchel.signing_keys`, &before)
	path := filepath.Join(t.TempDir(), "key")
	if code, _, errs := s.run("keys", "rotate", "--key-file", path); code != 1 || !strings.Contains(errs, "--key-file") {
		t.Errorf("rotated without a key: %d %s", code, errs)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a key was made")
	}
	if err := auth.WriteSealingKey(path, auth.SealingKey{1}); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := s.run("keys", "rotate", "--key-file", path); code != 1 || !strings.Contains(errs, "opens none") {
		t.Errorf("rotated under another key: %d %s", code, errs)
	}
	if s.one(`SELECT count(*) FROM satchel.signing_keys`, &after); after != before {
		t.Errorf("%d signing keys became %d", before, after)
	}
	s.must("keys", "rotate")
}

// The system's account, which drives of --vfs-config have for an owner, is no user.
func TestRestoreIntoAnInstallationOfTheSystem(t *testing.T) {
	_, _, file := keyed(t, "source")
	to := newSite(t, "to", "")
	to.must("migrate")
	var made int
	to.one(`SELECT count(*) FROM (SELECT satchel.ensure_system()) e`, &made)
	to.must("restore", file)
}
