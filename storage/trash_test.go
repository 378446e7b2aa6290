package storage

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	"satchel/api"
	"satchel/storage/fault"
)

// trashed is the paths of what the trash lists.
func (d *drive) trashed(t testing.TB) (all []string) {
	t.Helper()
	page, err := d.Trash(t.Context(), 0, MaxTrashPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range page.Items {
		all = append(all, string(item.Path))
	}
	return all
}

// The trash is emptied in steps: writers go on in between, what they delete stays, and so does what is gone when it is broken off.
func TestEmptyTrashInSteps(t *testing.T) {
	defer func(was int) { emptyStep = was }(emptyStep)
	emptyStep = 2
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	const files = 7
	for i := range files {
		d.store(t, fmt.Sprint("deleted/", i), "seven b")
	}
	if err := d.Remove(t.Context(), names(t, "deleted")); err != nil {
		t.Fatal(err)
	}
	steps := 0
	ctx, breakOff := context.WithCancel(t.Context())
	defer fault.Arm(func(s fault.Step) {
		if s != fault.TrashEmptied {
			return
		}
		if steps++; steps == 1 {
			breakOff()
			return
		}
		// In a step's transaction this would wait for it, and it for this.
		path := fmt.Sprint("written ", steps)
		d.store(t, path, "meanwhile")
		d.unlink(t, path)
	})()
	if gone, err := d.EmptyTrash(ctx); err == nil || gone.Items != 2 {
		t.Errorf("when it was broken off %+v were gone: %v", gone, err)
	}
	if all := d.trashed(t); len(all) != 1 || all[0] != "deleted" {
		t.Errorf("what was left is %q", all)
	}
	gone, err := d.EmptyTrash(t.Context())
	if want := (api.Emptied{Items: files + 1 - 2, Bytes: (files - 2) * 7}); err != nil || gone != want {
		t.Errorf("gone are %+v, want %+v: %v", gone, want, err)
	}
	if steps != 5 { // one, and then four: the last finds that there is no more
		t.Errorf("it took %d steps", steps)
	}
	if all := strings.Join(d.trashed(t), ", "); all != "written 5, written 4, written 3, written 2" {
		t.Errorf("in the trash is %s", all)
	}
	w.verify(t, d.ID())
}

// tall is a directory of more things than are taken back at once, once it is in the trash.
func (d *drive) tall(t testing.TB) (top api.ID, was map[string]string) {
	t.Helper()
	for _, p := range []string{"a/1", "a/b/1", "a/b/2", "a/b/c/1", "a/b/c/2", "a/d/1", "a/d/2"} {
		d.store(t, p, "eight "+p[len(p)-1:]+".")
	}
	top, was = d.lookup(t, "a").ID, d.picture(t)
	if err := d.Remove(t.Context(), names(t, "a")); err != nil {
		t.Fatal(err)
	}
	return top, was
}

// A directory that is too large for one transaction comes back in several, whoever waits for it.
func TestRestoreTrashInParts(t *testing.T) {
	defer func(was int) { restoreStep = was }(restoreStep)
	restoreStep = 3
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	top, was := d.tall(t)
	parts := 1
	ctx, leave := context.WithCancel(t.Context())
	defer fault.Arm(func(s fault.Step) {
		if s == fault.TrashRestored {
			leave()
			parts++
			d.store(t, fmt.Sprint("written ", parts), "meanwhile")
		}
	})()
	done, err := d.RestoreTrash(ctx, top)
	if err != nil || done.Path != "a" || done.Changed != len(was) || parts != 4 {
		t.Errorf("in %d parts: %+v, %v", parts, done, err)
	}
	now := d.picture(t)
	maps.DeleteFunc(now, func(path, _ string) bool { return strings.HasPrefix(path, "/written ") })
	if !maps.Equal(now, was) {
		t.Errorf("it is\n%snot\n%s", show(now), show(was))
	}
	if all := d.trashed(t); len(all) != 0 {
		t.Errorf("in the trash is %q", all)
	}
	w.verify(t, d.ID())
}

// A directory becomes one with another of its name also where it does not come back at once.
func TestRestoreTrashInPartsIntoAnother(t *testing.T) {
	defer func(was int) { restoreStep = was }(restoreStep)
	restoreStep = 3
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	top, was := d.tall(t)
	d.store(t, "a/b/c/other", "other")
	if _, err := d.RestoreTrash(t.Context(), top); err != nil {
		t.Fatal(err)
	}
	if now := d.picture(t); len(now) != len(was)+1 || d.read(t, "a/b/c/1") != "eight 1." || d.read(t, "a/d/2") != "eight 2." {
		t.Errorf("it is\n%s", show(now))
	}
	w.verify(t, d.ID())
}

// When there is no room for the whole of such a directory, it says so; what is left in the trash are whole directories, and they come back later.
func TestRestoreTrashInPartsUntilItIsFull(t *testing.T) {
	defer func(was int) { restoreStep = was }(restoreStep)
	restoreStep = 3
	w := newWorld(t)
	me := w.user(t, "editor")
	d := w.home(t, me)
	top, was := d.tall(t)
	quota := func(bytes int) {
		if _, err := w.admin.Exec(t.Context(), `UPDATE satchel.users SET quota = $1 WHERE id = $2`, bytes, me.User.String()); err != nil {
			t.Fatal(err)
		}
	}
	quota(3 * 8)
	_, err := d.RestoreTrash(t.Context(), top)
	if api.KindOf(err) != api.Quota || !strings.Contains(err.Error(), "6 of 11 ") || !strings.Contains(err.Error(), "the quota of 24 bytes") {
		t.Errorf("without room for it: %v", err)
	}
	w.verify(t, d.ID())
	quota(0)
	for _, path := range d.trashed(t) {
		page, err := d.Trash(t.Context(), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.RestoreTrash(t.Context(), page.Items[0].Node); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if now := d.picture(t); !maps.Equal(now, was) {
		t.Errorf("it is\n%snot\n%s", show(now), show(was))
	}
	w.verify(t, d.ID())
}

// What is more than one transaction can hold is not undone at once, and the error says so.
func TestRestoreAtIsBounded(t *testing.T) {
	defer func(was int) { maxPast = was }(maxPast)
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	for i := range 3 {
		for _, content := range []string{"once", "twice", "three times"} { // names count, not changes
			d.store(t, fmt.Sprint(i), content)
		}
	}
	maxPast = 2
	for _, dry := range []bool{true, false} {
		if _, err := d.RestoreAt(t.Context(), api.Point{Seq: 0}, dry); api.KindOf(err) != api.TooLarge || !strings.Contains(err.Error(), "more than 2 names") {
			t.Errorf("dry %v: %v", dry, err)
		}
	}
	maxPast = 3
	if _, err := d.RestoreAt(t.Context(), api.Point{Seq: 0}, false); err != nil || len(d.picture(t)) != 0 {
		t.Errorf("within the bound: %v", err)
	}
}
