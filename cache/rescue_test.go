package cache

import (
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// In a drive that has its own way to keep what was refused, that gets the
// content, once it takes it, and nothing of it is left in the drive.
func TestRefusedWorkIsRescued(t *testing.T) {
	a, b, _, u := pair(t)
	must(t, a.mkdir("d"))
	must(t, a.write("d/edited", "small"))
	mustQuiet(t, a, b)

	var mu sync.Mutex
	kept := map[string]string{}
	failures := 2
	a.end()
	a.wire.mend()
	a.cfg.Rescue = func(name string, content io.Reader) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if failures--; failures >= 0 {
			return "", errors.New("no room for it yet")
		}
		b, err := io.ReadAll(content)
		kept[name] = string(b)
		return "Recovered 2/2 " + name, err
	}
	a.start()
	must(t, u.SetQuota(1000))
	large := strings.Repeat("large ", 1000)
	must(t, a.write("d/new", large))
	must(t, a.write("d/edited", large+"edit"))
	must(t, a.write("d/after", "goes on"))
	eventually(t, "the rest goes on, and what was refused is kept", func() bool {
		text, err := b.read("d/after")
		mu.Lock()
		defer mu.Unlock()
		return err == nil && text == "goes on" && a.d.Status().Refused >= 2 && kept["new"] == large && kept["edited"] == large+"edit"
	})
	truth := mustQuiet(t, a, b)
	if len(truth) != 3 || truth["d/edited"].content != "small" {
		t.Errorf("the drive has\n%v", truth)
	}
	a.restart()
	if truth := mustQuiet(t, a, b); len(truth) != 3 {
		t.Errorf("after a restart the drive has\n%v", truth)
	}

	// Whether somebody has looked at it is not known here: it is told, however old, and where it is now.
	a.d.mu.Lock()
	for i, e := range a.d.syn.events {
		if e.What == EventRefused && string(e.Now) != "Recovered 2/2 "+path.Base(string(e.Path)) {
			t.Errorf("%q is said to be %q now", e.Path, e.Now)
		}
		a.d.syn.events[i].Time = time.Now().Add(-2 * oldNews)
	}
	a.d.mu.Unlock()
	if s := a.d.Status(); s.Unsettled < 2 {
		t.Errorf("unsettled %d of %d refused: %v", s.Unsettled, s.Refused, s.Events)
	}
}

// What is kept already is not kept again when the answer comes again, as another file of the batch could not be kept, nor after a restart; what
// was changed since is.
func TestRescuedOnce(t *testing.T) {
	a, b, _, u := pair(t)
	must(t, a.mkdir("d"))
	mustQuiet(t, a, b)
	var mu sync.Mutex
	kept := map[string][]string{}
	refuse := true
	a.end()
	a.wire.mend()
	a.cfg.Rescue = func(name string, content io.Reader) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		b, err := io.ReadAll(content)
		kept[name] = append(kept[name], string(b))
		if name == "last" && refuse {
			return "", errors.New("no room for it yet")
		}
		return "Recovered/" + name, err
	}
	tries := func(name string) int {
		mu.Lock()
		defer mu.Unlock()
		return len(kept[name])
	}
	a.start()
	must(t, u.SetQuota(1000))
	large := strings.Repeat("large ", 1000)
	a.wire.stopUploads(true) // they are to be of one batch
	for _, name := range []string{"first", "changed", "last"} {
		must(t, a.write("d/"+name, large))
	}
	a.wire.stopUploads(false)
	eventually(t, "the last one fails again and again", func() bool { return tries("last") > 2 })
	at, err := a.stat("d/changed")
	must(t, err)
	size := int64(len(large) / 2) // more is not allowed
	_, err = a.d.Setattr(at.FID, Change{Size: &size}, nil)
	must(t, err)
	eventually(t, "what was changed since is kept", func() bool {
		mu.Lock()
		defer mu.Unlock()
		all := kept["changed"]
		return all[len(all)-1] == large[:size]
	})
	a.restart()
	before := tries("last")
	eventually(t, "the last one fails after a restart", func() bool { return tries("last") > before+1 })
	mu.Lock()
	refuse = false
	mu.Unlock()
	if truth := mustQuiet(t, a, b); len(truth) != 1 {
		t.Errorf("the drive has\n%v", truth)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(kept["first"], []string{large}) || kept["changed"][0] != large {
		t.Errorf("the first was kept %d times, that which was changed since %d times", len(kept["first"]), len(kept["changed"]))
	}
	for _, e := range a.d.Status().Events {
		if e.What == EventRefused && string(e.Now) != "Recovered/"+path.Base(string(e.Path)) {
			t.Errorf("%q is said to be %q now", e.Path, e.Now)
		}
	}
}
