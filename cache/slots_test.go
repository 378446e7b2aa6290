package cache

import (
	"fmt"
	"testing"
)

// After a burst that used up content files there are enough for the next one; where nothing was written there are none.
func TestContentFilesAreMadeAfterTheWork(t *testing.T) {
	v := alone(t)
	must(t, v.d.st.settle())
	free := func() int {
		v.d.mu.Lock()
		defer v.d.mu.Unlock()
		return len(v.d.slots.free)
	}
	if k := free(); k != 0 {
		t.Errorf("%d were made before anything was written", k)
	}
	for i := range 100 {
		must(t, v.write(fmt.Sprintf("file %d", i), "x"))
	}
	must(t, v.d.st.settle())
	eventually(t, "there are content files for the next burst", func() bool { return free() >= stock })
}
