package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"satchel/api"
)

// The replica can be had from the server again, unsent content can't. So each
// content file that may hold some describes itself in an extended attribute, and
// when the replica turns out to be damaged, a new one is made and what was
// unsent goes to the Recovered folder.
const (
	describedAttr = "user.satchel"
	maxDescribed  = 2000 // bytes of a path: an extended attribute has little room
)

// A description says what an unsent content file is.
type description struct {
	Node api.ID   `json:"node"`
	Base api.ID   `json:"base,omitzero"` // the version that was edited
	Path api.Name `json:"path"`          // when it was described; of a long one the end
	Mode uint32   `json:"mode"`
}

// describe makes the content files that may hold unsent work describe
// themselves. It comes before content is hashed, and when content that was made durable before is so again behind programs;
// not in the calls of programs, an fsync among them, which it would slow by a third. Locked.
func (d *Drive) describe(n *node) {
	c := n.c
	if c == nil || c.described || n.hot == nil || n.dead || n.stale {
		return
	}
	path := d.wholePath(n.up, n.name)
	for len(path) > maxDescribed && strings.Contains(path, "/") {
		_, path, _ = strings.Cut(path, "/")
	}
	v := mustJSON(description{Node: n.id, Base: n.version, Path: api.Name(path), Mode: n.mode})
	// It moves the ctime, as a write would: the content is not taken for changed by it.
	clean := c.ctime() == c.synced
	err := unix.Fsetxattr(c.fd, describedAttr, v, 0)
	if full(err) && c.riding > 0 { // both have no room in it
		if c.rider > d.st.synced.Load() {
			return // but soon
		}
		c.dismount()
		err = unix.Fsetxattr(c.fd, describedAttr, v, 0)
	}
	if err != nil {
		d.log.Debug("unsent content can't describe itself", "err", err)
	}
	c.described, c.describing = true, len(v)
	d.heft(c)
	if clean {
		c.synced = c.ctime()
	} else {
		d.loosen(n)
	}
}

// weigh is how many blocks a description of so many bytes takes up in a content file. It is not seen from the content
// file itself, which programs may be writing to; locked.
func (d *Drive) weigh(bytes int) int64 {
	if w, ok := d.weights[bytes]; ok {
		return w
	}
	f, err := os.CreateTemp(d.cfg.Dir, "weigh-")
	if err != nil {
		return 0 // a block more or less is shown
	}
	defer f.Close()
	os.Remove(f.Name())
	c := content{fd: int(f.Fd())}
	before := c.sectors()
	if unix.Fsetxattr(c.fd, describedAttr, make([]byte, bytes), 0) != nil {
		return 0
	}
	d.weights[bytes] = c.sectors() - before
	return d.weights[bytes]
}

// nondescript takes the description from content that is the server's, or nobody's. It
// moves the ctime.
func (c *content) nondescript() {
	if c.described {
		unix.Fremovexattr(c.fd, describedAttr)
		c.described, c.describing = false, 0
	}
}

// damagedFile notes beside the replica that it is damaged.
const damagedFile = "damaged"

// damaged tells whether an error of opening means that the replica can't be trusted.
func damaged(err error) bool {
	return !passing(err) && (errors.Is(err, errCorrupt) || pebble.IsCorruptionError(err))
}

// passing tells whether an error is the machine's answer to a call, and so says nothing of what is on the disk: no descriptor or memory left, no
// right, a disk that is full or did not answer. That a file is missing does say something.
func passing(err error) bool {
	var no unix.Errno
	return errors.As(err, &no) && no != unix.ENOENT
}

// distrust notes that the replica is damaged, so that the next start makes a new one.
func (d *Drive) distrust(err error) {
	if !d.suspect.Swap(true) {
		d.log.Error("the replica is damaged; the next mount makes a new one", "err", err)
		if err := os.WriteFile(filepath.Join(d.cfg.Dir, damagedFile), []byte(err.Error()), 0o600); err != nil {
			d.log.Error("note the damage", "err", err)
		}
	}
}

// rebuild begins a new replica: the damaged one is put aside (the one put aside
// before goes), and with it all content but what describes itself as
// unsent. Nothing of it is open.
func rebuild(cfg *Config, why error) error {
	cfg.Log.Error("the replica is damaged: a new one is made, and unsent content goes to the Recovered folder", "err", why)
	fs, dir := cfg.seam.fs(), cfg.Dir
	aside := filepath.Join(dir, "replica.damaged")
	if err := fs.RemoveAll(aside); err != nil {
		return err
	}
	if err := fs.Rename(filepath.Join(dir, replicaDir), aside); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.RemoveAll(filepath.Join(dir, damagedFile))
}

// A foundling is unsent content without a record.
type foundling struct {
	slot uint64
	size int64
	description
}

// foundlings are the content files that describe themselves and that no record names, in the order in which they were made.
func (d *Drive) foundlings(used map[uint64]bool) (found []foundling, err error) {
	var mu sync.Mutex
	err = d.eachContent(func(slot uint64, path string) error {
		var f foundling
		buf := pieces.Get().(*[piece]byte)
		defer pieces.Put(buf)
		n, err := unix.Getxattr(path, describedAttr, buf[:])
		switch {
		case used[slot], err == noAttr, err == unix.ENOTSUP, err == nil && json.Unmarshal(buf[:n], &f.description) != nil:
			return nil // not unsent
		case err != nil: // what can't be read now must not be swept
			return fmt.Errorf("look for unsent content: %w", &fs.PathError{Op: "getxattr", Path: path, Err: err})
		}
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			return err
		}
		f.slot, f.size = slot, st.Size
		mu.Lock()
		defer mu.Unlock()
		found = append(found, f)
		return nil
	})
	slices.SortFunc(found, func(a, b foundling) int { return strings.Compare(a.Node.String(), b.Node.String()) })
	return found, err
}

// lookers is how many content files, or directories of them, are looked at together when the cache is opened.
const lookers = 16

// eachContent calls fn with every content file there is, from several goroutines.
func (d *Drive) eachContent(fn func(slot uint64, path string) error) error {
	root := filepath.Join(d.cfg.Dir, "content")
	dirs, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	var all errgroup.Group
	all.SetLimit(lookers)
	for _, dir := range dirs {
		all.Go(func() error {
			files, err := os.ReadDir(filepath.Join(root, dir.Name()))
			if err != nil {
				return err
			}
			for _, f := range files {
				slot, err := strconv.ParseUint(f.Name(), 16, 64)
				if err != nil {
					continue
				}
				if err := fn(slot, d.slotPath(slot)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return all.Wait()
}

// contentPaths calls fn with the path of each content file.
func (d *Drive) contentPaths(fn func(path string) error) error {
	return d.eachContent(func(_ uint64, path string) error { return fn(path) })
}

// salvage puts unsent content into the Recovered folder of a replica that is new; used gets its slots. The folder is a new one: if the server has one already, the two
// become one when it is sent. Locked.
func (d *Drive) salvage(t *tx, used map[uint64]bool) error {
	found, err := d.foundlings(used)
	if err != nil || len(found) == 0 {
		return err
	}
	// The root's entries are not known yet: the folder gets its name there when
	// they are (complete).
	p := d.sprout(d.root, 'd', 0o700, Cred{UID: d.cfg.UID, GID: d.cfg.GID})
	p.list = newListing()
	p.up, p.name = d.root.id, recovered
	t.node(p)
	mode, uid, gid, mtime := p.mode, p.uid, p.gid, p.mtime
	t.log(api.Mutation{Op: api.OpCreate, Node: p.id, Parent: d.root.id, Name: recovered, Time: p.btime, Attr: &api.Attr{
		Type: api.Directory, Mode: &mode, UID: &uid, GID: &gid, Mtime: &mtime}})
	for _, f := range found {
		name := api.Name(filepath.Base(string(f.Path)))
		for i := 2; p.list.byName[name] != nil; i++ {
			name = api.Name(filepath.Base(string(f.Path))).Numbered(i)
		}
		n := d.sprout(p, 'f', f.Mode, Cred{UID: d.cfg.UID, GID: d.cfg.GID})
		n.slot, n.size = f.slot, f.size
		used[f.slot] = true
		t.b.Set(slotKey(f.slot), (&slotRecord{node: n.id, dirty: true}).append(nil), nil)
		d.slots.held[f.slot] = &holding{node: n.id, bytes: n.size}
		d.slots.bytes += n.size
		h := d.heat(n)
		d.carry(h, d.enter(t, p, p.list, name, n, false))
		h.opened++
		h.due = time.Now()
		d.enqueue(n)
		d.log.Warn("unsent content is kept in the Recovered folder", "path", f.Path, "as", name, "bytes", f.size)
	}
	return nil
}
