package cache

import (
	"fmt"
	"testing"
)

// However often a file is saved before it can be sent, the journal has one
// change of it, and the replica's log does not grow without bound.
func TestSavesAreBounded(t *testing.T) {
	v := alone(t)
	must(t, v.write("letter", "first"))
	mustQuiet(t, v)
	v.wire.cut()
	const saves = 20_000
	for i := range saves {
		if i%2 == 0 {
			must(t, v.write("letter", fmt.Sprint("save ", i)))
			continue
		}
		must(t, v.write("letter.tmp", fmt.Sprint("save ", i)))
		must(t, v.rename("letter.tmp", "letter", 0))
	}
	v.d.mu.Lock()
	live, kept := v.d.journal.live, len(v.d.journal.order)
	v.d.mu.Unlock()
	t.Logf("after %d saves: %d changes pending, %d kept in memory, %d bytes on disk", saves, live, kept, v.d.st.Metrics().DiskSpaceUsage())
	if live > 8 || kept > 200 {
		t.Errorf("%d changes pending, %d kept in memory", live, kept)
	}
	if n := v.d.st.Metrics().DiskSpaceUsage(); n > 128<<20 {
		t.Errorf("the replica takes %d bytes", n)
	}
	if truth := mustQuiet(t, v); truth["letter"].content != fmt.Sprint("save ", saves-1) || len(truth) != 1 {
		t.Errorf("the server has\n%v", truth)
	}
}
