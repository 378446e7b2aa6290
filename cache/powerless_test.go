package cache

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"satchel/api"
)

// openOnDisk opens a cache of a shelf whose replica and machine are the test's.
func openOnDisk(t *testing.T, s *shelf, dir string, disk seam) *Drive {
	t.Helper()
	cfg := Config{Dir: dir, Remote: s, DeviceName: "test", Log: slog.New(slog.NewTextHandler(t.Output(), nil)), seam: disk}
	d, err := Open(cfg)
	must(t, err)
	d.Start(noKernel{})
	t.Cleanup(func() {
		if d.ctx.Err() == nil {
			must(t, d.Close())
		}
	})
	soon(t, func() bool { return d.connected.Load() })
	return d
}

// What comes while a sync of a partial file is under way is not taken for durable with what that sync was for.
func TestPartialIsDurableOnlyAsItWasSynced(t *testing.T) {
	s := newShelf()
	data := noise(32 << 20)
	s.add(api.ID{}, "film", data)
	const tail = 30 << 20
	var d *Drive
	var fid uint64
	var p *partial
	var synced []byte // what the disk has
	syncs := 0
	mem := vfs.NewCrashableMem()
	dir := t.TempDir()
	d = openOnDisk(t, s, dir, seam{replica: mem, boot: "one", sick: func(int) error {
		if syncs++; syncs > 1 {
			return errors.New("the power goes before")
		}
		var err error
		if synced, err = os.ReadFile(d.slotPath(p.slot)); err != nil {
			t.Error(err)
		}
		if _, err := d.Open(fid, unix.O_RDONLY, Cred{}, nil); err != nil {
			t.Error(err)
		}
		if got, err := readAt(d, fid, tail, 4096); err != nil || !bytes.Equal(got, data[tail:tail+4096]) {
			t.Errorf("the tail: %v", err)
		}
		d.Release(fid, unix.O_RDONLY)
		for p.busy() {
			time.Sleep(time.Millisecond)
		}
		return nil
	}})
	fid = find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	if _, err := readAt(d, fid, 0, 4096); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	p = d.byFID[fid].part
	d.mu.Unlock()
	d.Release(fid, unix.O_RDONLY)
	soon(t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return p.c == nil
	})
	must(t, d.st.settle())
	after := mem.CrashClone(vfs.CrashCloneCfg{})
	must(t, d.Close())
	must(t, os.WriteFile(d.slotPath(p.slot), synced, 0o600))

	d = openOnDisk(t, s, dir, seam{replica: after, boot: "two"})
	fid = find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	defer d.Release(fid, unix.O_RDONLY)
	for _, off := range []int64{0, tail} {
		if got, err := readAt(d, fid, off, 4096); err != nil || !bytes.Equal(got, data[off:off+4096]) {
			t.Errorf("at %d after the power was lost: %v", off, err)
		}
	}
}

// What is here of a file, and was not made durable, is believed in the same mount of the same machine, and in no other.
func TestPartialThatIsNotDurable(t *testing.T) {
	for name, next := range map[string]seam{"as it was": {boot: "one", mount: "one"}, "disk pulled out": {boot: "one", mount: "two"}, "power loss": {boot: "two", mount: "two"}} {
		t.Run(name, func(t *testing.T) {
			s := newShelf()
			data := noise(32 << 20)
			s.add(api.ID{}, "film", data)
			dir := t.TempDir()
			d := openOnDisk(t, s, dir, seam{boot: "one", mount: "one"})
			fid := find(t, d, "film")
			open(t, d, fid, unix.O_RDONLY)
			if _, err := readAt(d, fid, 0, 4096); err != nil {
				t.Fatal(err)
			}
			d.mu.Lock()
			p := d.byFID[fid].part
			d.savePartial(p, false)
			d.mu.Unlock()
			must(t, d.Close())
			must(t, os.Truncate(d.slotPath(p.slot), 0)) // so it shows which content file is read
			must(t, os.Truncate(d.slotPath(p.slot), int64(len(data))))

			d = openOnDisk(t, s, dir, next)
			fid = find(t, d, "film")
			open(t, d, fid, unix.O_RDONLY)
			defer d.Release(fid, unix.O_RDONLY)
			want := data[:4096]
			if name == "as it was" {
				want = make([]byte, 4096)
			}
			if got, err := readAt(d, fid, 0, 4096); err != nil || !bytes.Equal(got, want) {
				t.Errorf("at the start: %v", err)
			}
		})
	}
}
