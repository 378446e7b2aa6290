package storage

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"satchel/api"
	"satchel/storage/fault"
)

// Looking for what is beyond the retention does not wait for the drive, and so keeps nobody waiting.
func TestExpireHoldsNobodyUp(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	for i := range 3 {
		d.store(t, "/kept", fmt.Sprint("version ", i))
	}
	d.store(t, "/deleted", "x")
	d.unlink(t, "/deleted")
	held, err := w.admin.Begin(t.Context())
	if err == nil {
		_, err = held.Exec(t.Context(), `SELECT FROM satchel.drives FOR NO KEY UPDATE`)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer held.Rollback(t.Context())
	if gone, err := w.Expire(t.Context(), DefaultRetention, time.Now()); err != nil || gone != (Expired{}) {
		t.Errorf("nothing is old enough, and the drive is another's: %+v, %v", gone, err)
	}
}

// What goes does so in steps, and writers go on in between.
func TestExpireInSteps(t *testing.T) {
	defer func(was int) { expireStep = was }(expireStep)
	expireStep = 2
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	const files = 7
	for i := range files {
		d.store(t, fmt.Sprint("/deleted ", i), fmt.Sprint("deleted ", i))
		d.store(t, fmt.Sprint("/deleted ", i), fmt.Sprint("deleted again ", i))
		d.unlink(t, fmt.Sprint("/deleted ", i))
		d.store(t, fmt.Sprint("/kept ", i), fmt.Sprint("before ", i))
		d.store(t, fmt.Sprint("/kept ", i), fmt.Sprint("now ", i))
	}
	w.ageAll(t, 400*day)
	steps := 0
	defer fault.Arm(func(s fault.Step) {
		if s != fault.PastExpired {
			return
		}
		steps++
		// In a step's transaction this would wait for it, and it for this.
		if _, _, err := d.Put(t.Context(), names(t, fmt.Sprint("/written ", steps)), strings.NewReader("meanwhile"), PutOptions{}); err != nil {
			t.Errorf("a write after step %d: %v", steps, err)
		}
	})()
	gone, err := w.Expire(t.Context(), DefaultRetention, time.Now())
	if err != nil || gone.Trashed != files || gone.Versions != files {
		t.Errorf("of %d files in the trash and as many old versions went %+v: %v", files, gone, err)
	}
	if steps != 8 { // four for each kind
		t.Errorf("it took %d steps", steps)
	}
	for i := range files {
		if got := d.read(t, fmt.Sprint("/kept ", i)); got != fmt.Sprint("now ", i) {
			t.Errorf("what is kept has %q", got)
		}
	}
	if again, err := w.Expire(t.Context(), DefaultRetention, time.Now()); err != nil || again != (Expired{}) {
		t.Errorf("the next time went %+v: %v", again, err)
	}
	if all, err := d.Trash(t.Context(), 0, 10); err != nil || len(all.Items) != 0 {
		t.Errorf("in the trash is %+v: %v", all, err)
	}
	w.verify(t, d.ID())
}

// The past that nobody can return to any more goes in steps, each of which is done when the next one begins; the rest stays.
func TestThePastGoesInSteps(t *testing.T) {
	defer func(was int) { pastStep = was }(pastStep)
	pastStep = 3
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	const files = 10
	renewed := func() {
		for i := range files {
			d.store(t, fmt.Sprint("/saved ", i), "content")
			d.store(t, fmt.Sprint("/moved \xff", i), "content")
			d.unlink(t, fmt.Sprint("/moved \xff", i))
		}
	}
	renewed()
	renewed()
	w.ageAll(t, 400*day)
	d.store(t, "/saved 0", "the first change that is kept")
	before := d.info(t).Seq
	picture := d.picture(t)
	renewed()
	past := func() (rows, beyond int) {
		t.Helper()
		if err := w.admin.QueryRow(t.Context(), `
			SELECT count(*), count(*) FILTER (WHERE died < $1)
			FROM (SELECT died FROM satchel.past_entries UNION ALL SELECT until FROM satchel.past_nodes) p`, before).Scan(&rows, &beyond); err != nil {
			t.Fatal(err)
		}
		return rows, beyond
	}
	rows, beyond := past()
	if beyond < 2*files {
		t.Fatalf("only %d rows of %d are beyond", beyond, rows)
	}
	left, steps := beyond, 0
	defer fault.Arm(func(s fault.Step) {
		if s != fault.PastForgotten {
			return
		}
		_, now := past() // over another connection
		if now < left-pastStep {
			t.Errorf("%d rows of the past went at once", left-now)
		}
		left = now
		steps++
	})()
	if _, err := w.Expire(t.Context(), DefaultRetention, time.Now()); err != nil {
		t.Fatal(err)
	}
	if here, still := past(); still != 0 || here != rows-beyond || steps < rows/pastStep {
		t.Errorf("after %d steps %d rows of the past are left, %d of them beyond, of %d and %d", steps, here, still, rows, beyond)
	}
	if _, err := d.RestoreAt(t.Context(), api.Point{Seq: before}, false); err != nil {
		t.Error(err)
	}
	if got := d.picture(t); !maps.Equal(got, picture) {
		t.Errorf("what can be returned to is %v, not %v", got, picture)
	}
	w.verify(t, d.ID())
}

// What is found and then changed before it goes stays.
func TestExpireLooksAgain(t *testing.T) {
	defer func(was int) { expireStep = was }(expireStep)
	expireStep = 1
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	for _, name := range []string{"/a", "/b"} {
		d.store(t, name, "content of "+name)
		d.unlink(t, name)
	}
	all, err := d.Trash(t.Context(), 0, 10)
	if err != nil || len(all.Items) != 2 {
		t.Fatal(all, err)
	}
	w.age(t, "trash", 400*day)
	w.age(t, "versions", 400*day)
	restored := map[api.ID]bool{}
	defer fault.Arm(func(s fault.Step) {
		if s != fault.PastExpired || len(restored) > 0 {
			return
		}
		for _, one := range all.Items { // one of them is gone
			if _, err := d.RestoreTrash(t.Context(), one.Node); err == nil {
				restored[one.Node] = true
			} else if api.KindOf(err) != api.NotFound {
				t.Error(err)
			}
		}
	})()
	if gone, err := w.Expire(t.Context(), DefaultRetention, time.Now()); err != nil || gone.Trashed != 1 || len(restored) != 1 {
		t.Errorf("%+v went, %d came back: %v", gone, len(restored), err)
	}
	for node := range restored {
		if n, err := d.Node(t.Context(), node); err != nil || n.Nlink != 1 {
			t.Errorf("what came back: %+v, %v", n, err)
		}
	}
	w.verify(t, d.ID())
}

// Uploads that are not complete go when they are old.
func TestUploadsExpire(t *testing.T) {
	w := newWorld(t)
	me := w.user(t, "editor")
	d := w.home(t, me)
	begin := func(path string) {
		if _, err := d.BeginResumable(t.Context(), api.NewID(), names(t, path), 10, nil); err != nil {
			t.Fatal(err)
		}
	}
	begin("old")
	w.age(t, "uploads", uploadAge+time.Hour)
	begin("new")
	if _, err := w.Expire(t.Context(), DefaultRetention, time.Now()); err != nil {
		t.Error(err)
	}
	left, err := d.Resumables(t.Context())
	if err != nil || len(left) != 1 || string(left[0].Path[0]) != "new" {
		t.Errorf("left are %+v, %v", left, err)
	}
}
