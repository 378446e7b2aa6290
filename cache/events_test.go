package cache

import (
	"path"
	"testing"
	"time"
)

// A conflict is told of until its copy is gone or has another name, whoever does that; also after a start.
func TestSettledConflictsAreNotTold(t *testing.T) {
	laptop, desk, _, _ := pair(t)
	names := []string{"removed.txt", "renamed.txt", "removed by the other.txt", "kept.txt", "caf\xe9"}
	must(t, desk.mkdir("d"))
	for _, name := range names {
		must(t, desk.write("d/"+name, "0"))
	}
	mustQuiet(t, laptop, desk)
	laptop.wire.cut()
	for _, name := range names {
		must(t, laptop.write("d/"+name, "laptop's"))
		must(t, desk.write("d/"+name, "desk's"))
	}
	must(t, desk.sync())
	laptop.wire.mend()
	mustQuiet(t, laptop, desk)

	tells := func(want ...string) {
		t.Helper()
		s := laptop.d.Status()
		told := map[string]string{}
		for _, e := range s.Events {
			told[path.Base(string(e.Path))] = string(e.Now)
		}
		if len(told) != len(want) || s.Unsettled != len(want) || s.Conflicts != len(names) {
			t.Fatalf("the status has %v, unsettled %d, conflicts %d; want %q", told, s.Unsettled, s.Conflicts, want)
		}
		for _, name := range want {
			if told[name] == "" {
				t.Fatalf("the status does not tell of %s: %v", name, told)
			}
		}
	}
	tells(names...)
	copies := map[string]string{}
	for _, e := range laptop.d.Status().Events {
		copies[path.Base(string(e.Path))] = "d/" + string(e.Now)
	}
	must(t, laptop.unlink(copies["removed.txt"]))
	must(t, laptop.rename(copies["renamed.txt"], "d/mine.txt", 0))
	must(t, desk.unlink(copies["removed by the other.txt"]))
	mustQuiet(t, laptop, desk)
	tells("kept.txt", "caf\xe9")
	laptop.restart()
	tells("kept.txt", "caf\xe9") // a name of any bytes is found again
	must(t, laptop.rename(copies["kept.txt"], "d/kept.txt", 0))
	must(t, laptop.unlink(copies["caf\xe9"]))
	tells()

	// What needs no look is news for a while only.
	laptop.d.mu.Lock()
	laptop.d.syn.events = []Event{
		{Time: time.Now(), What: EventKept, Path: "new"},
		{Time: time.Now().Add(-2 * oldNews), What: EventKept, Path: "old"},
		{Time: time.Now(), What: EventStuck, Path: "stuck"}, // nothing fails now
	}
	laptop.d.mu.Unlock()
	if s := laptop.d.Status(); len(s.Events) != 1 || s.Events[0].Path != "new" || s.Unsettled != 0 {
		t.Errorf("the status has %v", s.Events)
	}
}

// The path of a conflict is whole, also when nobody has looked at the directories above it since the start.
func TestConflictsHaveWholePaths(t *testing.T) {
	laptop, desk, _, _ := pair(t)
	must(t, desk.mkdir("deep"))
	must(t, desk.mkdir("deep/er"))
	must(t, desk.write("deep/er/note", "0"))
	mustQuiet(t, laptop, desk)
	laptop.wire.cut()
	must(t, laptop.write("deep/er/note", "laptop's"))
	must(t, desk.write("deep/er/note", "desk's"))
	must(t, desk.sync())
	laptop.restart()
	mustQuiet(t, laptop, desk)
	if s := laptop.d.Status(); len(s.Events) != 1 || s.Events[0].Path != "deep/er/note" {
		t.Errorf("the status has %v", s.Events)
	}
}
