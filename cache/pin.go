package cache

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"satchel/api"
)

// Pinned folders and files are fetched at once, kept up to date, and never evicted. A pin belongs to the node: it
// moves with it, and passes to the file that is renamed over a pinned one, as programs save. The pinner is one more program that reads the tree, and profits from what is fetched ahead
// of such programs.
type pins struct {
	roots  map[api.ID]bool  // kept in Pebble
	todo   map[api.ID]bool  // nodes that may have to be fetched; false: that is being done, and nothing is new since it was begun
	missed map[api.ID]error // nodes that could not be, where others can; they are tried again
	links  map[api.ID]place // files that may have several names, and one that is in a pinned folder, or none: see pinlinks.go
	toured bool             // all that is pinned was gone through since the start
	stays  int64            // so many bytes of other content could not go when the list was last gone through; 0: it was not tried
	wake   chan struct{}
}

// pinRetry is how long the pinner waits after it failed; where it failed on some nodes alone, longer each time.
const (
	pinRetry  = 10 * time.Second
	pinRarely = 6 * time.Hour    // it may be a large file that comes damaged each time
	pinRoom   = 10 * time.Minute // for what had no room, of which nothing comes before there is some
)

// loadPins reads what is pinned.
func (d *Drive) loadPins() error {
	d.pins = pins{roots: map[api.ID]bool{}, todo: map[api.ID]bool{}, missed: map[api.ID]error{}, links: map[api.ID]place{}, wake: make(chan struct{}, 1)}
	v, err := d.st.meta("pins")
	if err != nil || v == nil {
		return err
	}
	var ids []api.ID
	if err := json.Unmarshal(v, &ids); err != nil {
		return err
	}
	for _, id := range ids {
		d.pins.roots[id], d.pins.todo[id] = true, true
	}
	return nil
}

func (d *Drive) savePins() error {
	t := d.begin()
	t.pins()
	return t.commit()
}

func (t *tx) pins() {
	t.b.Set(metaKey("pins"), mustJSON(slices.Collect(maps.Keys(t.d.pins.roots))), nil)
}

// passPin gives the pin of a file that is replaced to the one in its place; locked.
func (d *Drive) passPin(t *tx, from, to *node) {
	if d.pins.roots[from.id] && from.isFile() && to.isFile() {
		delete(d.pins.roots, from.id)
		d.pins.roots[to.id] = true
		d.touchPin(to.id)
		t.pins()
	}
}

// Pin keeps a file, or a folder with all that is in it, on this machine. The path is below the drive's root, "" is
// all of it. It returns when all is here. An error of kind Unavailable means that it is pinned, but not everything could be
// fetched, and says what: that goes on by itself. NotFound: there is no such path.
func (d *Drive) Pin(ctx context.Context, path string) error {
	d.mu.Lock()
	n, err := d.resolvePath(ctx, path)
	if err == nil {
		d.pins.roots[n.id] = true
		d.touchPin(n.id)
		err = d.savePins()
	}
	d.mu.Unlock()
	if err != nil {
		return err
	}
	for {
		d.mu.Lock()
		left := len(d.pins.todo)
		missing := d.missing(n)
		d.mu.Unlock()
		switch {
		case left == 0:
			return missing
		case d.paused() != "":
			return api.Errorf(api.Unavailable, "it is pinned; what is missing is fetched when the pause is over (%s)", d.paused())
		case d.polled.Load() && !d.connected.Load():
			return api.Errorf(api.Unavailable, "it is pinned, but the server can't be reached: what is missing will be fetched when it can")
		}
		select {
		case <-ctx.Done():
			return api.Errorf(api.Cancelled, "it is pinned; what is missing is fetched in the background")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// missing is what could not be fetched of a pinned node and of what is below it, as an error; nil if that is nothing. Locked.
func (d *Drive) missing(root *node) error {
	var first string
	var why error
	count := 0
	for id, err := range d.pins.missed {
		n, _ := d.load(id)
		if n == nil {
			continue
		}
		if !n.dead && d.climb(n, func(id api.ID) bool { return id == root.id }) {
			if path := d.wholePath(n.up, n.name); count == 0 || path < first {
				first, why = path, err
			}
			count++
		}
		d.letGo(n)
	}
	switch count {
	case 0:
		return nil
	case 1:
		return api.Errorf(api.Unavailable, "it is pinned, but %q can't be had now, and is tried again: %w", first, why)
	}
	return api.Errorf(api.Unavailable, "it is pinned, but %q and %d more can't be had now, and are tried again: %w", first, count-1, why)
}

// Unpin lets go of a pin. What is here stays until the room is needed. NotFound: nothing is pinned by this path.
func (d *Drive) Unpin(ctx context.Context, path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.resolvePath(ctx, path)
	if err != nil {
		return err
	}
	if !d.pins.roots[n.id] {
		if d.pinned(n) {
			return api.Errorf(api.NotFound, "%q is pinned with a folder above it: unpin that one", path)
		}
		return api.Errorf(api.NotFound, "%q is not pinned", path)
	}
	delete(d.pins.roots, n.id)
	d.hurryPins() // it forgets what is not pinned any more
	d.wakeEvict()
	return d.savePins()
}

// A Pin is a file or folder that was pinned, where it is now.
type Pin struct {
	Path   string `json:"path"` // below the drive's root; "" is all of it
	Folder bool   `json:"folder"`
}

// Pins is what is pinned, in the order of paths. What was removed from the drive is left out, until it is brought back.
func (d *Drive) Pins() ([]Pin, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := []Pin{}
	err := d.eachPin(func(n *node) {
		p := Pin{Folder: n.isDir()}
		if n != d.root {
			p.Path = d.wholePath(n.up, n.name)
		}
		all = append(all, p)
	})
	slices.SortFunc(all, func(a, b Pin) int { return strings.Compare(a.Path, b.Path) })
	return all, err
}

// eachPin calls fn with what is pinned and on the drive; locked.
func (d *Drive) eachPin(fn func(*node)) error {
	for id := range d.pins.roots {
		n, err := d.load(id)
		if err != nil {
			return err
		}
		if n != nil && !n.dead {
			fn(n)
			d.letGo(n)
		}
	}
	return nil
}

// resolvePath finds a node by its path; locked, and given up while directories are listed.
func (d *Drive) resolvePath(ctx context.Context, path string) (*node, error) {
	return d.passPath(ctx, path, func(api.ID) error { return nil })
}

// Walk calls fn with each node that a path leads through, the last one too, until fn fails.
func (d *Drive) Walk(ctx context.Context, path string, fn func(api.ID) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := d.passPath(ctx, path, fn)
	return err
}

// passPath is [Drive.Walk], and the node that the path is of; locked.
func (d *Drive) passPath(ctx context.Context, path string, fn func(api.ID) error) (*node, error) {
	n := d.root
	for name := range strings.SplitSeq(path, "/") {
		if name == "" {
			continue
		}
		l, err := d.dir(n, ctx.Done())
		if err != nil {
			return nil, err
		}
		kid, err := d.child(l, api.Name(name))
		if err != nil {
			return nil, err
		}
		if kid == nil {
			return nil, api.Errorf(api.NotFound, "there is no %q on the drive", strings.Trim(path, "/"))
		}
		kid.up, kid.name = n.id, api.Name(name)
		if err := fn(kid.id); err != nil {
			return nil, err
		}
		n = kid
	}
	return n, nil
}

// touchPin notes that a node is new in its place, or has another version; locked. Whether it is pinned is found out
// later.
func (d *Drive) touchPin(id api.ID) {
	if len(d.pins.roots) == 0 {
		return
	}
	d.pins.todo[id] = true
	d.pins.stir()
}

// stir lets the pinner look at its list.
func (p *pins) stir() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// hurryPins lets the pinner try at once what could not be fetched; locked.
func (d *Drive) hurryPins() {
	for id := range d.pins.missed {
		d.pins.todo[id] = true
	}
	d.pins.stir()
}

// tooLarge is which nodes had no room; locked.
func (p *pins) tooLarge() (ids []api.ID) {
	for id, err := range p.missed {
		if api.KindOf(err) == api.NoSpace {
			ids = append(ids, id)
		}
	}
	return ids
}

// runPinner fetches what is pinned and not here, until Close.
func (d *Drive) runPinner() {
	var again, room <-chan time.Time // fire when what could not be fetched, or had no room, is tried again, whatever is new meanwhile
	wait := pinRetry
	for {
		var retry <-chan time.Time
		if err := d.pinAll(); err != nil && d.ctx.Err() == nil {
			d.log.Warn("fetch what is pinned", "err", err)
			if d.connected.Load() { // else that wakes us
				retry = time.After(pinRetry)
			}
		}
		d.mu.Lock()
		missed, tooLarge := len(d.pins.missed), len(d.pins.tooLarge())
		d.mu.Unlock()
		switch {
		case missed == 0:
			again, wait = nil, pinRetry
		case again == nil:
			again = time.After(wait)
			wait = min(2*wait, pinRarely)
		}
		if tooLarge > 0 && room == nil {
			room = time.After(pinRoom)
		}
		select {
		case <-d.done:
			return
		case <-d.pins.wake:
		case <-retry:
		case <-again:
			again = nil
			d.mu.Lock()
			d.hurryPins()
			d.mu.Unlock()
		case <-room:
			room = nil
			d.mu.Lock()
			for _, id := range d.pins.tooLarge() {
				d.touchPin(id)
			}
			d.mu.Unlock()
		}
	}
}

// pinAll looks at all nodes on the list. When nothing can be had now, the rest stays on it.
func (d *Drive) pinAll() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pins.stays = 0
	for len(d.pins.todo) > 0 && d.paused() == "" {
		for id := range d.pins.todo {
			d.pins.todo[id] = false
			n, err := d.load(id)
			if err == nil && n != nil && !n.dead && d.pinned(n) {
				err = d.pinTree(n)
			} else {
				delete(d.pins.missed, id)
			}
			if err != nil || d.ctx.Err() != nil {
				return err
			}
			if !d.pins.todo[id] { // else another version has come meanwhile
				delete(d.pins.todo, id)
			}
		}
	}
	d.pins.toured = d.pins.toured || len(d.pins.todo) == 0
	return nil
}

// pinTree fetches a node and what is below it; locked, and given up while it waits. What can't be had is noted, and the rest fetched all the same:
// the error is that nothing can be had now.
func (d *Drive) pinTree(n *node) error {
	if n.dead || n.stale {
		return nil
	}
	if n.isFile() {
		if n.ahead {
			d.opened(n)
		}
		var err error
		if n.slot == 0 && n.size > 0 {
			err = d.fetchPinned(n)
		}
		return d.fared(n, err)
	}
	if !n.isDir() {
		return nil
	}
	d.passes(n)
	l, err := d.entriesOf(n, true, d.done)
	if err := d.fared(n, err); err != nil || l == nil {
		return err
	}
	kids := make([]kid, 0, len(l.byName))
	for _, k := range l.order { // in the order in which others are fetched ahead
		if k.name != "" && (k.typ == 'f' || k.typ == 'd') {
			kids = append(kids, *k)
		}
	}
	for _, k := range kids {
		kid, err := d.load(k.id)
		if err != nil {
			return err
		}
		if kid == nil {
			continue
		}
		d.passed(kid, place{n.id, k.name})
		err = d.pinTree(kid)
		d.letGo(kid)
		if err != nil {
			return err
		}
	}
	return nil
}

// fared notes how fetching a pinned node went, and returns an error that all others would meet too; locked.
func (d *Drive) fared(n *node, err error) error {
	kind := api.KindOf(err)
	switch {
	case err == nil, n.dead, n.stale: // removed meanwhile, or another one is in its place, and on the list
		delete(d.pins.missed, n.id)
		return nil
	case d.ctx.Err() != nil, kind == api.Unauthenticated, kind == api.RateLimited, kind == api.Unavailable && !d.connected.Load():
		return err
	}
	if d.pins.missed[n.id] == nil {
		d.log.Warn("what is pinned can't be fetched now", "name", n.name, "node", n.id, "err", err)
	}
	d.pins.missed[n.id] = err
	return nil
}
