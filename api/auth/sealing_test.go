package auth

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"satchel/api"
)

func TestSealingKeyIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	keys := make([]SealingKey, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = LoadSealingKey(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] || k == (SealingKey{}) {
			t.Fatal("two processes have two keys")
		}
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the key file: %v, %v", st.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".key-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSealingKeyRefusals(t *testing.T) {
	dir := t.TempDir()
	for name, f := range map[string]struct {
		content string
		mode    os.FileMode
	}{
		"others may read it": {strings.Repeat("ab", 32), 0o644},
		"too short":          {"abcd", 0o600},
		"no hexadecimal":     {strings.Repeat("xy", 32), 0o600},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			if err := os.WriteFile(path, []byte(f.content), f.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, f.mode); err != nil {
				t.Fatal(err)
			}
			if _, err := LoadSealingKey(path); api.KindOf(err) != api.Invalid {
				t.Errorf("LoadSealingKey = %v, want invalid", err)
			}
		})
	}
}

func TestSealIsForOnePurpose(t *testing.T) {
	key := SealingKey{1}
	sealed := key.seal([]byte("secret"), "a")
	if got, err := key.open(sealed, "a"); err != nil || string(got) != "secret" {
		t.Fatalf("open = %q, %v", got, err)
	}
	if _, err := key.open(sealed, "b"); err == nil {
		t.Error("opened for another purpose")
	}
	if _, err := (SealingKey{2}).open(sealed, "a"); err == nil {
		t.Error("opened with another key")
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := key.open(sealed, "a"); err == nil {
		t.Error("opened after it was changed")
	}
}
