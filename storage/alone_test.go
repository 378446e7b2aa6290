package storage

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"satchel/api"
)

// Writes that are done together leave a drive as the same writes do one by one: what is there, what was, how it came to be, and what
// each was answered.
func TestTogetherIsAsAlone(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		quota := rapid.SampledFrom([]int{0, 0, 40, 120}).Draw(rt, "quota")
		one, many := w.home(t, w.user(t, "editor")), w.home(t, w.user(t, "editor"))
		if _, err := w.admin.Exec(t.Context(), `UPDATE satchel.users SET quota = $1 WHERE id IN ($2, $3)`, quota, one.owner.String(), many.owner.String()); err != nil {
			t.Fatal(err)
		}
		sentOne, sentMany := contents{}, contents{}
		for range rapid.IntRange(1, 4).Draw(rt, "groups") {
			between := rapid.SampledFrom([]func(*drive, testing.TB, string){nil, (*drive).gone, (*drive).linked}).Draw(rt, "between")
			if path := drawPath(rt); between != nil {
				between(one, t, path)
				between(many, t, path)
			}
			var group []*write
			var alone []string
			for i := range rapid.IntRange(1, 8).Draw(rt, "writes") {
				d := drawWrite(rt, t, i)
				w := d.of(t, one, sentOne)
				one.writeTogether(t.Context(), []*write{w})
				alone = append(alone, outcome(w))
				group = append(group, d.of(t, many, sentMany))
			}
			many.writeTogether(t.Context(), group)
			for i, w := range group {
				if got := outcome(w); got != alone[i] {
					rt.Fatalf("write %d of %q: alone it was %s, together %s", i, w.path, alone[i], got)
				}
			}
		}
		if a, b := w.everything(t, one), w.everything(t, many); a != b {
			rt.Fatalf("alone:\n%s\ntogether:\n%s", a, b)
		}
		for _, d := range []*drive{one, many} {
			if err := w.wrong(t.Context(), d.ID()); err != nil {
				rt.Fatal(err)
			}
		}
		if seq := one.info(t).Seq; quota == 0 {
			at := api.Point{Seq: rapid.Int64Range(0, seq).Draw(rt, "point")}
			a, errA := one.RestoreAt(t.Context(), at, false)
			b, errB := many.RestoreAt(t.Context(), at, false)
			if errA != nil || errB != nil || a.Changed != b.Changed || a.Missing != b.Missing || looks(t, one) != looks(t, many) {
				rt.Fatalf("restored at %d: %+v, %v and %+v, %v\n%s\n%s", at.Seq, a, errA, b, errB, looks(t, one), looks(t, many))
			}
		}
	})
}

// drawn is a write that any drive can be asked for.
type drawn struct {
	path, content string
	options       PutOptions
	object        *Object
	missing       bool // a chunk of it is
}

func drawPath(rt *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c/a", "c/d/e", "c/d/f", "c", "a/g"}).Draw(rt, "path")
}

func drawWrite(rt *rapid.T, t *testing.T, i int) drawn {
	d := drawn{path: drawPath(rt), content: rapid.SampledFrom([]string{"", "x", "some words", strings.Repeat("long", 10)}).Draw(rt, "content")}
	d.options.Mtime = int64(i + 1)
	d.options.NoParents = rapid.IntRange(0, 4).Draw(rt, "parents") == 0
	d.missing = rapid.IntRange(0, 9).Draw(rt, "missing") == 0
	if tag := rapid.SampledFrom([]string{"", "", "one", "two"}).Draw(rt, "object"); tag != "" {
		d.object = &Object{ETag: tag}
	}
	if want := rapid.SampledFrom([]string{"", "", "none", "one", "two"}).Draw(rt, "condition"); want != "" {
		d.options.Check = func(old *api.Node, o Object) error {
			if old == nil && want != "none" || old != nil && o.ETag != want {
				return api.Errorf(api.Conflict, "it has %q", o.ETag)
			}
			return nil
		}
	}
	return d
}

// contents are versions of what a drive was sent.
type contents map[string]api.Version

// of is the write to a drive, which is sent its content.
func (w drawn) of(t *testing.T, d *drive, sent contents) *write {
	v, there := sent[w.content]
	if !there {
		v = *d.content(t, w.content)
		sent[w.content] = v
	}
	v.ID = api.NewID()
	if w.missing {
		v.Chunks = []api.Chunk{{Hash: api.Hash{1}, Size: 1}}
		v.Size = 1
	}
	return &write{path: names(t, "/"+w.path), version: v, object: w.object, options: w.options, made: api.NewID(), done: make(chan struct{})}
}

// gone removes what is at a path, if that is a file.
func (d *drive) gone(t testing.TB, path string) {
	if n, err := d.Lookup(t.Context(), names(t, "/"+path)); err == nil && n.Type == api.File {
		d.unlink(t, path)
	}
}

// linked gives a file a second name, b, if that is free.
func (d *drive) linked(t testing.TB, path string) {
	n, err := d.Lookup(t.Context(), names(t, "/"+path))
	if _, taken := d.Lookup(t.Context(), names(t, "/b")); err == nil && taken != nil && n.Type == api.File {
		d.commit(t, api.Mutation{Op: api.OpLink, Node: n.ID, Parent: d.Root(), Name: "b", Time: 1})
	}
}

// outcome is what a write was answered, as far as it is the same in any drive.
func outcome(w *write) string {
	if w.err != nil {
		return string(api.KindOf(w.err)) + ": " + w.err.Error()
	}
	return fmt.Sprint(w.created, w.node.Type, w.node.Size, w.node.SHA256, w.node.Mtime, w.node.Nlink, w.node.Rev, w.node.Version == w.version.ID)
}

var uuids = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// looks is what there is in a drive for people.
func looks(t *testing.T, d *drive) string { return uuids.ReplaceAllString(show(d.picture(t)), "") }

// everything is all that the database has of a drive but for times, with ids in the order in which they come.
func (w *world) everything(t *testing.T, d *drive) string {
	t.Helper()
	const first = `(SELECT min(c.seq) FROM satchel.changes c WHERE c.drive = x.drive AND c.node = %s)`
	queries := []string{
		`SELECT seq, files, bytes FROM satchel.drives x WHERE id = $1`,
		`SELECT seq, op, node, parent, name, to_parent, to_name, other FROM satchel.changes x WHERE drive = $1 ORDER BY seq`,
		`SELECT id, type, nlink, size, version, rev, mode, CASE type WHEN 'f' THEN mtime END AS mtime FROM satchel.nodes x WHERE drive = $1 ORDER BY ` + fmt.Sprintf(first, "x.id") + ` NULLS FIRST`,
		`SELECT id, parent, files, bytes FROM satchel.dirs x WHERE drive = $1 ORDER BY ` + fmt.Sprintf(first, "x.id") + ` NULLS FIRST`,
		`SELECT parent, name, node, born FROM satchel.entries x WHERE drive = $1 ORDER BY born, name COLLATE "C"`,
		`SELECT stored, since, forgotten FROM satchel.drives x WHERE id = $1`,
		`SELECT seq, (SELECT max(o.seq) FROM satchel.changes o WHERE o.drive = x.drive AND o.at <= x.at) AS until FROM satchel.changes x WHERE drive = $1 ORDER BY seq`,
		`SELECT id, document FROM satchel.nodes x WHERE drive = $1 ORDER BY ` + fmt.Sprintf(first, "x.id") + ` NULLS FIRST`,
		`SELECT parent, name, died, born, node FROM satchel.past_entries x WHERE drive = $1 ORDER BY died, name COLLATE "C"`,
		`SELECT id, until, version, document, mtime FROM satchel.past_nodes x WHERE drive = $1 ORDER BY until, ` + fmt.Sprintf(first, "x.id"),
		`SELECT id, document, node, size, sha256 FROM satchel.versions x WHERE drive = $1 ORDER BY created`,
		`SELECT node, parent, name, seq FROM satchel.trash x WHERE drive = $1 ORDER BY seq`,
		`SELECT version, etag FROM satchel.objects x JOIN satchel.versions v ON (v.drive, v.id) = (x.drive, x.version) WHERE x.drive = $1 ORDER BY v.created`,
	}
	var all strings.Builder
	for _, q := range queries {
		var rows string
		err := w.admin.QueryRow(t.Context(), `SELECT coalesce(string_agg(r::text, E'\n'), '') FROM (`+q+`) r`, d.ID().String()).Scan(&rows)
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		fmt.Fprintf(&all, "%s\n%s\n", q, rows)
	}
	labels := map[string]string{}
	return uuids.ReplaceAllStringFunc(all.String(), func(id string) string {
		if labels[id] == "" {
			labels[id] = fmt.Sprint("#", len(labels))
		}
		return labels[id]
	})
}

// When writes are done one by one and the database is not to be had any more, the others are not kept waiting for it in turn.
func TestRedoneUntilTheDatabaseIsGone(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	c := newCrowd(t, w, d)
	if _, err := c.held.Exec(t.Context(), `
		CREATE FUNCTION satchel.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF NEW.size = 13 THEN
				RAISE EXCEPTION 'not this one';
			ELSIF NEW.size = 14 THEN
				RAISE EXCEPTION 'shutting down' USING ERRCODE = '57P03';
			END IF;
			RETURN NEW;
		END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON satchel.versions FOR EACH ROW EXECUTE FUNCTION satchel.refuse()`); err != nil {
		t.Fatal(err)
	}
	c.put(t.Context(), "good", "good", PutOptions{})
	c.put(t.Context(), "bad", strings.Repeat("x", 13), PutOptions{})
	c.put(t.Context(), "unlucky", strings.Repeat("x", 14), PutOptions{})
	c.put(t.Context(), "not tried", "not tried", PutOptions{})
	c.goOn()
	c.has("good", "good")
	c.refused("bad", api.Internal)
	c.refused("unlucky", api.Unavailable)
	c.refused("not tried", api.Unavailable)
	if _, err := c.content("not tried"); api.KindOf(err) != api.NotFound {
		t.Errorf("what was told not to be done is there: %v", err)
	}
}

// A file may be made below more directories than a batch may make.
func TestDeepPath(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	path := slices.Repeat([]api.Name{"d"}, api.MaxBatch+2)
	if _, created, err := d.Put(t.Context(), path, strings.NewReader("deep"), PutOptions{}); err != nil || !created {
		t.Fatal(created, err)
	}
	if n, err := d.Lookup(t.Context(), path); err != nil || n.Size != 4 {
		t.Errorf("%+v, %v", n, err)
	}
}
