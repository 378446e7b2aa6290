package cache

import (
	"testing"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// A rename whose target another device has moved below its source, since the kernel looked, makes no circle.
func TestRenameMakesNoCircle(t *testing.T) {
	a, b, _, _ := pair(t)
	for _, dir := range []string{"s", "q", "q/x"} {
		must(t, a.mkdir(dir))
	}
	mustQuiet(t, a, b)
	q, err := a.stat("q")
	must(t, err)
	must(t, b.rename("q", "s/q", 0))
	mustQuiet(t, a, b)
	for _, c := range []struct {
		from, to      uint64
		name, newName string
		flags         uint32
	}{
		{rootFID, q.FID, "s", "s", 0},
		{rootFID, q.FID, "s", "x", 0},
		{rootFID, q.FID, "s", "x", unix.RENAME_EXCHANGE},
		{q.FID, rootFID, "x", "s", unix.RENAME_EXCHANGE},
	} {
		if err := a.d.Rename(c.from, c.name, c.to, c.newName, c.flags, nil); api.KindOf(err) != api.Invalid {
			t.Fatalf("%s to %s with %d: %v", c.name, c.newName, c.flags, err)
		}
	}
	if truth := mustQuiet(t, a, b); truth["s/q/x"].typ != "d" || len(truth) != 3 {
		t.Errorf("in the end:\n%v", truth)
	}
}
