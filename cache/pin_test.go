package cache

import (
	"context"
	"log/slog"
	"slices"
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
