package cache

import (
	"errors"
	"testing"
	"time"

	"satchel/api"
	"satchel/integration/sim"
)

// A login under which the server has another drive than the one of the cache sends nothing to it, hears nothing of it, and leaves all as it is here,
// whichever of its ways to the server is used first. With the right one all goes on.
func TestAnotherDrive(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, _ *device) {
		must(t, x.mkdir("d"))
		must(t, x.write("d/f", "of the drive"))
		mustQuiet(t, x)
		x.wire.cut()
		must(t, x.write("d/g", "not sent"))
		before := x.d.Status().PendingMutations
		its, another := x.wire.Remote, sim.New(api.NewID())
		x.wire.Remote = another.Device(x.cfg.Device, x.name)
		x.restart()
		eventually(t, "the status says it", func() bool { return x.d.Status().Problem != "" })
		time.Sleep(5 * time.Minute)
		now := x.d.Status()
		if !errors.Is(x.d.syn.problem, errAnother) || now.Connected || now.PendingMutations != before {
			t.Errorf("with another drive: connected %t, %d of %d changes wait, the problem: %v", now.Connected, now.PendingMutations, before, x.d.syn.problem)
		}
		if info, err := x.wire.Remote.Info(t.Context()); err != nil || info.Files != 0 || info.Stored != 0 {
			t.Errorf("the other drive has %+v, %v", info, err)
		}
		if text, err := x.read("d/f"); err != nil || text != "of the drive" {
			t.Errorf("the file became %q, %v", text, err)
		}
		x.wire.cut()
		x.wire.Remote = its
		hasOnce(t, s.quiet(t, x), "of the drive", "not sent")

		// The same when that comes up while all goes well.
		x.wire.cut()
		x.wire.Remote = another.Device(x.cfg.Device, x.name)
		x.wire.mend()
		if err := x.d.relist(); !errors.Is(err, errAnother) {
			t.Errorf("the other drive was listed: %v", err)
		}
		must(t, x.write("d/h", "sent later"))
		time.Sleep(5 * time.Minute)
		if info, err := x.wire.Remote.Info(t.Context()); err != nil || info.Files != 0 || info.Stored != 0 {
			t.Errorf("the other drive has %+v, %v", info, err)
		}
		x.wire.cut()
		x.wire.Remote = its
		hasOnce(t, s.quiet(t, x), "of the drive", "not sent", "sent later")
	})
}
