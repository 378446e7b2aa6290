package cache

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// A file that is written, cut or given away has no capabilities any more, whether the kernel has heard of them or not; and who opens
// one that has some writes it where that is seen.
func TestCapabilitiesAreDroppedHere(t *testing.T) {
	one, size := uint32(1), int64(1)
	for _, c := range []struct {
		name   string
		change func(d *Drive, fid uint64) error
		stays  bool
	}{
		{"a write", func(d *Drive, fid uint64) error {
			_, err := d.Open(fid, unix.O_WRONLY, Cred{}, nil)
			must(t, err)
			defer d.Release(fid, unix.O_WRONLY)
			_, err = d.Write(fid, 0, []byte("x"), Cred{})
			return err
		}, false},
		{"an open that cuts it", func(d *Drive, fid uint64) error {
			_, err := d.Open(fid, unix.O_WRONLY|unix.O_TRUNC, Cred{}, nil)
			d.Release(fid, unix.O_WRONLY)
			return err
		}, false},
		{"another size", func(d *Drive, fid uint64) error { return onlyError(d.Setattr(fid, Change{Size: &size}, nil)) }, false},
		{"another owner", func(d *Drive, fid uint64) error { return onlyError(d.Setattr(fid, Change{UID: &one}, nil)) }, false},
		{"another group", func(d *Drive, fid uint64) error { return onlyError(d.Setattr(fid, Change{GID: &one}, nil)) }, false},
		{"another mode", func(d *Drive, fid uint64) error { return onlyError(d.Setattr(fid, Change{Mode: &one}, nil)) }, true},
		{"an open for writing", func(d *Drive, fid uint64) error {
			o, err := d.Open(fid, unix.O_RDWR, Cred{}, nil)
			if err == nil && o.Backing != 0 {
				err = errors.New("it is passed through")
			}
			d.Release(fid, unix.O_RDWR)
			return err
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := Open(Config{Dir: t.TempDir(), Remote: newShelf(), DeviceName: "test", Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
			must(t, err)
			defer func() { must(t, d.Close()) }()
			d.Start(noKernel{})
			fid := save(t, d, "program", []byte("a program"))
			must(t, d.Setxattr(fid, capability, []byte("may do all"), false, false))
			must(t, d.Setxattr(fid, "user.x", []byte("y"), false, false))
			var passes Kernel = &registrar{ids: map[int32]bool{}}
			if c.stays {
				d.kern.Store(&passes)
			}
			must(t, c.change(d, fid))
			v, err := d.Getxattr(fid, capability)
			if c.stays && !bytes.Equal(v, []byte("may do all")) || !c.stays && !errors.Is(err, ErrNoAttr) {
				t.Errorf("it has %q, %v", v, err)
			}
			if v, err := d.Getxattr(fid, "user.x"); err != nil || string(v) != "y" {
				t.Errorf("another attribute is %q, %v", v, err)
			}
			// The server hears of it.
			d.mu.Lock()
			e := d.journal.unsent(d.byFID[fid].id, api.OpCreate)
			d.mu.Unlock()
			if e != nil && (e.m.Attr.Xattrs[capability] != nil) != c.stays {
				t.Errorf("the journal has %q", e.m.Attr.Xattrs[capability])
			}
		})
	}
}

func onlyError(_ Attr, err error) error { return err }
