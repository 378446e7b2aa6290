package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// crowd is writes to one drive that wait for it, while another transaction has it.
type crowd struct {
	t    *testing.T
	w    *world
	d    *drive
	held pgx.Tx
	all  sync.WaitGroup

	mu   sync.Mutex
	errs map[string]error // by path
}

// newCrowd locks a drive, and has one write wait for that: what comes after it waits for it in line.
func newCrowd(t *testing.T, w *world, d *drive) *crowd {
	t.Helper()
	held, err := w.admin.Begin(t.Context())
	if err == nil {
		_, err = held.Exec(t.Context(), `SELECT FROM satchel.drives WHERE id = $1 FOR UPDATE`, d.ID().String())
	}
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{t: t, w: w, d: d, held: held, errs: map[string]error{}}
	c.put(t.Context(), "first", "first", PutOptions{})
	c.until("the first write is being done", func(line *line) bool { return len(line.turn) == 1 && len(line.waiting) == 0 })
	return c
}

// put writes a file, and comes back when that waits in line.
func (c *crowd) put(ctx context.Context, path, content string, o PutOptions) {
	c.t.Helper()
	before := c.inLine()
	c.all.Go(func() {
		_, _, err := c.d.Put(ctx, names(c.t, "/"+path), strings.NewReader(content), o)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.errs[path] = errors.Join(c.errs[path], err)
	})
	c.until(path+" waits in line", func(line *line) bool { return line.inside == before+1 })
}

func (c *crowd) inLine() (n int) {
	c.w.lines.mu.Lock()
	defer c.w.lines.mu.Unlock()
	for _, line := range c.w.lines.open {
		n += line.inside
	}
	return n
}

func (c *crowd) until(what string, is func(*line) bool) {
	c.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		c.w.lines.mu.Lock()
		found := false
		for line := range maps.Values(c.w.lines.open) {
			found = found || is(line)
		}
		c.w.lines.mu.Unlock()
		if found {
			return
		}
		if time.Now().After(end) {
			c.t.Fatal("never: " + what)
		}
	}
}

// goOn gives the drive up, and waits for all.
func (c *crowd) goOn() {
	c.t.Helper()
	if err := c.held.Commit(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	c.all.Wait()
	if c.errs["first"] != nil {
		c.t.Error("the first write:", c.errs["first"])
	}
	if n := c.inLine(); n != 0 {
		c.t.Errorf("%d are in a line when all is done", n)
	}
	c.w.verify(c.t, c.d.ID())
}

// transactions is how many wrote the versions of a drive that there are.
func (c *crowd) transactions() (n int) {
	c.t.Helper()
	err := c.w.admin.QueryRow(c.t.Context(), `SELECT count(DISTINCT xmin::text) FROM satchel.versions WHERE drive = $1`, c.d.ID().String()).Scan(&n)
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

func (c *crowd) content(path string) (string, error) {
	n, err := c.d.Lookup(c.t.Context(), names(c.t, "/"+path))
	if err != nil {
		return "", err
	}
	content, err := c.d.Content(c.t.Context(), n.ID, api.ID{})
	if err != nil {
		return "", err
	}
	r := content.Reader(c.t.Context())
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

func (c *crowd) has(path, content string) {
	c.t.Helper()
	if err := c.errs[path]; err != nil {
		c.t.Errorf("%s: %v", path, err)
	}
	if got, err := c.content(path); err != nil || got != content {
		c.t.Errorf("%s has %q, not %q: %v", path, got, content, err)
	}
}

func (c *crowd) refused(path string, kind api.Kind) {
	c.t.Helper()
	if err := c.errs[path]; api.KindOf(err) != kind {
		c.t.Errorf("%s: %v, not of kind %s", path, err, kind)
	}
}

// Writes that wait for one drive are done in one transaction, and each is as if it had been done alone.
func TestWritesTogether(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	c := newCrowd(t, w, d)
	for i := range 40 {
		c.put(t.Context(), fmt.Sprintf("new/%d/file", i%4), fmt.Sprint("the content ", i), PutOptions{Mtime: int64(i + 1)})
	}
	for i := range 20 {
		c.put(t.Context(), fmt.Sprint("the same ", i%2), "the same content, which all send", PutOptions{})
	}
	c.goOn()
	if n := c.transactions(); n != 2 {
		t.Errorf("61 writes took %d transactions, not 2", n)
	}
	for i := range 4 {
		c.has(fmt.Sprintf("new/%d/file", i), fmt.Sprint("the content ", 36+i))
	}
	c.has("the same 0", "the same content, which all send")
	c.has("the same 1", "the same content, which all send")
	n, err := d.Lookup(t.Context(), names(t, "/new/3/file"))
	if err != nil || n.Mtime != 40 {
		t.Fatalf("%+v, %v", n, err)
	}
	if versions, err := d.Versions(t.Context(), n.Document); err != nil || len(versions) != 10 {
		t.Errorf("a file that was written ten times has %d versions: %v", len(versions), err)
	}
	changes, err := d.Changes(t.Context(), api.NewID(), d.info(t).Epoch, 0, 0)
	if err != nil || changes.Seq != 66 { // 61 writes, 5 directories
		t.Errorf("the feed is at %d, not 66: %v", changes.Seq, err)
	}
}

// More than is done at once takes several transactions.
func TestWritesTogetherAreBounded(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	c := newCrowd(t, w, d)
	for i := range maxTogether + 10 {
		c.put(t.Context(), fmt.Sprint(i), fmt.Sprint(i), PutOptions{})
	}
	c.goOn()
	if n := c.transactions(); n != 3 {
		t.Errorf("%d writes took %d transactions, not 3", maxTogether+11, n)
	}
	for i := range maxTogether + 10 {
		c.has(fmt.Sprint(i), fmt.Sprint(i))
	}
}

// Each has its own answer.
func TestOneOfManyFails(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	d.store(t, "/there", "was there")
	c := newCrowd(t, w, d)
	absent := func(old *api.Node, _ Object) error {
		if old != nil {
			return api.Errorf(api.Conflict, "there is one")
		}
		return nil
	}
	created := 0
	for i := range 10 {
		c.all.Go(func() {
			_, made, err := d.Put(t.Context(), names(t, "/once"), strings.NewReader(fmt.Sprint(i)), PutOptions{Check: absent})
			c.mu.Lock()
			defer c.mu.Unlock()
			if made && err == nil {
				created++
			} else if api.KindOf(err) != api.Conflict {
				t.Errorf("one that comes too late: %v", err)
			}
		})
	}
	c.until("all wait", func(line *line) bool { return line.inside == 11 })
	c.put(t.Context(), "good", "good", PutOptions{})
	c.put(t.Context(), "missing/file", "x", PutOptions{NoParents: true})
	c.put(t.Context(), "there/below", "x", PutOptions{})
	c.put(t.Context(), "dir/file", "in it", PutOptions{})
	c.put(t.Context(), "dir", "x", PutOptions{})
	c.put(t.Context(), "there", "is there", PutOptions{Check: func(old *api.Node, _ Object) error {
		if old == nil {
			return api.Errorf(api.NotFound, "it is not there")
		}
		return nil
	}})
	c.goOn()
	if created != 1 {
		t.Errorf("%d made the file of which there can be one", created)
	}
	c.has("good", "good")
	c.has("dir/file", "in it")
	c.has("there", "is there")
	c.refused("missing/file", api.NotFound)
	c.refused("there/below", api.NotDirectory)
	c.refused("dir", api.IsDirectory)
	if n := c.transactions(); n != 3 { // of what was there before, too
		t.Errorf("it took %d transactions, not 3", n)
	}
}

// A write that fails when a part of it was done leaves nothing of it, and the others are done.
func TestHalfOfAWriteFails(t *testing.T) {
	w := newWorld(t)
	u := w.user(t, "editor")
	d := w.home(t, u)
	if _, err := w.admin.Exec(t.Context(), `UPDATE satchel.users SET quota = 100 WHERE id = $1`, u.User.String()); err != nil {
		t.Fatal(err)
	}
	c := newCrowd(t, w, d)
	c.put(t.Context(), "small", "fits", PutOptions{})
	c.put(t.Context(), "large", strings.Repeat("x", 60), PutOptions{})
	c.put(t.Context(), "made for it/too large", strings.Repeat("y", 60), PutOptions{})
	c.put(t.Context(), "small too", "fits", PutOptions{})
	c.goOn()
	c.has("small", "fits")
	c.has("large", strings.Repeat("x", 60))
	c.has("small too", "fits")
	c.refused("made for it/too large", api.Quota)
	if _, err := d.Lookup(t.Context(), names(t, "/made for it")); api.KindOf(err) != api.NotFound {
		t.Errorf("the directory that was made for it: %v", err)
	}
}

// What the database does not take of one is not the others' fault; what it breaks off for all is done again, and what waits for a lock for too
// long keeps nobody else from being done.
func TestDatabaseRefusesOneOfMany(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	c := newCrowd(t, w, d)
	if _, err := c.held.Exec(t.Context(), `
		CREATE SEQUENCE satchel.runs_of_it;
		GRANT USAGE ON satchel.runs_of_it TO PUBLIC;
		CREATE FUNCTION satchel.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF NEW.size = 13 THEN
				RAISE EXCEPTION 'not this one';
			ELSIF NEW.size = 14 AND nextval('satchel.runs_of_it') < 3 THEN
				RAISE EXCEPTION 'a deadlock' USING ERRCODE = '40P01';
			ELSIF NEW.size = 15 THEN
				RAISE EXCEPTION 'others have it for too long' USING ERRCODE = 'lock_not_available';
			END IF;
			RETURN NEW;
		END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON satchel.versions FOR EACH ROW EXECUTE FUNCTION satchel.refuse()`); err != nil {
		t.Fatal(err)
	}
	c.put(t.Context(), "good", "good", PutOptions{})
	c.put(t.Context(), "bad", strings.Repeat("x", 13), PutOptions{})
	c.put(t.Context(), "locked", strings.Repeat("x", 15), PutOptions{})
	c.put(t.Context(), "again", strings.Repeat("x", 14), PutOptions{})
	c.put(t.Context(), "good too", "good too", PutOptions{})
	c.goOn()
	c.has("good", "good")
	c.refused("locked", api.Unavailable)
	c.has("again", strings.Repeat("x", 14))
	c.has("good too", "good too")
	if err := c.errs["bad"]; err == nil || !strings.Contains(err.Error(), "not this one") {
		t.Errorf("what the database refuses: %v", err)
	}
	if _, err := c.content("bad"); api.KindOf(err) != api.NotFound {
		t.Errorf("what the database refused is there: %v", err)
	}
}

// Who goes away while he waits is not waited for, and nothing is done for him; who goes away when it has begun
// keeps the others from nothing.
func TestCancelledInLine(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	begun, leave := context.WithCancel(t.Context())
	c := newCrowd(t, w, d)
	waits, giveUp := context.WithCancel(t.Context())
	c.put(t.Context(), "good", "good", PutOptions{})
	c.put(waits, "given up", "x", PutOptions{})
	c.put(begun, "good too", "good too", PutOptions{})
	giveUp()
	c.until("one has gone", func(line *line) bool { return line.inside == 3 })
	// A check is called when it has begun.
	c.put(t.Context(), "last", "last", PutOptions{Check: func(*api.Node, Object) error { leave(); return nil }})
	c.goOn()
	if err := c.errs["given up"]; !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up: %v", err)
	}
	c.has("good", "good")
	c.has("good too", "good too")
	c.has("last", "last")
	if _, err := c.content("given up"); api.KindOf(err) != api.NotFound {
		t.Errorf("what was given up is there: %v", err)
	}
}

// A line that does not move has an end.
func TestLineOfWritersHasAnEnd(t *testing.T) {
	defer func(was time.Duration) { linePatience = was }(linePatience)
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	c := newCrowd(t, w, d)
	linePatience = time.Millisecond
	c.all.Go(func() {
		if _, _, err := d.Put(t.Context(), names(t, "/late"), strings.NewReader("x"), PutOptions{}); api.KindOf(err) != api.Unavailable {
			t.Errorf("who waited for too long: %v", err)
		}
		c.held.Rollback(t.Context())
	})
	c.all.Wait()
	c.has("first", "first")
	if _, err := c.content("late"); api.KindOf(err) != api.NotFound {
		t.Errorf("what came too late is there: %v", err)
	}
}

// A fault of the program in one write is that one's alone.
func TestFaultInOneOfMany(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	c := newCrowd(t, w, d)
	c.put(t.Context(), "good", "good", PutOptions{})
	c.put(t.Context(), "faulty", "x", PutOptions{Check: func(*api.Node, Object) error { panic("a fault") }})
	c.put(t.Context(), "good too", "good too", PutOptions{})
	c.goOn()
	c.has("good", "good")
	c.has("good too", "good too")
	c.refused("faulty", api.Internal)
	if _, err := c.content("faulty"); api.KindOf(err) != api.NotFound {
		t.Errorf("what failed is there: %v", err)
	}
}

// What takes too long has an end, and is not tried again for each of the group.
func TestGroupHasAnEnd(t *testing.T) {
	defer func(was time.Duration) { groupPatience = was }(groupPatience)
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	c := newCrowd(t, w, d)
	runs := 0
	slow := PutOptions{Check: func(*api.Node, Object) error {
		runs++
		<-time.After(2 * groupPatience)
		return nil
	}}
	for i := range 4 {
		c.put(t.Context(), fmt.Sprint("slow ", i), "x", slow)
	}
	groupPatience = 50 * time.Millisecond
	c.goOn()
	for i := range 4 {
		c.refused(fmt.Sprint("slow ", i), api.Unavailable)
	}
	if runs > 1 { // none, if its time was over before it had the drive
		t.Errorf("%d were begun, not one", runs)
	}
}

// Conditions see what the writes before them left, of the S3 API too.
func TestConditionsSeeTheWritesBefore(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	object := func(tag string) func() *Object { return func() *Object { return &Object{ETag: tag} } }
	tagged := func(tag string) func(*api.Node, Object) error {
		return func(old *api.Node, o Object) error {
			if old == nil || o.ETag != tag {
				return api.Errorf(api.Conflict, "it is %q", o.ETag)
			}
			return nil
		}
	}
	if _, _, err := d.Put(t.Context(), names(t, "/key"), strings.NewReader("0"), PutOptions{Object: object("zero")}); err != nil {
		t.Fatal(err)
	}
	c := newCrowd(t, w, d)
	errs := make([]error, 4)
	for i, o := range []PutOptions{
		{Check: tagged("zero"), Object: object("one")},
		{Check: tagged("zero"), Object: object("late")},
		{Check: tagged("one")}, // by another API, which keeps none
		{Check: tagged(""), Object: object("last")},
	} {
		c.all.Go(func() {
			_, _, errs[i] = d.Put(t.Context(), names(t, "/key"), strings.NewReader(fmt.Sprint(i+1)), o)
		})
		c.until("it waits in line", func(line *line) bool { return line.inside == i+2 })
	}
	c.goOn()
	if errs[0] != nil || api.KindOf(errs[1]) != api.Conflict || errs[2] != nil || errs[3] != nil {
		t.Errorf("the conditions: %v", errs)
	}
	c.has("key", "4")
}

// A fault of the program in one write does not keep those who wait with it waiting, nor those after them.
func TestPanicInLine(t *testing.T) {
	l, key := newLines(), lineKey{drive: api.NewID()}
	turn := make(chan struct{})
	join := func(together func(context.Context, []*write)) (errs chan error) {
		errs = make(chan error, 1)
		go func() {
			defer func() {
				if p := recover(); p != nil {
					errs <- fmt.Errorf("panic: %v", p)
				}
			}()
			errs <- l.do(t.Context(), key, &write{done: make(chan struct{})}, together)
		}()
		return errs
	}
	waiting := func(n int) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			l.mu.Lock()
			in := l.open[key]
			there := in != nil && in.inside == n && len(in.waiting) == n-1
			l.mu.Unlock()
			if there {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("there are never %d in the line", n)
			}
		}
	}
	first := join(func(context.Context, []*write) { <-turn })
	waiting(1)
	faulty := func(context.Context, []*write) { panic("a fault") }
	second := join(faulty)
	waiting(2)
	third := join(faulty)
	waiting(3)
	close(turn)
	if err := <-first; api.KindOf(err) != api.Internal { // nobody said what came of it
		t.Error(err)
	}
	a, b := <-second, <-third
	if strings.Contains(fmt.Sprint(b), "panic") {
		a, b = b, a
	}
	if !strings.Contains(fmt.Sprint(a), "panic") || api.KindOf(b) != api.Internal {
		t.Errorf("%v; %v", a, b)
	}
	done := func(_ context.Context, group []*write) {
		for _, w := range group {
			w.err = nil
		}
	}
	if err := <-join(done); err != nil {
		t.Error("the next one:", err)
	}
	if len(l.open) != 0 {
		t.Error("a line is left")
	}
}
