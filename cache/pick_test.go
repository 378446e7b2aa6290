package cache

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"satchel/api"
)

// checkWaits tells whether the journal knows what waits for content; locked.
func (d *Drive) checkWaits() error {
	j, waits, made := &d.journal, 0, 0
	for _, e := range j.order {
		if e.gone {
			continue
		}
		n := d.syn.hots[e.m.Node]
		if does := n != nil && n.hot.entry == e && n.hot.ready == nil && !e.stays; does != e.waits {
			return fmt.Errorf("the %s of %q waits for content: %v, not %v", e.m.Op, e.m.Name, does, e.waits)
		}
		if !e.waits {
			continue
		}
		waits++
		if e.m.Op == api.OpCreate {
			made++
			at := j.waitsAt[e.m.Parent][e.m.Name]
			for ; at != nil && at != e; at = at.also {
			}
			if at == nil {
				return fmt.Errorf("the waiting creation of %q is not in its place", e.m.Name)
			}
		}
	}
	for _, in := range j.waitsAt {
		for _, e := range in {
			for ; e != nil; e = e.also {
				made--
			}
		}
	}
	if waits != j.waits || made != 0 {
		return fmt.Errorf("%d wait for content, not %d; %d creations are missing", waits, j.waits, made)
	}
	return nil
}

// pickSlowly is what pick is to choose, of a journal whose mutations have no chunks.
func (d *Drive) pickSlowly() (seqs []uint64) {
	var w waiting
	for _, e := range d.journal.order {
		if e.gone || e.stays {
			continue
		}
		n := d.syn.hots[e.m.Node]
		if w.behind(&e.m) || time.Now().Before(e.after) || e.fails > 0 && len(seqs) > 0 || n != nil && n.hot.entry == e && n.hot.ready == nil {
			w.add(&e.m)
			continue
		}
		if seqs = append(seqs, e.seq); e.fails > 0 || len(seqs) == d.syn.most {
			break
		}
	}
	return seqs
}

// A picker makes random journals.
type picker struct {
	d     *Drive
	dir   *node // has all files
	nodes byte  // how many files and directories there were
}

func (p *picker) id(n byte) api.ID { return api.ID{15: n} }

func (p *picker) draw(t *rapid.T, what string) api.ID {
	return p.id(rapid.ByteRange(1, max(p.nodes, 3)).Draw(t, what))
}

func (p *picker) place(t *rapid.T, what string) (api.ID, api.Name) {
	return p.id(rapid.ByteRange(1, 3).Draw(t, what)), api.Name(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name"))
}

// live draws an entry. Where there is none rapid takes another action: Skip leaves out a step, no test.
func (p *picker) live(t *rapid.T) *entry {
	all := slices.DeleteFunc(slices.Clone(p.d.journal.order), func(e *entry) bool { return e.gone })
	if len(all) == 0 {
		t.Skip("there is none")
	}
	return rapid.SampledFrom(all).Draw(t, "entry")
}

// carried is a drawn entry that carries content, with its node.
func (p *picker) carried(t *rapid.T) (*entry, *node) {
	e := p.live(t)
	n := p.d.syn.hots[e.m.Node]
	if n == nil || n.hot.entry != e {
		t.Skip("it carries nothing")
	}
	return e, n
}

func (p *picker) log(m api.Mutation) *entry {
	e := &entry{seq: p.d.journal.last + 1, m: m}
	p.d.journal.add(e)
	return e
}

func (p *picker) heat(e *entry) {
	id := e.m.Node
	n := p.d.syn.hots[id]
	if n == nil {
		n = &node{id: id, record: record{typ: 'f', up: p.dir.id, name: api.Name(id.String())}}
		p.dir.list.byName[n.name] = &kid{id: id, typ: 'f', name: n.name}
	}
	p.d.carry(p.d.heat(n), e)
}

// make makes a file or a directory.
func (p *picker) make(t *rapid.T) {
	dir, name := p.place(t, "parent")
	typ := rapid.SampledFrom([]api.Type{api.File, api.File, api.Directory}).Draw(t, "type")
	p.nodes++
	e := p.log(api.Mutation{Op: api.OpCreate, Node: p.id(max(p.nodes, 3) + 1), Parent: dir, Name: name, Attr: &api.Attr{Type: typ}})
	p.nodes = max(p.nodes, 3) + 1
	if typ == api.File {
		p.heat(e)
	}
}

// change does anything else.
func (p *picker) change(t *rapid.T) {
	m := api.Mutation{Op: rapid.SampledFrom([]api.Op{api.OpLink, api.OpUnlink, api.OpRmdir, api.OpRename, api.OpExchange, api.OpSetattr, api.OpWrite}).Draw(t, "op"), Node: p.draw(t, "node")}
	maybe := func(what string) (id api.ID) {
		if rapid.Bool().Draw(t, what) {
			id = p.draw(t, what)
		}
		return id
	}
	switch m.Op {
	case api.OpWrite:
		if n := p.d.syn.hots[m.Node]; n != nil && n.hot.entry != nil {
			t.Skip("it waits already")
		}
		p.heat(p.log(m))
		return
	case api.OpSetattr:
		mtime := int64(1)
		if m.Attr = (&api.Attr{}); rapid.Bool().Draw(t, "timed") {
			m.Attr.Mtime = &mtime
		}
	case api.OpRename:
		if m.Replaces = maybe("replaces"); rapid.Bool().Draw(t, "directory") {
			m.Attr = &api.Attr{Type: api.Directory}
		}
		m.ToParent, m.ToName = p.place(t, "to")
	case api.OpExchange:
		m.ToParent, m.ToName = p.place(t, "to")
	case api.OpUnlink:
		m.Heir = maybe("heir")
	}
	if m.Op != api.OpSetattr {
		m.Parent, m.Name = p.place(t, "parent")
	}
	p.log(m)
}

// What is sent is what the rules of [waiting] say of the journal as a whole, whatever became of what waits for content meanwhile.
func TestPickIsWhatTheRulesSay(t *testing.T) {
	setFlag(t, "rapid.checks", "3000") // a wrong index was found after some hundreds
	mem, err := newMemory(1<<20, func(api.ID) {})
	must(t, err)
	t.Cleanup(mem.close)
	rapid.Check(t, func(t *rapid.T) {
		dir := &node{id: api.ID{0: 1}, record: record{typ: 'd', flags: flagComplete}, list: newListing()}
		p := &picker{d: &Drive{journal: newJournal(), mem: mem, byID: map[api.ID]*node{dir.id: dir}}, dir: dir}
		p.d.syn.hots = map[api.ID]*node{}
		j := &p.d.journal
		remove := func(e *entry) {
			if n := p.d.syn.hots[e.m.Node]; n != nil && n.hot.entry == e {
				n.hot.entry, n.hot.ready = nil, nil
			}
			j.remove(e)
		}
		t.Repeat(map[string]func(*rapid.T){
			"make": p.make, "make more": p.make, "change": p.change, "change more": p.change,
			"uploaded": func(t *rapid.T) {
				_, n := p.carried(t)
				n.hot.ready = &checkpoint{version: api.Version{ID: api.NewID()}}
				j.awaits(n.hot)
			},
			"written": func(t *rapid.T) {
				_, n := p.carried(t)
				n.hot.ready = nil
				j.awaits(n.hot)
			},
			"died": func(t *rapid.T) {
				e, n := p.carried(t)
				j.setWaits(e, false)
				n.hot, n.dead = nil, true
				delete(p.d.syn.hots, e.m.Node)
				p.d.byID[n.id] = n
			},
			"dropped": func(t *rapid.T) { remove(p.live(t)) },
			"moved": func(t *rapid.T) {
				e := p.live(t)
				m := e.m
				if m.Parent.IsZero() {
					t.Skip("it has no place")
				}
				m.Parent, m.Name = p.place(t, "parent")
				j.remove(e)
				j.restore(e, m)
			},
			"set aside": func(t *rapid.T) {
				e := p.live(t)
				j.fail(e, errCut)
				e.after = time.Now().Add(time.Hour)
			},
			"offered again": func(t *rapid.T) { p.live(t).after = time.Time{} },
			"sent": func(t *rapid.T) {
				p.d.syn.most = rapid.IntRange(1, 5).Draw(t, "most")
				want := p.d.pickSlowly()
				var got []uint64
				if f := p.d.pick(); f != nil {
					got = f.Entries
				}
				if !slices.Equal(got, want) {
					t.Fatalf("picked %d, not %d", got, want)
				}
				applied := rapid.Bool().Draw(t, "applied")
				for _, seq := range got {
					e := j.find(seq)
					if applied {
						j.remove(e)
						continue
					}
					e.sent = false
					if n := p.d.syn.hots[e.m.Node]; n != nil && n.hot.entry == nil && (e.m.Op == api.OpWrite || e.m.Op == api.OpCreate && e.m.Attr.Type == api.File) {
						p.d.carry(n.hot, e)
					}
				}
			},
			"": func(t *rapid.T) {
				if err := p.d.checkWaits(); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
}

// BenchmarkPick chooses what to send beside 100,000 new files that wait for content.
func BenchmarkPick(b *testing.B) {
	const files = 100_000
	id := func(n int) api.ID { return api.ID{12: byte(n >> 24), 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)} }
	mtime := int64(1)
	for _, c := range []struct {
		name  string
		ready int           // the first so many have their content
		last  *api.Mutation // comes after them
	}{
		{"all wait", 0, nil},
		{"the first are ready", 1000, nil},
		{"the time of their directory is behind them", 0, &api.Mutation{Op: api.OpSetattr, Node: id(1 << 20), Attr: &api.Attr{Mtime: &mtime}}},
		{"a directory is made after them", 0, &api.Mutation{Op: api.OpCreate, Node: id(2 << 20), Parent: id(3 << 20), Name: "d", Attr: &api.Attr{Type: api.Directory}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			d := &Drive{journal: newJournal()}
			d.syn.hots = map[api.ID]*node{}
			log := func(m api.Mutation) *entry {
				e := &entry{seq: d.journal.last + 1, m: m}
				d.journal.add(e)
				return e
			}
			var ready []*hot
			for i := range files {
				n := &node{id: id(i + 1), record: record{typ: 'f'}}
				h := d.heat(n)
				d.carry(h, log(api.Mutation{Op: api.OpCreate, Node: n.id, Parent: id(1 << 20), Name: api.Name(fmt.Sprint("file ", i)), Attr: &api.Attr{Type: api.File}}))
				if i < c.ready {
					h.ready = &checkpoint{}
					d.journal.awaits(h)
					ready = append(ready, h)
				}
			}
			if c.last != nil {
				log(*c.last)
			}
			b.ReportAllocs()
			for b.Loop() {
				f := d.pick()
				b.StopTimer()
				if f != nil {
					for i, seq := range f.Entries {
						e := d.journal.find(seq)
						if e.sent = false; i < len(ready) {
							ready[i].ready = ready[i].sent
							d.carry(ready[i], e)
						}
					}
				}
				b.StartTimer()
			}
		})
	}
}
