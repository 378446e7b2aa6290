package cache

import (
	"os"
	"strings"
	"testing"
	"time"
)

// Content that can't be opened for a while is sent once it can be, and the status says why it is not.
func TestContentCannotBeOpenedForAWhile(t *testing.T) {
	for _, rests := range []bool{false, true} { // the content file is closed between the save and the upload
		v := alone(t)
		mustQuiet(t, v)
		v.wire.cut()
		if rests {
			v.idle = 1
		}
		must(t, v.write("other", "not sent"))
		time.Sleep(2 * time.Millisecond) // an id that is later: files come in the order of their ids when the cache is opened
		must(t, v.write("draft", "not sent either"))
		v.end()
		v.start()
		file, _ := v.slotOf(t, "draft")
		v.d.mu.Lock()
		for _, n := range v.d.syn.hots {
			if n.name == "draft" && (n.c == nil) != rests {
				t.Errorf("its content is closed: %v", n.c == nil)
			}
		}
		v.d.mu.Unlock()
		must(t, os.Rename(file, file+"~"))
		v.wire.mend()
		soon(t, func() bool { return strings.Contains(v.d.Status().Problem, "draft") })
		must(t, os.Rename(file+"~", file))
		soon(t, func() bool { return v.d.Status().PendingMutations == 0 })
		if truth := mustQuiet(t, v); truth["draft"].content != "not sent either" || truth["other"].content != "not sent" {
			t.Errorf("the server has\n%v", truth)
		}
	}
}
