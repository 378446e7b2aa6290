package integration

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sparseVariable is how many GiB the files of TestSparse have; `make sparse` says 1024.
const sparseVariable = "SATCHEL_TEST_SPARSE_GIB"

// TestSparse: of a large sparse file only what was written to it is stored, sent and fetched, and programs
// find its holes on each device. That of disk.img begins at its start, that of vm.img has data on both sides, so
// that all of it has to be hashed; it is the smaller one.
func TestSparse(t *testing.T) {
	gib, err := strconv.ParseInt(os.Getenv(sparseVariable), 10, 64)
	if err != nil {
		gib = 32
	}
	const end = "the end"
	anna := newAccount(t, server(t), "anna")
	laptop := anna.mountNew(t, "laptop")
	files := []struct {
		name string
		size int64
		head string
	}{{"disk.img", gib << 30, ""}, {"vm.img", max(gib<<30/32, 1<<30), "the head"}}
	few := func(what string, bytes int64) {
		t.Helper()
		if bytes > 32<<20 {
			t.Errorf("%s: %d MiB", what, bytes>>20)
		}
	}
	look := func(path, head string, size, grain int64) { // grain: how exactly holes are known
		t.Helper()
		f, err := os.Open(path)
		must(t, err)
		defer f.Close()
		var st unix.Stat_t
		must(t, unix.Fstat(int(f.Fd()), &st))
		if st.Size != size {
			t.Errorf("%s has %d bytes, not %d", path, st.Size, size)
		}
		hole, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_HOLE)
		must(t, err)
		data, err := unix.Seek(int(f.Fd()), hole, unix.SEEK_DATA)
		must(t, err)
		if hole > grain || data < size-2*grain || data > size-int64(len(end)) {
			t.Errorf("%s has a hole from %d to %d of %d", path, hole, data, size)
		}
		for at, want := range map[int64][]byte{0: append([]byte(head), make([]byte, 100)...), size / 2: make([]byte, 1<<20), size - int64(len(end)): []byte(end)} {
			got := make([]byte, len(want))
			if _, err := f.ReadAt(got, at); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s at %d: %.20q, not %.20q (%v)", path, at, got, want, err)
			}
		}
	}
	stored := func(path string) int64 {
		t.Helper()
		var st unix.Stat_t
		must(t, unix.Stat(path, &st))
		return 512 * st.Blocks
	}
	for _, x := range files {
		path := filepath.Join(laptop.Mount, x.name)
		f, err := os.Create(path)
		must(t, err)
		_, err1 := f.WriteAt([]byte(x.head), 0)
		_, err2 := f.WriteAt([]byte(end), x.size-int64(len(end)))
		must(t, errors.Join(err1, err2, f.Close()))
		few("written", stored(path))
		command(t, laptop.Mount, "cp", x.name, "copy-of-"+x.name)
		few("copied", stored(filepath.Join(laptop.Mount, "copy-of-"+x.name)))
	}
	start := time.Now()
	syncAll(t, laptop)
	t.Logf("hashed and sent in %v", time.Since(start).Round(time.Millisecond))
	status, err := laptop.Status(t.Context())
	must(t, err)
	few("the cache of who made them", status.CacheBytes)

	desk := anna.mountNew(t, "desk")
	for _, x := range files {
		for _, name := range []string{x.name, "copy-of-" + x.name} {
			look(filepath.Join(laptop.Mount, name), x.head, x.size, 4096)
			look(filepath.Join(desk.Mount, name), x.head, x.size, 8<<20)
		}
		there := filepath.Join(plainFolder(t, nil), "copy")
		command(t, desk.Mount, "cp", x.name, there)
		look(there, x.head, x.size, 8<<20)
		few("copied out of the drive", stored(there))
	}
	// Written to by the other device, in the middle of the hole.
	vm, middle := files[1], "the middle"
	f, err := os.OpenFile(filepath.Join(desk.Mount, vm.name), os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt([]byte(middle), vm.size/2)
	must(t, errors.Join(err, f.Close()))
	syncAll(t, desk)
	eventually(t, time.Minute, func() error {
		f, err := os.Open(filepath.Join(laptop.Mount, vm.name))
		if err != nil {
			return err
		}
		defer f.Close()
		got := make([]byte, len(middle))
		if _, err := f.ReadAt(got, vm.size/2); err != nil || string(got) != middle {
			return fmt.Errorf("%q %v", got, err)
		}
		return nil
	})
	status, err = desk.Status(t.Context())
	must(t, err)
	few("the cache of the other device", status.CacheBytes)
	if st, err := laptop.Status(t.Context()); err != nil || st.PendingMutations != 0 {
		t.Errorf("%+v %v", st, err)
	}
}
