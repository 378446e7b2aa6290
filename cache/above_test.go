package cache

import (
	"errors"
	"fmt"
	"testing"
)

// checkAbove compares what is known of what is above what is pending with what each directory says; locked.
func (d *Drive) checkAbove() error {
	unsent, staying := d.aboveUnsent(), d.aboveStaying()
	for _, dir := range d.byID {
		if !dir.isDir() {
			continue
		}
		isUnsent, stays := false, false
		for id, n := range d.journal.under {
			isUnsent = isUnsent || n > d.journal.stayUnder[id] && d.within(id, dir)
			stays = stays || d.journal.stayUnder[id] > 0 && d.journal.staying[id] == nil && d.within(id, dir)
		}
		for _, n := range d.syn.hots {
			isUnsent = isUnsent || !d.stays(n) && d.within(n.up, dir)
			for _, p := range n.hot.left {
				isUnsent = isUnsent || !d.stays(n) && d.within(p.parent, dir)
			}
		}
		if unsent.has(dir.id) != isUnsent || staying.has(dir.id) != stays {
			return fmt.Errorf("in or below the directory %q something is pending: %v, and stays: %v; not %v and %v",
				dir.name, unsent.has(dir.id), staying.has(dir.id), isUnsent, stays)
		}
	}
	return nil
}

// A tree that another device removes goes here, however many files wait to be sent, and for all of its directories
// it is found out once what is above those. What is pending in it keeps its directory.
func TestTreeRemovedWhileMuchWaits(t *testing.T) {
	devices := neighbours(t, "laptop", "desk")
	laptop, desk := devices[0], devices[1]
	const removed, unsent = 200, 100
	must(t, desk.mkdir("modules"))
	for i := range removed {
		must(t, desk.mkdir(fmt.Sprint("modules/", i)))
	}
	mustQuiet(t, devices...)
	laptop.d.Pause("for the test")
	must(t, laptop.mkdir("unsent"))
	for i := range unsent {
		dir := fmt.Sprint("unsent/", i)
		must(t, laptop.mkdir(dir))
		must(t, laptop.write(dir+"/file", "text"))
	}
	must(t, laptop.write("modules/7/file", "unsent"))
	climbed := func() int {
		laptop.d.mu.Lock()
		defer laptop.d.mu.Unlock()
		return laptop.d.climbed
	}
	before := climbed()
	for i := range removed {
		must(t, desk.rmdir(fmt.Sprint("modules/", i)))
	}
	must(t, desk.sync())
	eventually(t, "the directories go here too", func() bool {
		_, err := laptop.stat(fmt.Sprint("modules/", removed-1))
		return errors.Is(err, errNotFound)
	})
	if _, err := laptop.stat("modules/7/file"); err != nil {
		t.Errorf("an unsent file in a directory that was removed: %v", err)
	}
	if n := climbed() - before; n < unsent || n > 10*(unsent+removed) {
		t.Errorf("%d directories were looked at to find out what is above %d files, when %d directories were removed", n, unsent, removed)
	}
	laptop.d.Pause("")
	if truth := mustQuiet(t, devices...); len(truth.find("text")) != unsent || len(truth.find("unsent")) != 1 {
		t.Errorf("the server has\n%v", truth)
	}
}
