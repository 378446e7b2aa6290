package integration

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"satchel/integration/rig"
)

// stock puts files on a drive from one device and unmounts it.
func stock(t *testing.T, a *account, files map[string][]byte) {
	t.Helper()
	laptop := a.mountNew(t, "stock")
	for name, content := range files {
		path := filepath.Join(laptop.Mount, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, content, 0o644))
	}
	syncAll(t, laptop)
	must(t, laptop.Unmount(t.Context()))
}

// TestColdLargeFile: a large file is readable before it is here, in any order, and whole afterwards; a crash in
// between spoils nothing.
func TestColdLargeFile(t *testing.T) {
	anna := newAccount(t, server(t), "anna")
	film := randomBytes(96 << 20)
	stock(t, anna, map[string][]byte{"film": film})
	desk := anna.mountNew(t, "desk")
	path := filepath.Join(desk.Mount, "film")

	peek := func() {
		t.Helper()
		f, err := os.Open(path)
		must(t, err)
		defer f.Close()
		for _, off := range []int64{90 << 20, 0, 50<<20 + 7, 96<<20 - 10} {
			b := make([]byte, 4096)
			n, err := f.ReadAt(b, off)
			if want := film[off:min(off+4096, int64(len(film)))]; !bytes.Equal(b[:n], want) {
				t.Errorf("at %d: %d bytes, %v", off, n, err)
			}
		}
		m, err := syscall.Mmap(int(f.Fd()), 30<<20, 4096, syscall.PROT_READ, syscall.MAP_SHARED)
		must(t, err)
		defer syscall.Munmap(m)
		if !bytes.Equal(m, film[30<<20:30<<20+4096]) {
			t.Error("the mapping has other content")
		}
	}
	peek()
	eventually(t, 10*time.Second, func() error {
		s, err := desk.Status(t.Context())
		if err == nil && (s.CacheBytes == 0 || s.CacheBytes > 16<<20) {
			err = fmt.Errorf("a few looks at a file of 96 MiB took %d bytes of the cache", s.CacheBytes)
		}
		return err
	})
	must(t, desk.KillDaemon(t.Context()))
	mount(t, desk)
	peek()
	must(t, has(path, string(film)))

	// Whole now: written in place, and sent as what changed.
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("edited"), 1000)
	must(t, errors.Join(err, f.Close()))
	copy(film[1000:], "edited")
	syncAll(t, desk)
	must(t, anna.stored(t, "film", film))

	// And a device that opens it for writing first of all.
	sofa := anna.mountNew(t, "sofa")
	path = filepath.Join(sofa.Mount, "film")
	f, err = os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	must(t, err)
	_, err = f.Write([]byte("the end"))
	must(t, errors.Join(err, f.Close()))
	must(t, has(path, string(film)+"the end"))
	syncAll(t, sofa)
}

// TestDamagedContentIsNotServed: what came from the server is not what its hash says.
func TestDamagedContentIsNotServed(t *testing.T) {
	s := ownServer(t)
	anna := newAccount(t, s, "anna")
	large, small := randomBytes(16<<20), randomBytes(3000)
	stock(t, anna, map[string][]byte{"large": large, "other/small": small})
	for _, content := range [][]byte{large, small} {
		must(t, s.Spoil(t.Context(), content[len(content)/2:][:100]))
	}
	desk := anna.mountNew(t, "desk")
	for _, name := range []string{"large", "other/small"} {
		for range 2 {
			if _, err := os.ReadFile(filepath.Join(desk.Mount, name)); !errors.Is(err, syscall.EIO) {
				t.Errorf("%s: read with %v, wanted EIO", name, err)
			}
		}
	}
}

// TestPin: a pinned folder is fetched at once, works without the server, and follows other devices.
func TestPin(t *testing.T) {
	s := ownServer(t)
	anna := newAccount(t, s, "anna")
	files := map[string][]byte{"keep/film": randomBytes(8 << 20), "keep/a/b/deep": []byte("deep down"), "elsewhere/far": []byte("not pinned")}
	for i := range 50 {
		files[fmt.Sprintf("keep/notes/n%02d", i)] = fmt.Appendf(nil, "note %d", i)
	}
	stock(t, anna, files)
	desk := anna.mountNew(t, "desk")
	if _, err := desk.Satchel(t.Context(), "", "pin", filepath.Join(desk.Mount, "keep")); err != nil {
		t.Fatal(err)
	}
	laptop := anna.mountNew(t, "laptop")
	write(t, filepath.Join(laptop.Mount, "keep", "new"), "made elsewhere")
	syncAll(t, laptop)
	files["keep/new"] = []byte("made elsewhere")
	eventually(t, 10*time.Second, func() error { _, err := os.Stat(filepath.Join(desk.Mount, "keep", "new")); return err })
	must(t, laptop.Unmount(t.Context()))
	_, err := desk.Satchel(t.Context(), "", "pin", filepath.Join(desk.Mount, "keep")) // returns when what is new is here too
	must(t, err)
	must(t, s.Stop())
	for name, content := range files {
		if strings.HasPrefix(name, "keep/") {
			must(t, has(filepath.Join(desk.Mount, name), string(content)))
		}
	}
	must(t, s.Start(t.Context()))
	if _, err := desk.Satchel(t.Context(), "", "unpin", "keep/notes"); err == nil {
		t.Error("unpin of what is pinned with its folder went well")
	}
	if _, err := desk.Satchel(t.Context(), "", "unpin", "keep"); err != nil {
		t.Error(err)
	}
}

// TestNarrowLink: what takes a link longer than a program's patience comes all the same.
func TestNarrowLink(t *testing.T) {
	anna := newAccount(t, server(t), "anna")
	photo := randomBytes(2 << 20)
	stock(t, anna, map[string][]byte{"photo": photo})
	desk := anna.newDevice(t, "desk")
	desk.Args = []string{"--limit-down", "256KiB"}
	mount(t, desk)
	must(t, has(filepath.Join(desk.Mount, "photo"), string(photo)))
}

// TestFarAway: the first look at a drive from far away is not a round trip for each file and directory.
func TestFarAway(t *testing.T) {
	s := server(t)
	anna := newAccount(t, s, "anna")
	files := map[string][]byte{}
	for i := range 40 {
		for j := range 10 {
			files[fmt.Sprintf("d%d/sub%d/f%d", i%8, i, j)] = fmt.Appendf(nil, "needle %d %d", i, j)
		}
	}
	stock(t, anna, files)
	const trip = 100 * time.Millisecond
	far, err := rig.NewDelay(s, trip)
	must(t, err)
	t.Cleanup(func() { must(t, far.Close()) })
	desk := anna.newDeviceAt(t, "desk", far.URL)
	mount(t, desk)
	start := time.Now()
	found := command(t, desk.Mount, "grep", "-r", "needle", ".")
	took := time.Since(start)
	if n := strings.Count(found, "\n"); n != len(files) {
		t.Errorf("grep found %d of %d files", n, len(files))
	}
	// One request for each file and directory would take 45 s.
	if took > 30*time.Second {
		t.Errorf("grep -r over %d files in 48 directories took %v at a round trip of %v", len(files), took, trip)
	}
	t.Logf("grep -r over %d files in 48 directories: %v", len(files), took)
	must(t, desk.Unmount(t.Context()))
}
