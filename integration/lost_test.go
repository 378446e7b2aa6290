package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLostContentComesBack: what the blob store has lost a device that still has it sends again when it is saved there,
// changed or as it was, when it is copied, and when it is put there.
func TestLostContentComesBack(t *testing.T) {
	s := ownServer(t)
	anna := newAccount(t, s, "anna")
	laptop := anna.mountNew(t, "laptop")
	path := filepath.Join(laptop.Mount, "film")
	film := randomBytes(8 << 20)
	must(t, os.WriteFile(path, film, 0o644))
	syncAll(t, laptop)
	lose := func() {
		t.Helper()
		must(t, s.Lose(t.Context()))
		_, err := s.Satcheld(t.Context(), "", "blobs", "claim", "--force") // it is not elsewhere
		must(t, err)
		if out, err := s.Satcheld(t.Context(), "", "fsck"); err == nil || !strings.Contains(out, "film") {
			t.Errorf("fsck: %s %v", out, err)
		}
		if err := anna.stored(t, "film", film); err == nil {
			t.Error("what was lost is served")
		}
	}

	lose()
	must(t, os.WriteFile(path, film, 0o644))
	syncAll(t, laptop)
	must(t, anna.stored(t, "film", film))
	clean(t, s)

	lose()
	local := filepath.Join(t.TempDir(), "film")
	must(t, os.WriteFile(local, film, 0o644))
	_, err := laptop.Satchel(t.Context(), "", "put", local, "film")
	must(t, err)
	must(t, anna.stored(t, "film", film))
	clean(t, s)

	lose()
	command(t, laptop.Mount, "cp", "film", "copy")
	syncAll(t, laptop)
	must(t, anna.stored(t, "film", film))
	must(t, anna.stored(t, "copy", film))
	clean(t, s)

	lose()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	_, err = f.Write([]byte("the end"))
	must(t, err)
	must(t, f.Close())
	syncAll(t, laptop)
	must(t, anna.stored(t, "film", append(film, "the end"...)))
}
