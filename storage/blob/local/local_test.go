package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"satchel/api"
	"satchel/storage/blob"
	"satchel/storage/blob/blobtest"
)

// What a child process is told: its store, and the operation at which it dies,
// as "3 rename": the third one, which is a rename.
const (
	dirEnv  = "SATCHEL_LOCAL_DIR"
	killEnv = "SATCHEL_LOCAL_KILL_AT"
)

func TestMain(m *testing.M) {
	blobtest.Child(func(context.Context) (blob.Store, error) {
		s, err := Open(os.Getenv(dirEnv))
		if err != nil {
			return nil, err
		}
		if at, _, ok := strings.Cut(os.Getenv(killEnv), " "); ok {
			left, _ := strconv.Atoi(at)
			s.fault = func(string) error {
				if left--; left == 0 {
					blobtest.Kill()
				}
				return nil
			}
		}
		return s, nil
	})
	goleak.VerifyTestMain(m)
}

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tidy expects that nothing incoming is left behind.
func tidy(t *testing.T, s *Store) {
	t.Helper()
	if left, err := os.ReadDir(s.incoming); err != nil || len(left) > 0 {
		t.Errorf("incoming has %v, %v", left, err)
	}
}

func TestStore(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store {
		s := open(t)
		t.Cleanup(func() { tidy(t, s) })
		return s
	})
}

func TestFaults(t *testing.T) {
	s, f := open(t), &blobtest.Fault{}
	s.fault = func(string) error { return f.Hit() }
	blobtest.Faults(t, s, f)
	tidy(t, s)
}

func TestFullDisk(t *testing.T) {
	s := open(t)
	for _, operation := range []string{"create", "write", "sync", "rename", "sync directory"} {
		s.fault = func(o string) error {
			if o == operation {
				return syscall.ENOSPC
			}
			return nil
		}
		if err := s.Put(t.Context(), "ab-0", strings.NewReader("content")); api.KindOf(err) != api.NoSpace {
			t.Errorf("Put with a full disk at %s: %v", operation, err)
		}
	}
	s.fault = nil
	tidy(t, s)
	if _, err := s.Get(t.Context(), "ab-0", 0, -1); api.KindOf(err) != api.NotFound {
		t.Errorf("Get afterwards: %v", err)
	}
}

func TestKilled(t *testing.T) {
	s := open(t)
	dir := dirEnv + "=" + filepath.Dir(s.objects)
	blobtest.KilledReading(t, s, dir)
	var operations []string
	s.fault = func(operation string) error {
		operations = append(operations, operation)
		return nil
	}
	if err := s.Put(t.Context(), "0192aaaa-0000-7000-8000-000000000002", strings.NewReader("one write")); err != nil {
		t.Fatal(err)
	}
	s.fault = nil
	if err := s.Delete(t.Context(), "0192aaaa-0000-7000-8000-000000000002"); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(operations); got != "[create write sync rename sync directory]" {
		t.Fatalf("Put is %s", got)
	}
	pieces := 60 << 20 / piece // of a large object
	for at, operation := range map[int]string{1: "create", 2: "write", 190: "write", pieces + 2: "sync", pieces + 3: "rename", pieces + 4: "sync directory"} {
		there := blobtest.Killed(t, s, dir, fmt.Sprintf("%s=%d %s", killEnv, at, operation))
		if there != (operation == "sync directory") {
			t.Errorf("killed before %s: the object is there: %v", operation, there)
		}
		if err := s.Delete(t.Context(), "0192aaaa-0000-7000-8000-000000000001"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenRemovesWhatBrokenTransfersLeft(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	old, fresh := filepath.Join(s.incoming, "old"), filepath.Join(s.incoming, "fresh")
	for _, f := range []string{old, fresh} {
		if err := os.WriteFile(f, []byte("part"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	day := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(old, day, day); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("the old part is still there: %v", err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("the part of a running transfer is gone: %v", err)
	}
}

func TestOpenNeedsTheParentDirectory(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "no", "blobs")); err == nil {
		t.Error("Open made a parent directory")
	}
}
