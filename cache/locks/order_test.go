//go:build lockorder

package locks

import (
	"testing"

	"github.com/sasha-s/go-deadlock"
)

func TestWrongOrderIsNoticed(t *testing.T) {
	was := deadlock.Opts
	defer func() { deadlock.Opts = was }()
	var found int
	deadlock.Opts.OnPotentialDeadlock = func() { found++ }
	deadlock.Opts.LogBuf = t.Output()
	var big, small Mutex
	big.Lock()
	small.Lock()
	small.Unlock()
	big.Unlock()
	if found != 0 {
		t.Fatalf("%d faults in one order", found)
	}
	small.Lock()
	big.Lock()
	big.Unlock()
	small.Unlock()
	if found != 1 {
		t.Errorf("%d faults in the other order, not one", found)
	}
}
