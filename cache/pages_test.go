package cache

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"satchel/api"
)

// pager is a server with one directory, whose pages it makes of so many names.
type pager struct {
	Remote
	names []api.Name
	size  int
	tells bool // of the next page, before the one that is asked for is read

	mu      sync.Mutex
	asked   map[api.Name]int
	changed *sync.Cond
	now     int // how many are asked for at once
	most    int
	old     api.Name // the page after it is told once as it was long ago
}

func (p *pager) Children(ctx context.Context, dir api.ID, after api.Name, _ int, next func(api.Name)) (l api.Listing, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[after]++
	p.now++
	p.most = max(p.most, p.now)
	defer func() { p.now-- }()
	p.changed.Broadcast()
	l.Seq = 7
	if after != "" && after == p.old {
		l.Seq, p.old = 6, ""
	}
	i := 0
	if after != "" {
		i = slices.Index(p.names, after) + 1
	}
	for _, name := range p.names[i:min(i+p.size, len(p.names))] {
		l.Entries = append(l.Entries, api.EntryState{Parent: dir, Name: name, Node: api.NewID()})
	}
	if l.More = i+p.size < len(p.names); l.More && p.tells {
		last := l.Entries[len(l.Entries)-1].Name
		p.mu.Unlock()
		next(last)
		p.mu.Lock()
		for p.asked[last] == 0 && ctx.Err() == nil { // it comes while this one is read
			p.changed.Wait()
		}
	}
	return l, ctx.Err()
}

// A directory's pages come two at a time where the server tells where the next one begins, and one
// after the other where it does not; all of them, in their order, and none older than what is known.
func TestPages(t *testing.T) {
	for _, c := range []struct {
		name  string
		n     int
		tells bool
		old   api.Name
		most  int
	}{
		{"empty", 0, true, "", 1},
		{"one page", 3, true, "", 1},
		{"told", 17, true, "", 2},
		{"not told", 17, false, "", 1},
		{"an old one", 17, true, "name 05", 4}, // the chain that is given up may be at its two
		{"an old one, not told", 17, false, "name 05", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &pager{size: 3, tells: c.tells, old: c.old, asked: map[api.Name]int{}}
			p.changed = sync.NewCond(&p.mu)
			for i := range c.n {
				p.names = append(p.names, api.Name(fmt.Sprintf("name %02d", i)))
			}
			d := &Drive{cfg: Config{Remote: p}}
			d.syn.seq = 7
			pages, err := d.pages(t.Context(), api.NewID(), api.ID{}, nil)
			d.wg.Wait()
			must(t, err)
			var got []api.Name
			for _, l := range pages {
				for _, e := range l.Entries {
					got = append(got, e.Name)
				}
				if l.Seq != 7 {
					t.Errorf("a page of %d was taken", l.Seq)
				}
			}
			if !slices.Equal(got, p.names) || p.most > c.most {
				t.Errorf("%q, %d at once", got, p.most)
			}
			if c.tells && c.n > 3 && p.most < 2 {
				t.Errorf("%d at once", p.most)
			}
		})
	}
}
