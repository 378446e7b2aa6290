package storage

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"satchel/api"
)

// write gives a file new content.
func (d *drive) write(t testing.TB, n api.Node, parent api.ID, name api.Name, content string) {
	t.Helper()
	c := d.commit(t, api.Mutation{Op: api.OpWrite, Node: n.ID, Parent: parent, Name: name, Base: n.Version,
		Version: d.content(t, content), Time: time.Now().UnixNano()})
	if c.Outcomes[0].Status != api.Applied {
		t.Fatalf("write: %+v", c.Outcomes[0])
	}
}

func (d *drive) lookup(t testing.TB, path string) api.Node {
	t.Helper()
	names, err := api.ParsePath(path)
	if err != nil {
		t.Fatal(err)
	}
	n, err := d.Lookup(t.Context(), names)
	if err != nil {
		t.Fatalf("lookup %s: %v", path, err)
	}
	return n
}

func (d *drive) unlink(t testing.TB, path string) {
	t.Helper()
	names, _ := api.ParsePath(path)
	up, err := d.Lookup(t.Context(), names[:len(names)-1])
	if err != nil {
		t.Fatal(err)
	}
	n := d.lookup(t, path)
	m := api.Mutation{Op: api.OpUnlink, Node: n.ID, Parent: up.ID, Name: names[len(names)-1], Base: n.Version, Time: time.Now().UnixNano()}
	if n.Type == api.Directory {
		m.Op = api.OpRmdir
	}
	if c := d.commit(t, m); c.Outcomes[0].Status != api.Applied {
		t.Fatalf("unlink %s: %+v", path, c.Outcomes[0])
	}
}

func TestVersions(t *testing.T) {
	w := newWorld(t)
	me := w.user(t, "editor")
	d, stranger := w.home(t, me), w.home(t, w.user(t, "editor"))
	for i := range 3 {
		d.store(t, "a.txt", fmt.Sprint("version ", i))
	}
	n := d.lookup(t, "a.txt")
	versions, err := d.Versions(t.Context(), n.Document)
	if err != nil || len(versions) != 3 || !versions[0].Current || versions[1].Current || versions[0].ID != n.Version ||
		versions[2].Size != 9 || versions[2].Device != me.Device || versions[2].Time.Before(time.Now().Add(-time.Minute)) {
		t.Fatalf("versions %+v, %v", versions, err)
	}
	old, err := d.Content(t.Context(), n.ID, versions[2].ID)
	if err != nil || old.SHA256 != versions[2].SHA256 {
		t.Errorf("content of the first version: %+v, %v", old, err)
	}
	other := w.home(t, me.device("desktop"))
	before := other.changesAfter(t, 0, 0).Seq
	restored, err := d.RestoreVersion(t.Context(), n.Document, versions[2].ID)
	if err != nil || restored.Version != versions[2].ID || d.read(t, "a.txt") != "version 0" {
		t.Fatalf("restored %+v, %v", restored, err)
	}
	if c := other.changesAfter(t, before, 0); !contains(c.Nodes, n.ID) {
		t.Error("other devices do not hear of it")
	}
	if after, _ := d.Versions(t.Context(), n.Document); len(after) != 3 || !after[2].Current {
		t.Errorf("versions after the restore %+v", after)
	}
	if again, err := d.RestoreVersion(t.Context(), n.Document, versions[2].ID); err != nil || again.Rev != restored.Rev {
		t.Errorf("restored again %+v, %v", again, err)
	}
	// A device that goes on from what was restored is no conflict.
	d.write(t, restored, d.Root(), "a.txt", "goes on")

	d.unlink(t, "a.txt")
	if _, err := d.RestoreVersion(t.Context(), n.Document, versions[1].ID); err != nil || d.read(t, "a.txt") != "version 1" {
		t.Errorf("restore of a deleted document: %v", err)
	}
	for what, err := range map[string]error{
		"an unknown version":       second(d.RestoreVersion(t.Context(), n.Document, api.NewID())),
		"an unknown document":      second(d.Versions(t.Context(), api.NewID())),
		"a stranger's document":    second(stranger.Versions(t.Context(), n.Document)),
		"a version in his own way": second(stranger.RestoreVersion(t.Context(), n.Document, versions[1].ID)),
	} {
		if api.KindOf(err) != api.NotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	w.verify(t, d.ID())
}

func second[T any](_ T, err error) error { return err }

// A file saved by rename keeps its history, and so does its copy.
func TestVersionsOfASavedFile(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	d.store(t, "letter", "one")
	old := d.lookup(t, "letter")
	tmp := d.createFile(t, d.Root(), ".tmp", "two")
	d.commit(t, tmp, api.Mutation{Op: api.OpRename, Node: tmp.Node, Parent: d.Root(), Name: ".tmp", ToParent: d.Root(), ToName: "letter",
		Replaces: old.ID, Base: old.Version, Time: time.Now().UnixNano()})
	n := d.lookup(t, "letter")
	versions, err := d.Versions(t.Context(), n.Document)
	if err != nil || n.Document != old.Document || len(versions) < 1 || versions[len(versions)-1].ID != old.Version {
		t.Fatalf("document %s of %s, versions %+v, %v", n.Document, old.Document, versions, err)
	}
	if _, err := d.RestoreVersion(t.Context(), n.Document, old.Version); err != nil || d.read(t, "letter") != "one" {
		t.Errorf("restore of what was saved over: %v", err)
	}
	if versions, _ := d.Versions(t.Context(), n.Document); len(versions) != 2 {
		t.Errorf("the version that was saved by rename is lost: %+v", versions)
	}
	w.verify(t, d.ID())
}

func TestTrash(t *testing.T) {
	w := newWorld(t)
	me := w.user(t, "editor")
	d := w.home(t, me)
	for _, p := range []string{"a/b/c.txt", "a/b/d.txt", "a/e.txt", "gone.txt", "stays"} {
		d.store(t, p, "about "+p)
	}
	d.unlink(t, "gone.txt")
	for _, p := range []string{"a/b/c.txt", "a/b/d.txt", "a/b", "a/e.txt", "a"} {
		d.unlink(t, p)
	}
	list := func() string {
		var all []string
		for before, more := int64(0), true; more; {
			page, err := d.Trash(t.Context(), before, 1)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range page.Items {
				all = append(all, string(i.Type)+" "+string(i.Path))
				before = i.Seq
			}
			more = page.More
		}
		return strings.Join(all, ", ")
	}
	if got := list(); got != "d a, f gone.txt" {
		t.Errorf("the trash has %s", got)
	}
	page, err := d.Trash(t.Context(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	done, err := d.RestoreTrash(t.Context(), page.Items[0].Node)
	if err != nil || done.Path != "a" {
		t.Fatalf("restored %+v, %v", done, err)
	}
	for _, p := range []string{"a/b/c.txt", "a/b/d.txt", "a/e.txt"} {
		if got := d.read(t, p); got != "about "+p {
			t.Errorf("%s is %q", p, got)
		}
	}
	if _, err := d.RestoreTrash(t.Context(), page.Items[0].Node); api.KindOf(err) != api.NotFound {
		t.Errorf("restored twice: %v", err)
	}
	w.home(t, me.device("desktop")).store(t, "gone.txt", "another one")
	if done, err = d.RestoreTrash(t.Context(), page.Items[1].Node); err != nil || done.Path == "gone.txt" || d.read(t, string(done.Path)) != "about gone.txt" {
		t.Errorf("restored beside another %+v, %v", done, err)
	}
	if got := list(); got != "" {
		t.Errorf("the trash still has %s", got)
	}

	// What was deleted long before its directory did not go with it.
	d.unlink(t, "a/e.txt")
	w.age(t, "trash", 2*time.Hour)
	for _, p := range []string{"a/b/c.txt", "a/b/d.txt", "a/b", "a"} {
		d.unlink(t, p)
	}
	if got := list(); got != "d a, f a/e.txt" {
		t.Errorf("the trash has %s", got)
	}
	stored := d.info(t).Stored
	gone, err := d.EmptyTrash(t.Context())
	if err != nil || gone.Items != 5 || gone.Bytes != int64(len("about a/b/c.txtabout a/b/d.txtabout a/e.txt")) || d.info(t).Stored != stored-gone.Bytes {
		t.Errorf("emptied %+v, %v", gone, err)
	}
	if got := list(); got != "" {
		t.Errorf("the emptied trash has %s", got)
	}
	w.verify(t, d.ID())
}

func (d *drive) info(t testing.TB) api.DriveInfo {
	t.Helper()
	info, err := d.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// age makes all rows of a table older.
func (w *world) age(t testing.TB, table string, by time.Duration) {
	t.Helper()
	column := "at"
	if table == "versions" || table == "uploads" {
		column = "created"
	}
	if _, err := w.admin.Exec(t.Context(), `UPDATE satchel.`+table+` SET `+column+` = `+column+` - $1::interval`, by); err != nil {
		t.Fatal(err)
	}
}

func (w *world) ageAll(t testing.TB, by time.Duration) {
	for _, table := range []string{"trash", "versions", "changes", "past_nodes"} {
		w.age(t, table, by)
	}
}

func TestRetention(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	expire := func(keep Retention) Expired {
		t.Helper()
		gone, err := w.Expire(t.Context(), keep, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		w.verify(t, d.ID())
		return gone
	}
	for i := range 4 {
		d.store(t, "a", fmt.Sprint("day one ", i))
	}
	d.store(t, "deleted", "x")
	d.unlink(t, "deleted")
	w.ageAll(t, 48*time.Hour)
	for i := range 3 {
		d.store(t, "a", fmt.Sprint("day three ", i))
	}
	doc := d.lookup(t, "a").Document
	if gone := expire(DefaultRetention); gone != (Expired{}) {
		t.Errorf("all is recent, and %+v went", gone)
	}
	// The device was here all the time but for a day.
	keep := Retention{Versions: 24 * time.Hour, Daily: 30 * day, Trash: 24 * time.Hour}
	w.session(t, d.caller, 72*time.Hour)
	if gone := expire(keep); gone != (Expired{}) {
		t.Errorf("a device may work on it, and %+v went", gone)
	}
	w.session(t, d.caller, 0)
	// Of the four of the first day the last was replaced today only.
	if gone := expire(keep); gone.Versions != 3 || gone.Trashed != 1 || gone.Bytes != 3*9+1 {
		t.Errorf("gone %+v", gone)
	}
	if v, _ := d.Versions(t.Context(), doc); len(v) != 4 {
		t.Errorf("%d versions are left", len(v))
	}
	if gone := expire(keep); gone != (Expired{}) {
		t.Errorf("the second time %+v went", gone)
	}
	w.ageAll(t, 48*time.Hour)
	if gone := expire(keep); gone.Versions != 2 {
		t.Errorf("gone of the second day %+v", gone)
	}
	w.ageAll(t, 60*day)
	if gone := expire(keep); gone.Versions != 1 || d.read(t, "a") != "day three 2" {
		t.Errorf("gone after two months %+v", gone)
	}
	if _, err := d.RestoreAt(t.Context(), api.Point{Seq: 1}, false); api.KindOf(err) != api.Invalid {
		t.Errorf("restore beyond the retention: %v", err)
	}
	if info := d.info(t); info.Stored != info.Used {
		t.Errorf("%d bytes are stored, %d in files", info.Stored, info.Used)
	}
}

// session makes the caller's device one that was seen a while ago.
func (w *world) session(t testing.TB, c Caller, ago time.Duration) {
	t.Helper()
	if _, err := w.admin.Exec(t.Context(), `
		INSERT INTO satchel.sessions (id, user_id, kind, name, secret_sha256, seen)
		VALUES ($1, $2, 'device', 'laptop', sha256($3::text::bytea), now() - $4::interval)
		ON CONFLICT (id) DO UPDATE SET seen = excluded.seen`, c.Device.String(), c.User.String(), c.Device.String(), ago); err != nil {
		t.Fatal(err)
	}
}

func TestQuotaMakesThePastGiveWay(t *testing.T) {
	w := newWorld(t)
	me := w.user(t, "editor")
	d := w.home(t, me)
	if _, err := w.admin.Exec(t.Context(), `UPDATE satchel.users SET quota = 100 WHERE id = $1`, me.User.String()); err != nil {
		t.Fatal(err)
	}
	text := func(n int) string { return strings.Repeat("x", n) }
	d.store(t, "old", text(30))
	d.unlink(t, "old")
	for range 3 {
		d.store(t, "a", text(30)) // the same content is another version all the same
	}
	w.evictAsked(t)
	info := d.info(t)
	if info.Quota != 100 || info.Used != 30 || info.Stored > 100 || info.Stored < 30 {
		t.Errorf("%+v", info)
	}
	if page, _ := d.Trash(t.Context(), 0, 0); len(page.Items) != 0 {
		t.Errorf("the oldest, the trash, is still there: %+v", page)
	}
	d.store(t, "b", text(70))
	w.evictAsked(t)
	if info := d.info(t); info.Used != 100 || info.Stored != 100 {
		t.Errorf("full: %+v", info)
	}
	if _, err := d.Store(t.Context(), []api.Name{"c"}, strings.NewReader("x"), PutOptions{}); api.KindOf(err) != api.Quota {
		t.Errorf("over the quota: %v", err)
	}
	d.store(t, "b", text(69)) // less is always allowed
	w.verify(t, d.ID())
}

func TestTooMuchIsRefusedBeforeItIsRead(t *testing.T) {
	w := newWorld(t)
	me := w.user(t, "editor")
	d := w.home(t, me)
	d.store(t, "a", strings.Repeat("x", 600))
	if _, err := w.admin.Exec(t.Context(), `UPDATE satchel.users SET quota = 1000 WHERE id = $1`, me.User.String()); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path string
		size int64
		ok   bool
	}{{"b", 400, true}, {"b", 401, false}, {"a", 1000, true}, {"a", 1001, false}, {"x/y", 400, true}, {"x/y", 401, false}} {
		names, _ := api.ParsePath(test.path)
		if err := d.Room(t.Context(), names, test.size); (err == nil) != test.ok || err != nil && api.KindOf(err) != api.Quota {
			t.Errorf("%d bytes at %s: %v", test.size, test.path, err)
		}
	}
	endless := &endless{}
	if _, err := d.Store(t.Context(), []api.Name{"b"}, endless, PutOptions{}); api.KindOf(err) != api.Quota || endless.n > 1<<20 {
		t.Errorf("an endless body: %v after %d bytes", err, endless.n)
	}
	if _, err := d.Missing(t.Context(), nil); err != nil {
		t.Errorf("asking for chunks within the quota: %v", err)
	}
}

// endless is a body without an end.
type endless struct{ n int64 }

func (e *endless) Read(b []byte) (int, error) {
	clear(b)
	e.n += int64(len(b))
	return len(b), nil
}
