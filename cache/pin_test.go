package cache

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"satchel/api"
)

// A lateFeed answers the first poll only when it is let.
type lateFeed struct {
	*shelf
	let chan struct{}
}

func (f *lateFeed) Changes(ctx context.Context, life, epoch api.ID, after int64, wait time.Duration) (api.Changes, error) {
	select {
	case <-f.let:
		return f.shelf.Changes(ctx, life, epoch, after, wait)
	case <-ctx.Done():
		return api.Changes{}, ctx.Err()
	}
}

// Who pins right after the mount is not told that the server can't be reached before anybody knows it.
func TestPinRightAfterTheMount(t *testing.T) {
	s := newShelf()
	s.add(api.ID{}, "keep", noise(1<<20))
	feed := &lateFeed{s, make(chan struct{})}
	d, err := Open(Config{Dir: t.TempDir(), Remote: feed, DeviceName: "test", Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	must(t, err)
	t.Cleanup(func() { d.Close() })
	d.Start(noKernel{})
	pinned := make(chan error, 1)
	go func() { pinned <- d.Pin(t.Context(), "keep") }()
	soon(t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.pins.roots) == 1
	})
	close(feed.let)
	must(t, <-pinned)
	if !here(t, d, "keep") {
		t.Error("what was pinned is not here")
	}
}

// What is pinned is listed where it is now, after a start too; what was removed is not.
func TestPinsAreListed(t *testing.T) {
	s := newShelf()
	s.add(api.ID{}, "keep", noise(1<<10))
	s.add(api.ID{}, "gone", noise(1<<10))
	config := Config{Dir: t.TempDir(), Remote: s, DeviceName: "test", Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	d, err := Open(config)
	must(t, err)
	d.Start(noKernel{})
	must(t, d.Pin(t.Context(), "keep"))
	must(t, d.Pin(t.Context(), "gone"))
	must(t, d.Pin(t.Context(), ""))
	must(t, d.Unlink(rootFID, "gone", nil))
	want := []Pin{{"", true}, {"keep", false}}
	for range 2 {
		if got, err := d.Pins(); err != nil || !slices.Equal(got, want) {
			t.Fatalf("pinned: %v, %v; want %v", got, err, want)
		}
		if n := d.Status().Pinned; n != len(want) {
			t.Fatalf("the status has %d pinned, want %d", n, len(want))
		}
		must(t, d.Close())
		d, err = Open(config)
		must(t, err)
	}
	must(t, d.Close())
}

// A pin stays with the file's name when a program, here or on another device, writes a new file and renames it over the pinned one.
func TestPinStaysWhenSavedByRename(t *testing.T) {
	a, b, _, _ := pair(t)
	must(t, a.write("letter", "1"))
	must(t, a.write("other", "1"))
	mustQuiet(t, a, b)
	must(t, a.d.Pin(t.Context(), "letter"))
	want := func(when string) {
		t.Helper()
		if all, err := a.d.Pins(); err != nil || len(all) != 1 || all[0].Path != "letter" {
			t.Errorf("%s: %v, %v", when, all, err)
		}
	}
	save := func(v *device, text string) {
		t.Helper()
		must(t, v.write("new", text))
		must(t, v.rename("new", "letter", 0))
		mustQuiet(t, a, b)
	}
	save(a, "2")
	want("saved here")
	save(b, "3")
	want("saved elsewhere")
	soon(t, func() bool { return here(t, a.d, "letter") })
	a.restart()
	want("after a restart")
	must(t, a.d.Unpin(t.Context(), "letter"))
	if all, err := a.d.Pins(); err != nil || len(all) != 0 {
		t.Errorf("unpinned: %v, %v", all, err)
	}
}

// has tells whether a file's content is here.
func (v *device) has(t *testing.T, path string) bool {
	t.Helper()
	a, err := v.stat(path)
	must(t, err)
	return slotOf(v.d, a.FID) != 0
}

// idOf is the id of the node at a path.
func (v *device) idOf(t *testing.T, path string) api.ID {
	t.Helper()
	a, err := v.stat(path)
	must(t, err)
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	return v.d.byFID[a.FID].id
}

// A file that can't be had, and one that another device has just removed, end the fetching of no other; who pins is told, and they are
// tried again.
func TestPinGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.mkdir("keep"))
		must(t, x.mkdir("keep/below"))
		var names []string
		for i := range 10 {
			names = append(names, fmt.Sprint("keep/", i), fmt.Sprint("keep/below/", i))
		}
		for _, name := range names {
			must(t, x.write(name, "text of "+name))
		}
		names = append(names, "keep/film", "keep/video")
		must(t, x.write("keep/film", strings.Repeat("a film. ", 1<<20)))
		must(t, x.write("keep/video", strings.Repeat("a video ", 1<<20)))
		must(t, x.sync())
		lost := map[api.ID]error{}
		id := func(name string) api.ID {
			t.Helper()
			eventually(t, "y knows "+name, func() bool { _, err := y.stat(name); return err == nil })
			return y.idOf(t, name)
		}
		lost[id("keep/3")] = api.Errorf(api.Internal, "a chunk is lost")
		lost[id("keep/film")] = api.Errorf(api.Internal, "a chunk is lost")
		lost[id("keep/below/7")] = api.Errorf(api.NotFound, "there is no such file or directory")
		y.deafen(true)
		must(t, x.unlink("keep/below/7"))
		must(t, x.sync())
		y.wire.faults(func(w *wire) { w.lacks = func(node api.ID) error { return lost[node] } })
		eventually(t, "y is connected again", func() bool { return y.d.connected.Load() })

		err := y.d.Pin(t.Context(), "keep")
		if api.KindOf(err) != api.Unavailable || !strings.Contains(err.Error(), `"keep/3" and 2 more`) {
			t.Errorf("it is said: %v", err)
		}
		for _, name := range names {
			if want := name != "keep/3" && name != "keep/film" && name != "keep/below/7"; y.has(t, name) != want {
				t.Errorf("%s is here: %v", name, !want)
			}
		}
		if n := y.d.Status().PinnedMissing; n != 3 {
			t.Errorf("the status has %d missing", n)
		}
		y.deafen(false)
		y.wire.faults(func(w *wire) { w.lacks = nil })
		time.Sleep(2 * pinRetry)
		for _, name := range []string{"keep/3", "keep/film"} {
			if !y.has(t, name) {
				t.Errorf("%s was not tried again", name)
			}
		}
		if n := y.d.Status().PinnedMissing; n != 0 {
			t.Errorf("in the end the status has %d missing", n)
		}
		must(t, y.d.Pin(t.Context(), "keep"))
	})
}

// What is not pinned any more is not missing, and not tried again.
func TestUnpinForgetsWhatIsMissing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.mkdir("keep"))
		must(t, x.write("keep/letter", "a letter"))
		must(t, x.sync())
		eventually(t, "y knows it", func() bool { _, err := y.stat("keep/letter"); return err == nil })
		var asked atomic.Int64
		y.wire.faults(func(w *wire) {
			w.lacks = func(api.ID) error { asked.Add(1); return api.Errorf(api.Internal, "a chunk is lost") }
		})
		if err := y.d.Pin(t.Context(), "keep"); api.KindOf(err) != api.Unavailable {
			t.Errorf("pinned: %v", err)
		}
		must(t, y.d.Unpin(t.Context(), "keep"))
		time.Sleep(time.Second)
		before := asked.Load()
		time.Sleep(time.Hour)
		if n := y.d.Status().PinnedMissing; n != 0 || asked.Load() != before {
			t.Errorf("%d missing, and asked for %d times more", n, asked.Load()-before)
		}
	})
}

// A version that comes while the one before is fetched for a pin is fetched too, before it is said that all is here.
func TestPinFetchesWhatIsSavedMeanwhile(t *testing.T) {
	for name, size := range map[string]int{"large": wholeSize + 1, "small, of a kernel that collects writes": 10} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
				y.d.mu.Lock()
				y.kern.collects = size <= wholeSize
				y.d.mu.Unlock()
				save := func(size int) {
					t.Helper()
					must(t, x.write("f", strings.Repeat("x", size)))
					must(t, x.sync())
					eventually(t, "y hears of it", func() bool { a, err := y.stat("f"); return err == nil && a.Size == int64(size) })
				}
				save(size)
				begun, goOn := make(chan bool, 100), make(chan bool)
				y.wire.faults(func(w *wire) {
					w.lacks = func(api.ID) error { begun <- true; <-goOn; return nil }
				})
				pinned := make(chan error)
				go func() { pinned <- y.d.Pin(t.Context(), "f") }()
				<-begun
				save(size + 1)
				close(goOn)
				if err := <-pinned; err != nil || !y.has(t, "f") {
					t.Errorf("pinned: %v; the new version is here: %v", err, y.has(t, "f"))
				}
			})
		})
	}
}

// A file of a pinned folder stays here, and is kept up to date, though it has another name too by which it was last reached.
func TestPinKeepsWhatHasAnotherName(t *testing.T) {
	const limit = 1 << 20
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		for _, name := range []string{"keep", "out", "more"} {
			must(t, x.mkdir(name))
		}
		const more = 12
		fill := strings.Repeat("f", limit/8)
		for _, name := range []string{"keep/a", "keep/here", "keep/there", "keep/before"} {
			must(t, x.write(name, fill))
		}
		for i := range more {
			must(t, x.write(fmt.Sprint("more/", i), fill))
		}
		must(t, x.link("keep/before", "out/before"))
		must(t, x.sync())
		y.cfg.Limit = limit
		y.restart()
		eventually(t, "y knows them", func() bool { _, err := y.stat("out/before"); return err == nil })
		must(t, y.d.Pin(t.Context(), "keep"))
		first := y.idOf(t, "keep/a")
		must(t, y.link("keep/here", "out/here"))
		must(t, x.link("keep/there", "out/there"))
		must(t, x.sync())
		eventually(t, "y hears of the link", func() bool { _, err := y.stat("out/there"); return err == nil })
		mustQuiet(t, x, y)
		// press reads them, and then so much that they go if they may.
		press := func() {
			t.Helper()
			for _, name := range []string{"here", "there", "before"} {
				_, err := y.read("out/" + name)
				must(t, err)
			}
			for i := range more {
				time.Sleep(time.Second) // what was used longest ago goes first
				_, err := y.read(fmt.Sprint("more/", i))
				must(t, err)
			}
			eventually(t, "there is room again", func() bool { return y.d.Status().CacheBytes <= limit })
		}
		all := func(when string) {
			t.Helper()
			for _, name := range []string{"here", "there", "before"} {
				if !y.has(t, "out/"+name) {
					t.Errorf("%s: %s is not here any more", when, name)
				}
			}
		}
		press()
		all("in the end")
		y.restart()
		press()
		all("after a restart")

		busy := func(on bool) {
			y.wire.faults(func(w *wire) {
				if w.lacks = nil; on {
					w.lacks = func(node api.ID) error {
						if node == first {
							return api.Errorf(api.RateLimited, "come again later")
						}
						return nil
					}
				}
			})
		}
		busy(true)
		must(t, x.write("keep/a", "new"))
		must(t, x.sync())
		eventually(t, "y hears of it", func() bool { a, err := y.stat("keep/a"); return err == nil && a.Size == 3 })
		y.restart()
		press()
		all("before the pinner has been everywhere")
		busy(false)
		must(t, y.d.Pin(t.Context(), "keep"))

		must(t, x.write("out/there", fill+"!"))
		must(t, x.sync())
		eventually(t, "the new version is here", func() bool {
			a, err := y.stat("out/there")
			return err == nil && a.Size > limit/8 && y.has(t, "out/there")
		})
		must(t, y.unlink("keep/here"))
		press()
		if y.has(t, "out/here") {
			t.Error("what is not in the pinned folder any more stays")
		}
	})
}
