package cache

import (
	"context"
	"io"
	"math"
	"testing"

	"satchel/api"
)

// A guest is shown what a file is now, and none of its history, nor what was removed.
type guest struct{ Remote }

func (g guest) Content(ctx context.Context, node, version api.ID, off, n int64) (io.ReadCloser, error) {
	now, err := g.Node(ctx, node)
	if err == nil && !version.IsZero() && version != now.Version {
		err = api.Errorf(api.NotFound, "there is no such content")
	}
	if err != nil {
		return nil, err
	}
	return g.Remote.Content(ctx, node, version, off, n)
}

// asGuest lets a device of a simulated server see no history.
func (v *device) asGuest() {
	v.wire.cut()
	v.wire.faults(func(w *wire) { w.Remote = guest{w.Remote} })
	v.wire.mend()
}

// What a device missed before a server was restored to a backup that has it stays: a device gives back only what the restore has undone,
// whether it can ask for versions that are not current, as a guest can't and nobody can who asks for one that has gone from the history, or not.
func TestOlderContentIsNotGivenBack(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.mkdir("d"))
		for _, name := range []string{"d/edited", "d/removed", "d/edited since"} {
			must(t, x.write(name, "old "+name))
		}
		mustQuiet(t, x, y)
		for _, name := range []string{"d/edited", "d/removed", "d/edited since"} {
			_, err := y.read(name)
			must(t, err)
		}
		y.asGuest()
		mustQuiet(t, x, y)
		y.wire.cut()
		must(t, x.write("d/edited", "new"))
		must(t, x.unlink("d/removed"))
		must(t, x.sync())
		restore := s.server.Backup()
		restore()
		must(t, x.write("d/edited since", "newest"))
		s.quiet(t, x)
		truth := s.quiet(t, x, y)
		if len(truth) != 3 || truth["d/edited"].content != "new" || truth["d/edited since"].content != "newest" {
			t.Errorf("the server has\n%v", truth)
		}
		for _, v := range []*device{x, y} {
			if st := v.d.Status(); st.Conflicts+st.Refused > 0 {
				t.Errorf("%s: %d conflicts, %d refused", v.name, st.Conflicts, st.Refused)
			}
		}
	})
}

// What the restore has undone is given back, in the place of what the backup had, and beside what came after it.
func TestLostContentOverwritesNothingNew(t *testing.T) {
	for _, hidden := range []bool{false, true} {
		inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
			must(t, x.write("lost", "in the backup"))
			must(t, x.write("both", "in the backup"))
			mustQuiet(t, x, y)
			if hidden {
				y.asGuest()
			}
			restore := s.server.Backup()
			must(t, y.write("lost", "after the backup"))
			must(t, y.write("both", "after the backup, too"))
			must(t, y.sync())
			x.wire.cut()
			y.wire.cut()
			restore()
			must(t, s.store("both", "after the restore"))
			truth := s.quiet(t, x, y)
			hasOnce(t, truth, "after the backup", "after the backup, too", "after the restore")
			if len(truth) != 3 || truth["lost"].content != "after the backup" || truth["both"].content != "after the restore" {
				t.Errorf("hidden %v: the server has\n%v", hidden, truth)
			}
		})
	}
}

// What one device has given back, and somebody edited then, another one that had it too does not give back once more, though it can't see that.
func TestGivenBackOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.write("f", "in the backup"))
		mustQuiet(t, x, y)
		restore := s.server.Backup()
		must(t, x.write("f", "after the backup"))
		mustQuiet(t, x, y)
		_, err := y.read("f")
		must(t, err)
		y.asGuest()
		mustQuiet(t, x, y)
		y.wire.cut()
		restore()
		hasOnce(t, s.quiet(t, x), "after the backup")
		must(t, x.write("f", "edited then"))
		must(t, x.sync())
		if truth := s.quiet(t, x, y); len(truth) != 1 || truth["f"].content != "edited then" {
			t.Errorf("the server has\n%v", truth)
		}
		if n := y.d.Status().Conflicts; n > 0 {
			t.Errorf("%d conflicts", n)
		}
	})
}

// The last change that a device and a server both know is that after which the first of the epochs began that one of them does not know.
func TestSharedPast(t *testing.T) {
	e := func(n byte) api.ID { return api.ID{15: n} }
	type past = []api.Former
	for _, c := range []struct {
		what         string
		ours, theirs past
		is           api.ID // ours; theirs is 9
		want         int64
	}{
		{"a restore", nil, past{{Epoch: e(1), Seq: 10}}, e(1), 10},
		{"two, of which the first was missed", nil, past{{Epoch: e(1), Seq: 10}, {Epoch: e(2), Seq: 30}}, e(1), 10},
		{"two, of which the first was heard of", past{{Epoch: e(1), Seq: 10}}, past{{Epoch: e(1), Seq: 10}, {Epoch: e(2), Seq: 30}}, e(2), 30},
		{"two of one backup", past{{Epoch: e(1), Seq: 10}}, past{{Epoch: e(1), Seq: 10}}, e(2), 10},
		{"an older backup after that", past{{Epoch: e(1), Seq: 10}}, past{{Epoch: e(1), Seq: 5}}, e(2), 5},
		{"a newer one of the old server", past{{Epoch: e(1), Seq: 10}}, past{{Epoch: e(1), Seq: 20}}, e(2), 10},
		{"a repair after a restore", nil, past{{Epoch: e(1), Seq: 10}, {Epoch: e(2), Seq: 0}}, e(1), 0},
		{"a restore after a repair", past{{Epoch: e(1), Seq: 0}}, past{{Epoch: e(1), Seq: 0}, {Epoch: e(2), Seq: 7}}, e(2), 7},
		{"a server that does not tell", nil, nil, e(1), 0},
	} {
		d := &Drive{syn: syncer{epochs: epochs(c.ours, c.is), least: math.MaxInt64}}
		if got := d.shared(&api.DriveInfo{Epoch: e(9), Former: c.theirs}); got != c.want {
			t.Errorf("%s: %d, not %d", c.what, got, c.want)
		}
	}
}
