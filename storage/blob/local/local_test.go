package local

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"satchel/storage/blob"
	"satchel/storage/blob/blobtest"
)

func TestStore(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store {
		s, err := Open(filepath.Join(t.TempDir(), "blobs"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if left, err := os.ReadDir(s.incoming); err != nil || len(left) > 0 {
				t.Errorf("incoming has %v, %v", left, err)
			}
		})
		return s
	})
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
