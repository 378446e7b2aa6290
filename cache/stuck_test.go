package cache

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// queues is what a drive has waiting, of everything that could grow.
type queues struct{ goroutines, fetches, left, journal, sent, events, notes, jobs int }

func (v *device) queues() (q queues) {
	d := v.d
	d.mu.Lock()
	q.left, q.journal, q.events = len(d.left), len(d.journal.order), len(d.syn.events)+len(d.syn.told)
	if d.syn.flight != nil {
		q.sent = len(d.syn.flight.Entries)
	}
	for _, n := range d.byFID {
		if n.fetch != nil {
			q.fetches++
		}
	}
	d.mu.Unlock()
	d.notes.mu.Lock()
	q.notes = len(d.notes.todo)
	d.notes.mu.Unlock()
	d.slots.mu.Lock()
	q.jobs = len(d.slots.jobs)
	d.slots.mu.Unlock()
	q.goroutines = runtime.NumGoroutine()
	return q
}

// A server that takes every call and answers none: what is here works at once, what was never fetched fails within patience,
// and nothing grows with the number of calls. When the server goes on, so does everything. The time is that of the bubble, in which only
// who waits takes any.
func TestStuckServer(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		const cold = 400
		must(t, x.mkdir("known"))
		must(t, x.mkdir("cold"))
		for i := range cold {
			must(t, x.mkdir(fmt.Sprint("cold/", i)))
			must(t, x.write(fmt.Sprint("cold/", i, "/f"), fmt.Sprint("text ", i)))
			must(t, x.write(fmt.Sprint("known/remote", i), fmt.Sprint("text of ", i)))
		}
		must(t, x.write("known/film", strings.Repeat("a film. ", 1<<20)))
		must(t, x.sync())
		for _, dir := range []string{"known", "cold"} {
			eventually(t, "y lists what it knows", func() bool { _, err := y.stat(dir + "/none"); return api.KindOf(err) == api.NotFound })
		}
		must(t, y.write("known/mine", "mine"))
		must(t, y.sync())
		time.Sleep(time.Minute)
		before := y.queues()
		goOn := y.wire.stick()

		most := before
		look := func() {
			q := y.queues()
			most = queues{max(most.goroutines, q.goroutines), max(most.fetches, q.fetches), max(most.left, q.left), max(most.journal, q.journal), max(most.sent, q.sent),
				max(most.events, q.events), max(most.notes, q.notes), max(most.jobs, q.jobs)}
		}
		local := func(what string, err error, since time.Time) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if took := time.Since(since); took > 0 {
				t.Fatalf("%s waited for %v", what, took)
			}
		}
		const rounds = 2000
		for i := range rounds {
			start := time.Now()
			local("write", y.write("known/draft", fmt.Sprint("draft ", i)), start)
			local("rename", y.rename("known/draft", "known/saved", 0), start)
			text, err := y.read("known/mine")
			local("read", err, start)
			if text != "mine" {
				t.Fatalf("it has %q", text)
			}
			_, err = y.stat("known/remote1")
			local("stat", err, start)
			if _, err := y.stat("known/none"); api.KindOf(err) != api.NotFound {
				t.Fatalf("a missing name: %v", err)
			}
			local("mkdir", y.mkdir("known/d"), start)
			local("write below it", y.write("known/d/f", "f"), start)
			local("unlink", y.unlink("known/d/f"), start)
			local("rmdir", y.rmdir("known/d"), start)
			if i%100 == 0 {
				time.Sleep(time.Second)
				look()
			}
		}

		// Programs that wait their time out, several at once. Each call has its own.
		const programs, each = 32, 4
		patiently := func(what string, call func() error) {
			t.Helper()
			start := time.Now()
			if err := call(); api.KindOf(err) != api.Unavailable {
				t.Errorf("%s: %v", what, err)
			}
			if took := time.Since(start); took > patience {
				t.Errorf("%s took %v", what, took)
			}
		}
		lookup := func(parent uint64, name string, intr Interrupt) (uint64, error) {
			a, err := y.d.Lookup(parent, name, intr)
			return a.FID, err
		}
		dirs, files := map[int]uint64{}, map[int]uint64{}
		parent, err := lookup(rootFID, "cold", nil)
		must(t, err)
		known, err := lookup(rootFID, "known", nil)
		must(t, err)
		for i := range cold {
			dirs[i], err = lookup(parent, fmt.Sprint(i), nil)
			must(t, err)
			files[i], err = lookup(known, fmt.Sprint("remote", i), nil)
			must(t, err)
		}
		film, err := lookup(known, "film", nil)
		must(t, err)
		var wg sync.WaitGroup
		for i := range programs {
			wg.Go(func() {
				for k := i; k < programs*each; k += programs {
					patiently("a look into a directory that was never listed", func() error { _, err := lookup(dirs[k], "f", nil); return err })
					patiently("its listing", func() error {
						return y.d.ReadDir(dirs[k], 0, nil, func(Dirent) bool { return true }, func(Attr) {})
					})
					patiently("an open of what was never fetched", func() error { _, err := y.d.Open(files[k], unix.O_RDWR, self, nil); return err })
				}
			})
		}
		wg.Go(func() {
			_, err := y.d.Open(film, unix.O_RDONLY, self, nil)
			must(t, err)
			patiently("a read of a large file", func() error { _, _, err := y.d.Read(film, 0, 4096, nil); return err })
			y.d.Release(film, unix.O_RDONLY)
			patiently("a large file opened for writing", func() error { _, err := y.d.Open(film, unix.O_RDWR, self, nil); return err })
		})
		for range 100 {
			time.Sleep(time.Second)
			look()
		}
		wg.Wait()

		// Programs that give up at once, and the next one tries the next directory.
		for i := range cold {
			intr := make(chan struct{})
			close(intr)
			if _, err := lookup(dirs[i], "f", intr); api.KindOf(err) != api.Cancelled {
				t.Fatalf("interrupted: %v", err)
			}
			synctest.Wait()
			look()
		}

		// A machine that wakes up does not wait for such a server at every name that is missing.
		y.clock.(*sleeper).suspend(time.Hour)
		start := time.Now()
		for range 20 {
			if _, err := lookup(known, "none", nil); api.KindOf(err) != api.NotFound {
				t.Fatalf("a missing name: %v", err)
			}
		}
		if took := time.Since(start); took > patience+catchUpFor {
			t.Errorf("after a suspension 20 missing names took %v", took)
		}

		t.Logf("before %+v, at most %+v", before, most)
		// Listing a directory takes a few goroutines, as long as somebody waits or it is one of the last that were left.
		if bound := before.goroutines + 5*(maxLeft+programs); most.goroutines > bound || most.left > maxLeft {
			t.Errorf("%d goroutines, of at most %d, and %d listings that nobody waits for", most.goroutines, bound, most.left)
		}
		if most.journal > 200 || most.events > before.events || most.notes > 100 || most.jobs > 100 {
			t.Error("queues grow with the number of calls")
		}
		time.Sleep(2 * unanswered)
		if now := y.queues(); now.goroutines > before.goroutines+programs || now.fetches > 0 || now.left > 0 {
			t.Errorf("when nobody asks for anything there are %+v", now)
		}
		goOn()
		hasOnce(t, mustQuiet(t, x, y), "mine", fmt.Sprint("draft ", rounds-1), "text 7", "text of 7")
		time.Sleep(time.Minute)
		if now := y.queues(); now.goroutines > before.goroutines+2 || now.fetches > 0 {
			t.Errorf("in the end there are %+v", now)
		}
	})
}
