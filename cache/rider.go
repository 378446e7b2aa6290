package cache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sys/unix"

	"satchel/api"
	"satchel/cache/locks"
)

// fsync(2) has to make two things durable, a file's content and what was journalled so far, and syncing two files takes a
// disk nearly as long as syncing one twice. So what is not in Pebble's log yet rides along in an extended attribute of the
// content file: the file system commits both at once. After an unclean end, what the riders have is applied to
// what Pebble still had (board).
//
// A rider is needed until Pebble's log is synced. Up to then its file gets no other rider, and stays as it is when its node has
// no more use for it (slots.limbo). One that is of no more use goes when the content becomes clean or its slot is free; it stays on what is
// clean already, whose ctime must not move. Riders are valid for one opening of the replica: the numbers of commits that were lost are given again.
const (
	riderAttr = "user.satchel.journal"
	riderMost = 2 << 10 // bytes; ext4 has room for 4 KiB of attributes, and content describes itself there too
	riderSize = 512     // riders are filled up to a multiple of it, bytes
	attrsMost = 3 << 10 // bytes of attributes from which on they are not weighed any more: ext4 has 4 KiB for them
)

// riders are the commits that may have to ride.
type riders struct {
	mu      locks.Mutex  // held during a commit
	session api.ID       // of this opening of the replica
	last    [][]byte     // the last commits, as Pebble's batches; those before are durable or too large to ride
	to      atomic.Int64 // up to this number commits are durable by riders
	off     bool         // there is nothing to ride on here
}

// durable is up to which number commits are.
func (s *store) durable() int64 { return max(s.synced.Load(), s.riders.to.Load()) }

// commit applies a batch without waiting for any durability.
func (s *store) commit(b *pebble.Batch) error {
	s.riders.mu.Lock()
	n := s.commits.Load() + 1
	err := b.Set(metaKey("commit"), binary.AppendUvarint(nil, uint64(n)), nil)
	if err == nil {
		s.riders.keep(b.Repr(), n-1-s.durable()) // Pebble takes a large batch's bytes for itself
		err = b.Commit(pebble.NoSync)
	}
	if err == nil {
		s.commits.Store(n)
	} else {
		s.riders.last = nil
	}
	s.riders.mu.Unlock()
	b.Close()
	if err != nil {
		return fmt.Errorf("write the replica: %w", err)
	}
	if !s.dirty.Swap(true) {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// keep keeps a commit for a rider. before is how many commits before it are not durable; with mu held.
func (r *riders) keep(repr []byte, before int64) {
	if int64(len(r.last)) > before {
		r.last = slices.Delete(r.last, 0, len(r.last)-int(before))
	}
	size := len(repr) + 2
	for _, other := range r.last {
		size += len(other) + 2
	}
	if r.off || size > riderMost-64 { // 64: what goes before them
		r.last = nil
		return
	}
	r.last = append(r.last, bytes.Clone(repr))
}

// rider is the commits that are not durable, as one value, and the number of the last; nil when they can't ride.
func (s *store) rider() ([]byte, int64) {
	r := &s.riders
	r.mu.Lock()
	defer r.mu.Unlock()
	to := s.commits.Load()
	k := int(to - s.durable())
	if k <= 0 || k > len(r.last) {
		return nil, 0
	}
	v := append(make([]byte, 4, riderMost), r.session[:]...)
	v = binary.AppendUvarint(v, uint64(to)-uint64(k)+1)
	v = binary.AppendUvarint(v, uint64(k))
	for _, b := range r.last[len(r.last)-k:] {
		v = append(binary.AppendUvarint(v, uint64(len(b))), b...)
	}
	v = append(v, make([]byte, (riderSize-len(v)%riderSize)%riderSize)...)
	binary.LittleEndian.PutUint32(v, crc32.Checksum(v[4:], castagnoli))
	return v, to
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// rode notes that commits up to a number are durable by a rider.
func (s *store) rode(to int64) {
	for was := s.riders.to.Load(); was < to && !s.riders.to.CompareAndSwap(was, to); {
		was = s.riders.to.Load()
	}
}

// A riding is a rider as it was found: commits in a row.
type riding struct {
	first   int64
	batches [][]byte
}

// readRider is a rider of a session, false if it is of another or was not written whole.
func readRider(v []byte, session api.ID) (riding, bool) {
	if len(v) < 4 || crc32.Checksum(v[4:], castagnoli) != binary.LittleEndian.Uint32(v) {
		return riding{}, false
	}
	r := reader{b: v[4:]}
	if r.id() != session {
		return riding{}, false
	}
	found := riding{first: int64(r.uvarint())}
	for k := r.uvarint(); k > 0 && !r.bad; k-- {
		found.batches = append(found.batches, []byte(r.string()))
	}
	return found, !r.bad
}

// board applies what rode on content files and did not get into Pebble's log. It is for the time before the replica is used.
func (s *store) board() error {
	if n, err := s.meta("commit"); err != nil {
		return err
	} else if n != nil {
		last, _ := binary.Uvarint(n)
		s.commits.Store(int64(last))
		s.synced.Store(int64(last))
	}
	v, err := s.meta("session")
	if err != nil || v == nil {
		return err
	}
	if clean, err := s.meta("clean"); err != nil || clean != nil {
		return err // all was synced
	}
	var mu sync.Mutex
	var found []riding
	err = s.contents(func(path string) error {
		buf := pieces.Get().(*[piece]byte)
		defer pieces.Put(buf)
		switch n, err := unix.Getxattr(path, riderAttr, buf[:]); err {
		case nil:
			if r, ok := readRider(buf[:n], api.ID(v)); ok {
				mu.Lock()
				defer mu.Unlock()
				found = append(found, r)
			}
		case noAttr, unix.ENOTSUP, unix.ENOENT:
		default: // a rider that can't be read now must not be lost for good
			return &fs.PathError{Op: "getxattr", Path: path, Err: err}
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for what was journalled last: %w", err)
	}
	slices.SortFunc(found, func(a, b riding) int { return int(a.first - b.first) })
	last := s.commits.Load()
	for _, r := range found {
		for i, repr := range r.batches {
			if r.first+int64(i) != last+1 {
				continue
			}
			b := s.NewBatch()
			if err := b.SetRepr(repr); err != nil {
				return fmt.Errorf("%w: what was journalled last: %w", errCorrupt, err)
			}
			if err := b.Commit(pebble.NoSync); err != nil {
				return fmt.Errorf("write the replica: %w", err)
			}
			last++
		}
	}
	if last > s.commits.Load() {
		s.log.Info("changes of just before the end were found", "commits", last-s.commits.Load())
	}
	s.commits.Store(last)
	return s.syncLog()
}

// begin begins a session for a cache directory: riders of those before are not valid any more, once the log is synced.
func (s *store) begin(dir string) error {
	s.riders.session, s.riders.off = api.NewID(), !riderable(dir)
	b := s.NewBatch()
	if err := b.Set(metaKey("session"), s.riders.session[:], nil); err != nil {
		return err
	}
	return s.commit(b)
}

// mayRide tells whether content may have a rider, and what would ride fits into one; locked.
func (d *Drive) mayRide(n *node, c *content) bool {
	if c == nil || n.c != c || n.hot == nil || n.hot.ready != nil || n.hot.sent != nil || c.rider > d.st.synced.Load() {
		return false // of what is hashed already the ctime must stay
	}
	v, _ := d.st.rider()
	return v != nil
}

// ride gives content that is about to be made durable a rider with the commits that are not; false when it can't
// have one. The number is that of the last of them. Locked.
func (d *Drive) ride(n *node, c *content) (to int64, ok bool) {
	if !d.mayRide(n, c) {
		return 0, false
	}
	v, to := d.st.rider()
	if v == nil {
		return 0, false
	}
	switch err := unix.Fsetxattr(c.fd, riderAttr, v, 0); err {
	case nil:
	case unix.ENOTSUP, unix.EPERM:
		d.log.Info("the cache's file system takes no attributes as a journal: fsync is slower", "err", err)
		d.st.riders.mu.Lock()
		d.st.riders.off = true
		d.st.riders.mu.Unlock()
		return 0, false
	default:
		return 0, false // there is no room, say
	}
	c.rider, c.riding = to, len(v)
	d.heft(c)
	d.loosen(n)
	return to, true
}

// heft brings up to date how many blocks the attributes of a content file take up; locked.
func (d *Drive) heft(c *content) {
	c.extra = 0
	switch {
	case c.riding > 0:
		c.extra = d.weigh(min((c.describing+c.riding+riderSize-1)/riderSize*riderSize, attrsMost))
	case c.describing > 0:
		c.extra = d.weigh(c.describing)
	}
}

// dismount takes a rider from a content file. It moves the ctime.
func (c *content) dismount() {
	if c.riding > 0 {
		unix.Fremovexattr(c.fd, riderAttr)
		c.rider, c.riding = 0, 0
	}
}
