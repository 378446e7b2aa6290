package cache

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// A dcache is the kernel as far as it remembers: names and attributes for as
// long as it was told to, unless it was told otherwise. It asks for a name only when it does not remember it, or has to be sure, and
// a rename takes along what it knew.
type dcache struct {
	noKernel
	d  *Drive
	mu lock // every directory's

	lag func() time.Duration // how long a note waits for a directory that programs keep locked; nil: not at all

	collects bool // writes, and goes by its own sizes and times; guarded by Drive.mu

	names map[dname]uint64 // 0: there is none
	types map[uint64]uint32
	attrs map[uint64]Attr
}

// A lock is a mutex whose waiters a bubble of package synctest takes for waiting: it
// is held while the server is asked.
type lock chan struct{}

func (l lock) Lock()   { l <- struct{}{} }
func (l lock) Unlock() { <-l }

type dname struct {
	parent uint64
	name   string
}

func newDcache(d *Drive) *dcache {
	return &dcache{d: d, mu: make(lock, 1), names: map[dname]uint64{}, types: map[uint64]uint32{}, attrs: map[uint64]Attr{}}
}

func (k *dcache) Writeback() bool { return k.collects }

// EntryChanged waits for what goes on in the directory, as it does in the kernel for the directory's lock.
func (k *dcache) EntryChanged(parent uint64, name string) {
	if k.lag != nil {
		time.Sleep(k.lag())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.names, dname{parent, name})
}

func (k *dcache) InodeChanged(fid uint64, data bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.attrs, fid)
}

// lookup is ask with the lock.
func (k *dcache) lookup(parent uint64, name string) (Attr, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ask(parent, name)
}

// ask asks for a name and remembers the answer; locked.
func (k *dcache) ask(parent uint64, name string) (Attr, error) {
	a, err := k.d.Lookup(parent, name, nil)
	delete(k.names, dname{parent, name})
	switch {
	case err == nil:
		k.remember(parent, name, a)
		k.attrs[a.FID] = a
	case api.KindOf(err) == api.NotFound && a.EntryValid > time.Minute:
		k.names[dname{parent, name}] = 0
	}
	return a, err
}

// find finds a name, without asking where it is remembered: then of the attributes there are only the type and the FUSE node id. Locked.
func (k *dcache) find(parent uint64, name string) (Attr, error) {
	switch fid, ok := k.names[dname{parent, name}]; {
	case !ok:
		return k.ask(parent, name)
	case fid == 0:
		return Attr{}, errNotFound
	default:
		return Attr{FID: fid, Mode: k.types[fid]}, nil
	}
}

// remember notes what a name leads to, as an answer says; locked.
func (k *dcache) remember(parent uint64, name string, a Attr) {
	k.types[a.FID] = a.Mode & unix.S_IFMT
	if a.EntryValid > time.Minute {
		k.names[dname{parent, name}] = a.FID
	} else {
		delete(k.names, dname{parent, name})
	}
}

// made ends a call that makes something; locked.
func (k *dcache) made(parent uint64, name string, a Attr, err error) error {
	if err == nil {
		k.remember(parent, name, a)
	}
	return err
}

// vacant asks for the name of something that is to be made; locked.
func (k *dcache) vacant(parent uint64, name string) error {
	_, err := k.ask(parent, name)
	switch {
	case err == nil:
		return errExists
	case api.KindOf(err) == api.NotFound:
		return nil
	}
	return err
}

// removed drops a name that was removed; locked.
func (k *dcache) removed(parent uint64, name string, err error) error {
	if err == nil || api.KindOf(err) == api.NotFound {
		delete(k.names, dname{parent, name})
	}
	return err
}

// moved does with names what a rename did, by what it knew of them; locked.
func (k *dcache) moved(from, to dname, exchange bool) {
	was, known := k.names[from]
	over, there := k.names[to]
	delete(k.names, from)
	delete(k.names, to)
	if known {
		k.names[to] = was
	}
	switch {
	case !there:
	case exchange:
		k.names[from] = over
	case over != 0:
		k.prune(over)
	}
}

// prune drops all names in a directory, as the removal of one does; locked.
func (k *dcache) prune(dir uint64) {
	maps.DeleteFunc(k.names, func(e dname, _ uint64) bool { return e.parent == dir })
}

// wrong says what the kernel believes that is not so.
func (k *dcache) wrong() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for e, fid := range k.names {
		if k.d.gone(e.parent) {
			continue // nobody gets there
		}
		a, err := k.d.Lookup(e.parent, e.name, nil)
		switch {
		case errors.Is(err, ErrStale): // a directory that is gone: nobody gets there
		case err == nil && a.FID != fid:
			return fmt.Errorf("the kernel believes that %q is node %d, and it is %d", e.name, fid, a.FID)
		case err != nil && fid != 0:
			return fmt.Errorf("the kernel believes that %q exists in %s: %w", e.name, k.d.dirName(e.parent), err)
		}
	}
	return nil
}

// gone tells whether a directory is gone.
func (d *Drive) gone(fid uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.byFID[fid]
	return n == nil || n.dead
}

// dirName describes a directory, for whoever reads that a test failed.
func (d *Drive) dirName(fid uint64) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.byFID[fid]
	if n == nil {
		return "a directory that is not known any more"
	}
	return fmt.Sprintf("%q (node %d, gone %v)", n.name, fid, n.dead)
}
