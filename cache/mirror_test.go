package cache

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"satchel/api"
	"satchel/integration/live"
	"satchel/integration/sim"
)

// mirrored is a real server with one in memory beside it that is told the same.
type mirrored struct {
	Remote
	memory *sim.Remote
	mu     *sync.Mutex // both hear batches in one order
	t      *testing.T
}

func (m mirrored) PutPack(ctx context.Context, pack []byte) error {
	if err := m.memory.PutPack(ctx, pack); err != nil {
		m.t.Errorf("a pack: %v", err)
	}
	return m.Remote.PutPack(ctx, pack)
}

func (m mirrored) Commit(ctx context.Context, b api.Batch) (api.Committed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ctx = context.WithoutCancel(ctx) // a batch that one had and the other had not
	c, err := m.Remote.Commit(ctx, b)
	d, mirrorErr := m.memory.Commit(ctx, b)
	if one, other := answerText(c, err), answerText(d, mirrorErr); one != other {
		m.t.Errorf("batch %d: the server answers\n%sthe one in memory\n%s", b.Number, one, other)
	}
	return c, err
}

func (m mirrored) Listings(ctx context.Context, dirs []api.ID, limit int) ([]api.Listed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all, err := m.Remote.Listings(ctx, dirs, limit)
	if err == nil {
		others, err := m.memory.Listings(ctx, dirs, limit)
		if one, other := listingsText(all), listingsText(others); err != nil || one != other {
			m.t.Errorf("listings of at most %d: the server answers\n%sthe one in memory, %v,\n%s", limit, one, err, other)
		}
	}
	return all, err
}

func listingsText(all []api.Listed) string {
	var b strings.Builder
	for _, l := range all {
		fmt.Fprintln(&b, l.Problem, l.Seq, l.More, stateText(l.State))
	}
	return b.String()
}

func answerText(c api.Committed, err error) string {
	var b strings.Builder
	fmt.Fprintln(&b, api.KindOf(err), c.Seq)
	for _, o := range c.Outcomes {
		fmt.Fprintln(&b, o.Status, o.Seq, o.Kind, o.Conflict, o.Name)
	}
	return b.String()
}

// The server that the simulation has answers as a real one does, and has the same in the end.
func TestServersAgree(t *testing.T) {
	s := live.New(t)
	for seed := range uint64(number("SATCHEL_AGREE_ROUNDS", 3)) {
		rng := rand.New(rand.NewPCG(seed, 2))
		u := s.User()
		m := &model{t: t, rng: rng, world: newReal(t, s), offline: map[*device]bool{}, doings: []string{
			"write", "write", "save", "mkdir", "mkdir", "rename", "rename", "unlink", "rmdir", "link", "symlink", "exchange", "chmod", "setxattr",
			"offline", "offline", "online", "lose", "sync"}}
		var memory *sim.Server
		var mu sync.Mutex
		for _, name := range []string{"x", "y"} {
			v := signedIn(t, u, s.URL, name, rng)
			if memory == nil {
				info, err := v.wire.Remote.Info(t.Context())
				must(t, err)
				memory = sim.New(info.Root)
			}
			v.wire.Remote = mirrored{v.wire.Remote, memory.Device(v.cfg.Device, name), &mu, t}
			v.start()
			m.devices = append(m.devices, v)
		}
		for range 80 {
			m.step()
		}
		truth, err := quietly(m.devices...)
		must(t, err)
		other, err := serverView(memory.Device(m.devices[0].cfg.Device, "x"))
		must(t, err)
		if diff := differs(truth, other); diff != "" {
			t.Errorf("seed %d: the servers differ:\n%s", seed, diff)
		}
		dirs := []api.ID{m.devices[0].d.root.id, api.NewID()}
		for _, path := range slices.Sorted(maps.Keys(truth)) {
			if s := truth[path]; s.typ == "d" || len(dirs) < 5 {
				dirs = append(dirs, s.id)
			}
		}
		for _, limit := range []int{1, 2, 5, 10, api.MaxPage} {
			for from := range dirs {
				_, err := m.devices[0].wire.Remote.Listings(t.Context(), dirs[from:], limit)
				must(t, err)
			}
		}
		m.end()
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, strings.Join(m.log, "\n"))
		}
	}
}
