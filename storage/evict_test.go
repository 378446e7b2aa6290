package storage

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"satchel/api"
	"satchel/storage/fault"
	"satchel/storage/postgres"
)

// evictAsked makes room where commits asked for it, as [Service.RunEvict] does.
func (w *world) evictAsked(t *testing.T) (gone Expired) {
	t.Helper()
	for d := range w.over.take() {
		some, err := w.evict(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		gone.Add(some)
	}
	return gone
}

func (w *world) setQuota(t *testing.T, d *drive, bytes int) {
	t.Helper()
	if _, err := w.admin.Exec(t.Context(), `UPDATE satchel.users SET quota = $1 WHERE id = $2`, bytes, d.owner.String()); err != nil {
		t.Fatal(err)
	}
}

// versions is how many there are of a file.
func (d *drive) versions(t *testing.T, path string) int {
	t.Helper()
	n, err := d.Lookup(t.Context(), names(t, path))
	if err != nil {
		t.Fatal(err)
	}
	all, err := d.Versions(t.Context(), n.Document)
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestEvictInSteps: where a drive is far over its quota a save takes nothing away; the oldest goes after it, before the rest, in steps between which writers
// go on, and no more than has to.
func TestEvictInSteps(t *testing.T) {
	defer func(step, held int) { expireStep, evictHeld = step, held }(expireStep, evictHeld)
	expireStep, evictHeld = 3, 7
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	const size, each = 100, 10
	text := strings.Repeat("x", size)
	for i := range each { // in turn: what is older is of either kind
		d.store(t, "/saved", text)
		d.store(t, fmt.Sprint("/deleted ", i), text)
		d.unlink(t, fmt.Sprint("/deleted ", i))
	}
	w.setQuota(t, d, 1000)
	d.store(t, "/saved", text)
	if n := d.versions(t, "/saved"); n != each+1 {
		t.Errorf("there are %d versions after a save, not %d", n, each+1)
	}
	steps, written := 0, 0
	disarm := fault.Arm(func(s fault.Step) {
		if s != fault.PastEvicted {
			return
		}
		if steps++; steps > 2 {
			return
		}
		// In a step's transaction this would wait for it, and it for this.
		d.store(t, fmt.Sprint("/written ", steps), text)
		written++
	})
	gone := w.evictAsked(t)
	disarm()
	// 23 of the size are stored, and at most 9 of them may stay.
	if want := (Expired{Versions: 7, Trashed: 7, Bytes: 14 * size}); gone != want || steps < 5 {
		t.Errorf("%+v went in %d steps, not %+v", gone, steps, want)
	}
	if info := d.info(t); info.Stored != 9*size || info.Used != 3*size {
		t.Errorf("there are %+v", info)
	}
	if n := d.versions(t, "/saved"); n != 4 {
		t.Errorf("there are %d versions, not the last 4", n)
	}
	trash, err := d.Trash(t.Context(), 0, 100)
	if err != nil || len(trash.Items) != 3 || trash.Items[0].Path != "deleted 9" || trash.Items[2].Path != "deleted 7" {
		t.Errorf("in the trash is %+v, not the last 3 (%v)", trash.Items, err)
	}
	d.store(t, "/saved", text) // fits
	if gone := w.evictAsked(t); gone != (Expired{}) {
		t.Errorf("%+v went although there is room", gone)
	}
	w.verify(t, d.ID())
}

// TestExpireEvicts: garbage collection makes room in a drive whose quota was lowered and that nobody has changed since; of what the files alone are
// over it nothing goes, and nothing but the past.
func TestExpireEvicts(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	other := w.home(t, w.user(t, "editor"))
	for _, d := range []*drive{d, other} {
		for i := range 5 {
			d.store(t, "/file", strings.Repeat(fmt.Sprint(i), 100))
		}
	}
	w.setQuota(t, d, 250)
	if gone, err := w.Expire(t.Context(), DefaultRetention, time.Now()); err != nil || gone != (Expired{Versions: 3, Bytes: 300}) {
		t.Errorf("%+v went: %v", gone, err)
	}
	w.setQuota(t, d, 50) // by mistake, say
	if gone, err := w.Expire(t.Context(), DefaultRetention, time.Now()); err != nil || gone != (Expired{}) {
		t.Errorf("%+v went where the files alone are over the quota: %v", gone, err)
	}
	w.setQuota(t, d, 100)
	if gone, err := w.Expire(t.Context(), DefaultRetention, time.Now()); err != nil || gone != (Expired{Versions: 1, Bytes: 100}) {
		t.Errorf("%+v went where the files fill the quota: %v", gone, err)
	}
	if gone, err := w.Expire(t.Context(), DefaultRetention, time.Now()); err != nil || gone != (Expired{}) {
		t.Errorf("%+v went where nothing may: %v", gone, err)
	}
	if got, n := d.read(t, "/file"), other.versions(t, "/file"); got != strings.Repeat("4", 100) || n != 5 {
		t.Errorf("the file has %q, and another's %d versions", got, n)
	}
	w.verify(t, d.ID())
}

// TestEvictLooksAgain: what was to go and is used again, or has been since, stays.
func TestEvictLooksAgain(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	of := postgres.OwnedDrive{Drive: d.ID(), Owner: d.owner}
	text := func(c string) string { return strings.Repeat(c, 100) }
	for _, name := range []string{"/restored", "/restored and deleted", "/deleted"} {
		d.store(t, name, text("x"))
		d.unlink(t, name)
	}
	all, err := d.Trash(t.Context(), 0, 10)
	if err != nil || len(all.Items) != 3 {
		t.Fatal(all, err)
	}
	if none, _, err := w.oldest(t.Context(), of, 300); err != nil || len(none) != 0 {
		t.Errorf("where there is room %+v shall go: %v", none, err)
	}
	oldest, whole, err := w.oldest(t.Context(), of, 0)
	if err != nil || !whole || len(oldest) != 3 {
		t.Fatal(oldest, whole, err)
	}
	for _, one := range all.Items[1:] {
		if _, err := d.RestoreTrash(t.Context(), one.Node); err != nil {
			t.Fatal(err)
		}
	}
	d.unlink(t, "/restored and deleted")
	gone, enough, err := w.evictAll(t.Context(), of, oldest, 0)
	if err != nil || enough || gone != (Expired{Trashed: 1, Bytes: 100}) {
		t.Errorf("%+v went, which is enough: %v (%v)", gone, enough, err)
	}
	if got := d.read(t, "/restored"); got != text("x") {
		t.Errorf("what came back has %q", got)
	}
	w.verify(t, d.ID())
}

// TestRunEvict: what a commit put over its quota has room soon after; one that fails, or leaves nothing over it, asks for none.
func TestRunEvict(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	w.setQuota(t, d, 250)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.RunEvict(ctx)
	}()
	for range 4 {
		d.store(t, "/file", strings.Repeat("x", 100))
	}
	for until := time.Now().Add(30 * time.Second); d.info(t).Stored > 250; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("it is over its quota still: %+v", d.info(t))
		}
	}
	cancel()
	<-ended
	if _, err := d.Store(t.Context(), names(t, "/large"), strings.NewReader(strings.Repeat("x", 200)), PutOptions{}); api.KindOf(err) != api.Quota {
		t.Errorf("over the quota: %v", err)
	}
	if asked := w.over.take(); len(asked) != 0 {
		t.Errorf("room is asked for in %v", asked)
	}
}
