package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A content is a local content file with its descriptor. The fields are
// guarded by Drive.mu.
//
// The one descriptor that stays open is O_RDONLY, and it is what the kernel
// gets for passthrough (it opens the file anew with each program's flags). A
// descriptor for writing would make every lease, and so any proof that
// nobody writes, impossible. What this process writes it writes through
// short-lived descriptors. What it reads moves no access time (noAtime):
// only programs' reads do.
type content struct {
	slot    uint64
	fd      int
	backing int32 // the kernel's id for passthrough; 0 = not registered
	counted bool  // whoever has it open or mapped is counted by its node; see [Drive.Leases]
	rec     slotRecord

	// What the file looked like when the record was last brought up to date by it (pull).
	seenSize, seenBlocks, seenMtime, seenAtime int64

	synced int64 // its ctime when it was last made durable, ns
	failed error // of making it durable, which the kernel tells once: for the next fsync

	idle    bool // in slots.idle
	durable bool // of an unsent file: nobody opened it for writing since a sync of it began, and that succeeded

	described  bool  // its extended attribute says that it is unsent,
	describing int   // in so many bytes
	rider      int64 // the last commit of its rider, 0 for none,
	riding     int   // and how many bytes that has
	extra      int64 // blocks that these attributes take up, which are not the file's
}

// maxIdle is how many content files nobody has open stay open and registered; and as many of files that
// wait to be sent, but for those that were written since the last two syncs. Where descriptors are
// few it is an eighth of them.
const maxIdle = 4096

func (d *Drive) slotPath(slot uint64) string {
	return filepath.Join(d.cfg.Dir, "content", fmt.Sprintf("%02x", slot&0xff), strconv.FormatUint(slot, 16))
}

// slotRecord reads what the replica says of a content file that is not open.
func (d *Drive) slotRecord(slot uint64) (slotRecord, error) {
	v, err := d.st.get(slotKey(slot))
	if err != nil {
		return slotRecord{}, fmt.Errorf("content file %x: %w", slot, err)
	}
	return decodeSlot(v)
}

// openContent opens an existing content file; locked (one open(2) of a local file).
func (d *Drive) openContent(slot uint64) (*content, error) {
	rec, err := d.slotRecord(slot)
	if err != nil {
		return nil, err
	}
	c, err := d.openSlot(slot, 0)
	if err != nil {
		return nil, fmt.Errorf("content file %x: %w", slot, err)
	}
	c.rec = rec
	if rec.dirty {
		if n, err := unix.Fgetxattr(c.fd, describedAttr, nil); err == nil && n > 0 {
			c.described, c.describing = true, n
		}
	}
	if n, err := unix.Fgetxattr(c.fd, riderAttr, nil); err == nil && n > 0 {
		c.rider, c.riding = d.st.commits.Load(), n // at the latest
	}
	d.heft(c)
	c.look()
	return c, nil
}

// makeContent creates a new empty content file, ready for any node.
func (d *Drive) makeContent(slot uint64) (*content, error) {
	c, err := d.openSlot(slot, unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return nil, &os.PathError{Op: "create", Path: d.slotPath(slot), Err: err}
	}
	c.look()
	return c, nil
}

// openSlot opens a content file, of which nothing more is known yet.
func (d *Drive) openSlot(slot uint64, flags int) (*content, error) {
	path := d.slotPath(slot)
	open := func() (int, error) { return unix.Open(path, unix.O_RDONLY|noAtime|unix.O_CLOEXEC|flags, 0o600) }
	fd, err := open()
	if flags&unix.O_CREAT != 0 && errors.Is(err, fs.ErrNotExist) { // the first in its directory
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			fd, err = open()
		}
	}
	if err != nil {
		return nil, err
	}
	c := &content{slot: slot, fd: fd, counted: !d.leases}
	d.slots.mu.Lock()
	d.slots.open[c] = struct{}{}
	d.slots.mu.Unlock()
	return c, nil
}

// look notes size and times of the file as known.
func (c *content) look() {
	var st unix.Stat_t
	if unix.Fstat(c.fd, &st) == nil {
		c.saw(&st)
	}
}

func (c *content) saw(st *unix.Stat_t) {
	c.seenSize, c.seenBlocks, c.seenMtime, c.seenAtime = st.Size, st.Blocks-c.extra, st.Mtim.Nano(), st.Atim.Nano()
}

// taken is what the record says of the file's holes (see record).
func (c *content) taken() int64 {
	if c.seenBlocks == sectorsOf(c.seenSize) {
		return 0
	}
	return c.seenBlocks + 1
}

// sectors is how many blocks of 512 bytes the file takes up, 0 when it can't be had.
func (c *content) sectors() int64 {
	var st unix.Stat_t
	if unix.Fstat(c.fd, &st) != nil {
		return 0
	}
	return st.Blocks
}

// ctime is the content file's change time, ns; 0 when it can't be had.
func (c *content) ctime() int64 {
	var st unix.Stat_t
	if unix.Fstat(c.fd, &st) != nil {
		return 0
	}
	return st.Ctim.Nano()
}

// attach gives n its content file in memory, opening it when necessary; locked.
// The node must have a slot.
func (d *Drive) attach(n *node) (*content, error) {
	if n.c == nil {
		c, err := d.openContent(n.slot)
		if err != nil {
			return nil, err
		}
		n.c = c
		if n.hot != nil {
			c.durable = true // it was when it came to rest
			d.loosen(n)
		}
	}
	n.c.idle = false
	return n.c, nil
}

// fresh gives n a new empty content file; locked.
func (d *Drive) fresh(t *tx, n *node, dirty bool) (*content, error) {
	c, err := d.slots.take(d)
	if err != nil {
		return nil, err
	}
	d.dropPart(t, n)
	n.slot, n.c, n.taken = c.slot, c, 0
	d.hold(n)
	c.rec = slotRecord{node: n.id, version: n.version, dirty: dirty}
	t.slot(c)
	return c, nil
}

// shed takes the content file from n, which becomes cold; locked. The file is
// recycled when it is safe.
func (d *Drive) shed(t *tx, n *node) {
	d.dropPart(t, n)
	if n.slot == 0 {
		return
	}
	c, err := d.attach(n)
	if err == nil {
		d.slots.discard(d, c)
	}
	t.b.Delete(slotKey(n.slot), nil)
	d.unhold(n.slot)
	n.slot, n.c, n.taken = 0, nil, 0
}

// park notes that nobody has n's content file open; locked. The oldest idle
// ones beyond maxIdle are closed.
func (d *Drive) park(n *node) {
	if n.uncommitted == 0 {
		d.rest(n)
	}
	c := n.c
	if c == nil || c.idle || n.dead {
		return
	}
	c.idle = true
	d.slots.idle = append(d.slots.idle, idleContent{c, n})
	d.idleDown(d.cfg.seam.maxIdle())
}

// rest closes the content file of an unsent file that is durable and that nobody uses when many wait to be sent: however
// many do, descriptors do not run out. Its slot's record must be committed. Locked.
func (d *Drive) rest(n *node) {
	c := n.c
	if len(d.syn.hots) <= d.cfg.seam.maxIdle() || c == nil || n.hot == nil || n.opens > 0 || n.dead || n.stale || !c.durable || !c.described || !c.unwritten() {
		return
	}
	d.pull(n) // a mapping may have written since
	n.c, c.idle = nil, false
	d.fasten(n.hot)
	if c.backing == 0 {
		d.closeContent(c) // while the cache is opened nobody works off what is for later
		return
	}
	d.slots.later(func() { d.closeContent(c) })
}

// Leases tells whether the file system under the cache gives leases. Where it does not, nothing could prove that nobody writes to
// what was passed through. So there nothing is: then no program has a content file open, and the nodes' handles say who uses it.
func (d *Drive) Leases() bool { return d.leases }

// tryLeases finds out.
func (d *Drive) tryLeases() {
	if force := d.cfg.seam.leasing; force != nil {
		d.leases = *force
	} else {
		d.leases = Leases(d.cfg.Dir)
	}
	if !d.leases {
		d.log.Warn("the file system under the cache gives no leases (fcntl(2)): content goes through the daemon; a cache on a local disk is faster", "cache", d.cfg.Dir)
	}
}

// register lets the kernel read and write a content file itself; not where that could not be found out about.
func (d *Drive) register(c *content) {
	if !c.counted {
		c.backing = d.kernel().Register(c.fd)
	}
}

// closeContent gives the descriptors back; not locked when it is registered: the kernel is asked.
func (d *Drive) closeContent(c *content) {
	d.slots.mu.Lock()
	delete(d.slots.open, c)
	d.slots.mu.Unlock()
	if c.backing != 0 {
		d.kernel().Unregister(c.backing)
	}
	unix.Close(c.fd)
}

// closeContents gives back what descriptors there are still, when nothing uses the drive any more.
func (d *Drive) closeContents() {
	for c := range d.slots.open {
		d.closeContent(c)
	}
	for _, n := range d.byFID {
		if n.rw >= 0 {
			unix.Close(n.rw)
			n.rw = -1
		}
	}
}

// pull brings n's record up to date with its content file, which programs
// change without asking, and tells whether it did; locked.
func (d *Drive) pull(n *node) bool {
	if n.c == nil {
		return false
	}
	var st unix.Stat_t
	if unix.Fstat(n.c.fd, &st) != nil {
		return false
	}
	size, blocks, mtime, atime := n.c.seenSize, n.c.seenBlocks, n.c.seenMtime, n.c.seenAtime
	n.c.saw(&st)
	changed := false
	if st.Size != size || n.c.seenMtime != mtime {
		n.size, changed = st.Size, true
		if n.hot != nil {
			d.grew(n)
		}
		// The kernel's clock for files may be a tick behind ours.
		if mt := n.c.seenMtime; mt >= n.mtime || n.mtime-mt > tick {
			n.mtime = mt
		}
		n.ctime = max(n.ctime, n.mtime)
	}
	if n.c.seenBlocks != blocks || changed {
		n.taken, changed = n.c.taken(), true
	}
	if n.c.seenAtime != atime {
		n.atime, changed = n.c.seenAtime, true
		d.saveLater(n)
	}
	return changed
}

// tick is how far the kernel's coarse clock may be behind, with a margin.
const tick = int64(20 * time.Millisecond)

// sectorsOf is how many sectors of 512 bytes a file without holes takes up.
func sectorsOf(size int64) int64 { return (size + 4095) / 4096 * 8 }
