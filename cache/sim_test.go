package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
	"satchel/integration/sim"
)

// simulated is a server in memory, and networks between it and the devices.
type simulated struct {
	t       *testing.T
	server  *sim.Server
	devices []*device
	nets    []*network
	ids     byte
	cuts    bool   // answers about directories have room for a few entries only
	batch   int    // how many mutations a device sends at once; 0: as many as it may
	restore func() // a backup; nil: there is none
}

func (s *simulated) device(name string, rng *rand.Rand) *device {
	s.ids++
	id := api.ID{0: 0xd0, 15: s.ids}
	v := unstarted(s.t, api.ID{2}, name, rng)
	v.cfg.Device, v.clock, v.batch, v.wire.Remote = id, &sleeper{wake: make(chan struct{})}, s.batch, trace(s.server.Device(id, name), v.log)
	net := newNetwork(rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64())))
	v.lag = net.listing
	v.start()
	if s.cuts {
		net.room = net.rng.IntN(6)
	}
	v.wire.mu.Lock()
	v.wire.net = net
	v.wire.mu.Unlock()
	s.devices, s.nets = append(s.devices, v), append(s.nets, net)
	return v
}

func (s *simulated) store(path, content string) error { return s.server.Store(path, content) }
func (s *simulated) remove(path string) error         { return s.server.Delete(path) }
func (s *simulated) move(from, to string) error       { return s.server.Move(from, to) }
func (s *simulated) kept() (map[string]bool, error)   { return s.server.Kept(), nil }

// restart breaks all connections, once.
func (s *simulated) restart() {
	for _, v := range s.devices {
		v.wire.mu.Lock()
		was := v.wire.down
		v.wire.mu.Unlock()
		v.wire.cut()
		if !was {
			v.wire.mend()
		}
	}
}

// fates is what the simulation has besides what a real server is put to.
var fates = []string{"weather", "weather", "weather", "pause", "pause", "pause", "pause", "forget", "online", "online"}

func (s *simulated) fate(m *model, what string) {
	switch what {
	case "weather": // how bad a network is
		n := pick(m, s.nets)
		n.mu.Lock()
		defer n.mu.Unlock()
		n.delay = pick(m, []time.Duration{0, time.Millisecond, 50 * time.Millisecond, 2 * time.Second})
		bad := pick(m, []float64{0, 0, 0.02, 0.2})
		n.lost, n.late, n.twice = bad, bad, bad
	case "forget":
		s.server.Forget()
	case "backup":
		s.restore = s.server.Backup()
	case "restore":
		if s.restore != nil {
			for _, n := range s.nets { // it was stopped for that
				n.drop()
			}
			s.restore()
			s.restart()
			s.restored(m)
		}
	}
}

// restored notes what a restored server may have lost: what it has not, and no device either. What a device has
// it is to send again, unless a crash takes it before.
func (s *simulated) restored(m *model) {
	kept := s.server.Kept()
	for _, x := range m.texts {
		if x.excused || kept[hashOf(x.content)] {
			continue
		}
		x.server, x.excused = false, true
		for _, v := range m.devices {
			if has, unsent := v.shows(x.content); has && (x.excused || v == x.by) {
				if x.excused = false; v != x.by || !unsent {
					x.safe = volatile
				}
				x.by = v
			}
		}
	}
}

// shows tells whether a device has a content in a file that has a name, and whether it may be unsent.
func (v *device) shows(content string) (has, unsent bool) {
	for _, path := range v.known(false) {
		if c, a, err := v.peek(path); err == nil && c == content {
			v.d.mu.Lock()
			n := v.d.byFID[a.FID]
			has, unsent = true, unsent || n.hot != nil
			v.d.mu.Unlock()
		}
	}
	return has, unsent
}

// behind tells whether a device has not yet listed a restored server again.
func (s *simulated) behind(v *device) bool {
	cursor, err := v.d.st.meta("cursor")
	info, _ := s.server.Device(v.cfg.Device, v.name).Info(context.Background())
	return err != nil || !strings.Contains(string(cursor), info.Epoch.String())
}

const simRounds, simSeed = "SATCHEL_SIM_ROUNDS", "SATCHEL_SIM_SEED"

// TestSimulation lets whole lives of devices pass in a few milliseconds each: the client as it
// is and the server's rules, on a clock that jumps to whatever happens next. A seed decides what programs do and what
// becomes of each message, process and machine: delayed, overtaken, lost, delivered twice or late, killed,
// without power. In the end all devices and the server agree, and nothing that was durable is
// lost. `make simulate` runs it for long, from a seed of its own.
func TestSimulation(t *testing.T) {
	rounds, first := number(simRounds, 30), number(simSeed, 1)
	for i := range rounds {
		seed := first + i
		ok := t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulate(t, uint64(seed)) })
		})
		// Pebble keeps channels in a sync.Pool, and a bubble can't use another's: two collections empty it.
		runtime.GC()
		runtime.GC()
		if !ok {
			t.Fatalf("again: %s=1 %s=1 %s=%d go test ./cache -run TestSimulation -count 50 -failfast\n(the seed decides what is done and what fails; which goroutine goes first is Go's, so some seeds need several runs)",
				simTrace, simRounds, simSeed, seed)
		}
	}
}

// newSimulated is a server for a test in a bubble.
func newSimulated(t *testing.T) *simulated {
	// Content files have the kernel's clock, which the bubble's has to follow.
	var real unix.Timespec
	must(t, unix.ClockGettime(unix.CLOCK_REALTIME, &real))
	time.Sleep(time.Until(time.Unix(real.Unix())))
	return &simulated{t: t, server: sim.New(api.ID{0: 0x10, 15: 1})}
}

func simulate(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	s := newSimulated(t)
	s.cuts = true
	s.batch = []int{0, 2, 5}[seed%3] // a life has no more work than fits into a batch
	m := &model{t: t, rng: rng, world: s, doings: slices.Concat(doings, fates), offline: map[*device]bool{}}
	if seed%4 == 0 {
		m.doings = append(m.doings, "backup", "backup", "restore", "restore", "sync", "sync", "sync", "online", "online", "online")
	}
	defer func() {
		for _, n := range s.nets {
			n.end()
		}
	}()
	defer m.end()
	m.begin()
	for range 10 + rng.IntN(90) {
		m.step()
		m.look()
	}
	for _, n := range s.nets {
		n.calm()
	}
	m.finish()
	if testing.Verbose() {
		t.Log("\n" + strings.Join(m.log, "\n"))
	}
}
