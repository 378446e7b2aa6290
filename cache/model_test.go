package cache

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"satchel/integration/live"
)

// The model knows promises, not mechanisms. Of each text that was ever written
// it knows who wrote it, how durable it has to be, and whether its author
// replaced it before anybody else could have it. Most texts are unique, so what
// became of one can be told from where it is in the end.
type text struct {
	content string
	by      *device // nil: the HTTP API
	safe    safety
	server  bool // the server has told that it has it
	excused bool // its author replaced or removed it unsent, or lost it to a crash as it may
}

type safety int

const (
	volatile safety = iota // until 50 ms are over
	soft                   // survives kill -9
	hard                   // survives power loss
)

type model struct {
	t interface {
		Helper()
		Fatalf(format string, args ...any)
	}
	rng     *rand.Rand
	world   world
	doings  []string
	devices []*device
	texts   []*text
	open    []*handle
	log     []string // what was done
	offline map[*device]bool
}

// A world is the server as the model sees it, and the HTTP API's clients.
type world interface {
	device(name string, rng *rand.Rand) *device
	store(path, content string) error
	remove(path string) error
	move(from, to string) error
	restart()
	kept() (map[string]bool, error) // the SHA-256 of all that the history and the trash have
}

// real is a server with its database.
type real struct {
	t      *testing.T
	server *live.Server
	user   *live.User
	token  string
}

func newReal(t *testing.T, s *live.Server) *real {
	u := s.User()
	return &real{t: t, server: s, user: u, token: newToken(t, u, s.URL)}
}

func (r *real) device(name string, rng *rand.Rand) *device {
	return newDevice(r.t, r.user, r.server.URL, name, rng)
}

func (r *real) store(path, content string) error { return r.server.Store(r.token, path, content) }
func (r *real) remove(path string) error         { return r.server.Delete(r.token, path) }
func (r *real) move(from, to string) error       { return r.server.Move(r.token, from, to) }
func (r *real) kept() (map[string]bool, error)   { return r.user.Kept() }

func (r *real) restart() {
	r.server.Stop()
	r.server.Start()
}

func (m *model) text(by *device) *text {
	n := len(m.texts)
	x := &text{content: fmt.Sprintf("text %d.", n), by: by}
	if n%7 == 3 {
		x.content += strings.Repeat("-", 3000+n*17)
	}
	m.texts = append(m.texts, x)
	return x
}

// replace notes that a device replaces or removes what it sees in a file. What the server
// refused has an answer, and only this copy.
func (m *model) replace(v *device, path, content string) {
	for _, x := range m.texts {
		if x.content == content && x.by == v && (!x.server || strings.HasPrefix(path, "Recovered/")) {
			x.excused = true
		}
	}
}

// crashed notes what a device may have lost.
func (m *model) crashed(v *device, survives safety) {
	for _, x := range m.texts {
		if x.by == v && x.safe < survives && !x.server {
			x.excused = true
		}
	}
}

func (m *model) safer(v *device, s safety) {
	for _, x := range m.texts {
		if x.by == v {
			x.safe = max(x.safe, s)
		}
	}
}

func (h *handle) node() *node {
	h.v.d.mu.Lock()
	defer h.v.d.mu.Unlock()
	return h.v.d.byFID[h.fid]
}

func (m *model) handle(v *device) *handle {
	for _, h := range m.open {
		if h.v == v {
			return h
		}
	}
	return nil
}

func (m *model) forget(h *handle) {
	for i := range m.open {
		if m.open[i] == h {
			m.open = append(m.open[:i], m.open[i+1:]...)
			return
		}
	}
}

// reopen starts a device again; what was open is not any more.
func (m *model) reopen(v *device) {
	for h := m.handle(v); h != nil; h = m.handle(v) {
		m.forget(h)
	}
	if v.d == nil {
		if err := v.open(); err != nil {
			m.fail("%s does not open any more: %v", v.name, err)
		}
	}
	if m.offline[v] {
		v.wire.cut()
	}
}

// fsynced notes that a text, and all that the device journalled before, is durable.
func (m *model) fsynced(v *device, content string) {
	for _, x := range m.texts {
		if x.content == content && x.by == v {
			x.safe = hard
		}
	}
}

// behind tells whether a device has not heard yet that the server was restored: what it sent may be lost with what the server had.
func (m *model) behind(v *device) bool {
	s, ok := m.world.(*simulated)
	return ok && s.behind(v)
}

func (m *model) sent(v *device) {
	for _, x := range m.texts {
		if x.by == v && !x.excused && !m.isOpen(v, x) {
			x.server, x.safe = true, hard
		}
	}
}

// isOpen tells whether a text is in a file that is open: a checkpoint of it
// may be what was sent.
func (m *model) isOpen(v *device, x *text) bool {
	for _, h := range m.open {
		if h.v == v {
			if now, err := h.read(); err == nil && now == x.content {
				return true
			}
		}
	}
	return false
}

func (m *model) fail(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("%s\n--- what was done\n%s\n%s", fmt.Sprintf(format, args...), strings.Join(m.log, "\n"), m.logs())
}

func (m *model) logs() string {
	var b strings.Builder
	for _, v := range m.devices {
		fmt.Fprintf(&b, "--- log of %s\n%s", v.name, v.log.String())
	}
	return b.String()
}

// finish closes what is open, lets everybody catch up and checks the promises.
func (m *model) finish() {
	for len(m.open) > 0 {
		m.open[0].close()
		m.forget(m.open[0])
	}
	for _, v := range m.devices {
		v.wire.breakCommits(0, false)
		v.wire.mend()
		for until := time.Now().Add(time.Minute); m.behind(v) && time.Now().Before(until); {
			time.Sleep(100 * time.Millisecond)
		}
	}
	if len(m.devices) == 1 && !m.wasTouched() {
		// With nobody to disagree with, sending changes nothing.
		v := m.devices[0]
		before, err := v.view()
		if err == nil {
			defer func() {
				after, err := v.view()
				if diff := differs(before, after); err != nil || diff != "" {
					m.fail("sending changed what the only device shows: %v\n%s", err, diff)
				}
			}()
		} else if !errors.Is(err, errOffline) && !errors.Is(err, errCut) {
			m.fail("before the end: %v", err)
		}
	}
	truth, err := quietly(m.devices...)
	if err != nil {
		m.fail("%v", err)
	}
	kept, err := m.world.kept()
	if err != nil {
		m.fail("%v", err)
	}
	for _, x := range m.texts {
		if !x.excused && len(truth.find(x.content)) == 0 && !kept[hashOf(x.content)] {
			m.fail("%q of %v is lost (safety %d, on the server %v); the server has\n%v", x.content[:min(9, len(x.content))], x.by, x.safe, x.server, truth)
		}
	}
	for _, v := range m.devices {
		if s := v.d.Status(); s.PendingMutations != 0 || s.Unproven != 0 {
			m.fail("%s is not quiet: %+v", v.name, s)
		}
	}
}

func (v *device) String() string {
	if v == nil {
		return "the API"
	}
	return v.name
}

// wasTouched tells whether somebody else than the devices, or a crash, changed things.
func (m *model) wasTouched() bool {
	for _, l := range m.log {
		if strings.HasPrefix(l, "the API") || l == "the server: restore" || strings.Contains(l, " kill ") || strings.Contains(l, " power ") {
			return true
		}
	}
	return false
}

// number is a number from the environment, or another.
func number(variable string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
		return n
	}
	return otherwise
}

// setFlag sets a flag for the time of a test.
func setFlag(t *testing.T, name, value string) {
	t.Helper()
	was := flag.Lookup(name).Value.String()
	must(t, flag.Set(name, value))
	t.Cleanup(func() { flag.Set(name, was) })
}

// TestModel lets devices and the HTTP API do random things, with random
// disconnects, crashes, power losses, lost answers, restarts and wrong clocks, and then
// holds them to the promises: all agree, and nothing that was durable is lost.
// `make model` runs it for long.
func TestModel(t *testing.T) {
	// A run that hangs on the clock can't be shrunk.
	setFlag(t, "rapid.checks", fmt.Sprint(number("SATCHEL_MODEL_ROUNDS", 6)))
	setFlag(t, "rapid.shrinktime", "1ms")
	setFlag(t, "rapid.nofailfile", "true")
	steps := number("SATCHEL_MODEL_STEPS", 60)
	s := live.New(t)
	rapid.Check(t, func(rt *rapid.T) {
		// Even choices: rapid's own prefer the first ones of a list.
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), rapid.Uint64().Draw(rt, "seed")))
		m := &model{t: rt, rng: rng, world: newReal(t, s), doings: doings, offline: map[*device]bool{}}
		defer m.end()
		m.begin()
		for range steps {
			m.step()
			m.look()
		}
		m.finish()
	})
}

// begin makes the devices.
func (m *model) begin() {
	for i := range pick(m, []int{1, 2, 2, 3}) {
		v := m.world.device(string(rune('x'+i)), m.rng)
		skew := pick(m, []time.Duration{0, 0, 3 * time.Hour, -40 * time.Minute})
		v.wire.mu.Lock()
		v.wire.skew = skew
		v.wire.mu.Unlock()
		m.devices = append(m.devices, v)
	}
}

// look checks what must be true at any time.
func (m *model) look() {
	for _, v := range m.devices {
		if err := v.check(); err != nil {
			m.fail("%v", err)
		}
	}
}

func (m *model) end() {
	for _, v := range m.devices {
		v.end()
	}
}

// check looks for what must never be, not even in between.
func (v *device) check() error {
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	if err := errors.Join(v.d.checkUnsent(), v.d.checkAbove(), v.d.checkWaits()); err != nil {
		return fmt.Errorf("%s: %w", v.name, err)
	}
	for _, n := range v.d.byID {
		if n.isDir() && !n.dead {
			for up, steps := n, 0; up != nil && up != v.d.root; up = v.d.byID[up.up] {
				if steps++; steps > len(v.d.byID) {
					return fmt.Errorf("%s: the directory %q is above itself", v.name, n.name)
				}
			}
		}
		if n.list == nil {
			continue
		}
		for name, k := range n.list.byName {
			kid, err := v.d.load(k.id)
			if err != nil || kid == nil {
				return fmt.Errorf("%s has the entry %q without its node: %v", v.name, name, err)
			}
			if kid.nlink == 0 || kid.dead {
				return fmt.Errorf("%s: %q has %d links, dead %v", v.name, name, kid.nlink, kid.dead)
			}
		}
	}
	return nil
}
