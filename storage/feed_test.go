package storage

import (
	"context"
	"fmt"
	"testing"
	"time"

	"satchel/api"
)

// run runs the service's listener for the test.
func (w *world) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != context.Canceled {
			t.Errorf("the listener ended with %v", err)
		}
	})
}

func (d *drive) changesAfter(t testing.TB, after int64, wait time.Duration) api.Changes {
	t.Helper()
	info, err := d.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Changes(t.Context(), api.ID{}, info.Epoch, after, wait)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestChanges(t *testing.T) {
	w := newWorld(t)
	me := w.user(t, "editor")
	d, other := w.home(t, me), w.home(t, me.device("desktop"))
	dir := createDir(d.Root(), "docs")
	a, b := d.createFile(t, dir.Node, "a", "one"), d.createFile(t, dir.Node, "b", "two")
	d.commit(t, dir, a, b)
	d.commit(t,
		api.Mutation{Op: api.OpRename, Node: a.Node, Parent: dir.Node, Name: "a", ToParent: d.Root(), ToName: "moved", Time: 1},
		api.Mutation{Op: api.OpUnlink, Node: b.Node, Parent: dir.Node, Name: "b", Base: b.Version.ID, Time: 2})

	if c := d.changesAfter(t, 0, 0); len(c.Nodes)+len(c.Entries)+len(c.Gone) != 0 || c.Seq != 5 {
		t.Errorf("one's own changes came back: %+v", c)
	}
	c := other.changesAfter(t, 0, 0)
	entries := map[api.Name]api.ID{}
	for _, e := range c.Entries {
		entries[e.Name] = e.Node
	}
	if entries["docs"] != dir.Node || entries["moved"] != a.Node || !entries["a"].IsZero() || !entries["b"].IsZero() || len(entries) != 4 {
		t.Errorf("entries %v", entries)
	}
	if len(c.Gone) != 1 || c.Gone[0] != b.Node || !contains(c.Nodes, a.Node) || !contains(c.Nodes, d.Root()) || len(c.Nodes) != 3 || c.Seq != 5 || c.More {
		t.Errorf("changes %+v", c)
	}
	// What the device does through another API it does not know yet.
	if _, err := d.Store(t.Context(), []api.Name{"stored"}, nothing{}, PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if c := d.changesAfter(t, 5, 0); len(c.Entries) != 1 || c.Entries[0].Name != "stored" {
		t.Errorf("changes %+v", c)
	}

	for _, bad := range []struct {
		epoch api.ID
		after int64
	}{{api.NewID(), 0}, {c.Epoch, 7}, {c.Epoch, -1}} {
		if _, err := d.Changes(t.Context(), api.ID{}, bad.epoch, bad.after, 0); api.KindOf(err) != api.Resync {
			t.Errorf("after %v: %v", bad, err)
		}
	}
}

func TestChangesComeInPages(t *testing.T) {
	w := newWorld(t)
	me := w.user(t, "editor")
	d, other := w.home(t, me), w.home(t, me.device("desktop"))
	for i := range 3 {
		var batch []api.Mutation
		for j := range feedPage - 500 {
			batch = append(batch, createDir(d.Root(), api.Name(fmt.Sprintf("%d.%d", i, j))))
		}
		d.commit(t, batch...)
	}
	seen, pages := map[api.Name]bool{}, 0
	for after, more := int64(0), true; more; pages++ {
		c := other.changesAfter(t, after, 0)
		for _, e := range c.Entries {
			seen[e.Name] = true
		}
		if c.Seq <= after {
			t.Fatalf("page %d does not advance: %d", pages, c.Seq)
		}
		after, more = c.Seq, c.More
	}
	if len(seen) != 3*(feedPage-500) || pages != 3 {
		t.Errorf("%d names in %d pages", len(seen), pages)
	}
}

func TestAFeedWaits(t *testing.T) {
	w := newWorld(t)
	w.run(t)
	me := w.user(t, "editor")
	d, other := w.home(t, me), w.home(t, me.device("desktop"))
	d.commit(t, createDir(d.Root(), "mine"))

	start := time.Now()
	if c := d.changesAfter(t, 0, 200*time.Millisecond); len(c.Entries) != 0 || c.Seq != 1 {
		t.Errorf("when its wait is over a feed says %+v", c)
	}
	if waited := time.Since(start); waited < 200*time.Millisecond {
		t.Errorf("it waited %v", waited)
	}

	const wait = 30 * time.Second
	answers := make(chan api.Changes, 1)
	go func() { answers <- d.changesAfter(t, 1, wait) }()
	time.Sleep(50 * time.Millisecond)
	d.commit(t, createDir(d.Root(), "mine too")) // must not answer it
	select {
	case c := <-answers:
		t.Fatalf("a feed was answered with one's own change: %+v", c)
	case <-time.After(100 * time.Millisecond):
	}
	start = time.Now()
	other.commit(t, createDir(d.Root(), "theirs"))
	c := <-answers
	if took := time.Since(start); took > wait/2 {
		t.Errorf("the change took %v: the feed was not woken", took)
	}
	if len(c.Entries) != 1 || c.Entries[0].Name != "theirs" || c.Seq != 3 {
		t.Errorf("answered %+v", c)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := d.Changes(ctx, api.ID{}, c.Epoch, 3, time.Minute); api.KindOf(err) != api.Cancelled {
		t.Errorf("a cancelled feed: %v", err)
	}
	if n := len(w.feeds.topics); n != 0 {
		t.Errorf("%d topics are left", n)
	}
}

// A listener whose connection is cut connects again and misses nothing.
func TestAFeedSurvivesItsConnection(t *testing.T) {
	w := newWorld(t)
	w.run(t)
	me := w.user(t, "editor")
	d, other := w.home(t, me), w.home(t, me.device("desktop"))
	for i := range 3 {
		answers := make(chan api.Changes, 1)
		go func() { answers <- d.changesAfter(t, int64(i), 30*time.Second) }()
		time.Sleep(100 * time.Millisecond)
		if _, err := w.admin.Exec(t.Context(), `
			SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND query LIKE 'LISTEN%'`); err != nil {
			t.Fatal(err)
		}
		other.commit(t, createDir(d.Root(), api.Name(fmt.Sprint(i))))
		select {
		case <-answers:
		case <-time.After(time.Minute):
			t.Fatal("the change did not arrive")
		}
	}
}

// TestAFeedEndsWithItsSession: who waits learns at once that his session was ended; his other
// devices go on waiting.
func TestAFeedEndsWithItsSession(t *testing.T) {
	w := newWorld(t)
	w.run(t)
	me := w.user(t, "editor")
	d, other := w.home(t, me), w.home(t, me.device("desktop"))
	for i, c := range []Caller{me, other.caller} {
		if _, err := w.admin.Exec(t.Context(), `INSERT INTO satchel.sessions (id, user_id, kind, name, secret_sha256) VALUES ($1, $2, 'device', $3, sha256($4))`,
			c.Device.String(), c.User.String(), c.DeviceName, []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	info, err := d.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ended, goes := make(chan error, 1), make(chan error, 1)
	go func() { _, err := d.Changes(t.Context(), api.ID{}, info.Epoch, 0, MaxWait); ended <- err }()
	wait, cancel := context.WithCancel(t.Context())
	go func() { _, err := other.Changes(wait, api.ID{}, info.Epoch, 0, MaxWait); goes <- err }()
	for waiting := 0; waiting < 2; time.Sleep(time.Millisecond) {
		w.feeds.mu.Lock()
		if topic := w.feeds.topics[d.id]; topic != nil {
			waiting = topic.waiters
		}
		w.feeds.mu.Unlock()
	}
	if _, err := w.admin.Exec(t.Context(), `UPDATE satchel.sessions SET revoked = now() WHERE id = $1`, me.Device.String()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; api.KindOf(err) != api.Unauthenticated {
		t.Errorf("the feed of a session that was ended: %v", err)
	}
	// Nobody wakes who begins to wait just after.
	if _, err := d.Changes(t.Context(), api.ID{}, info.Epoch, 0, MaxWait); api.KindOf(err) != api.Unauthenticated {
		t.Errorf("the feed of a session that had ended: %v", err)
	}
	select {
	case err := <-goes:
		t.Errorf("the feed of the other device ended too: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	cancel()
	if err := <-goes; api.KindOf(err) != api.Cancelled {
		t.Errorf("the feed of the other device: %v", err)
	}
}
