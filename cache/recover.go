package cache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// recover brings the cache back to a consistent state after its last
// process ended, however it did: the journal is loaded, changed content found, and
// content files that no record names are removed.
func (d *Drive) recover() error {
	clean, err := d.st.meta("clean")
	if err != nil {
		return err
	}
	era, err := d.st.meta("boot")
	if err != nil {
		return err
	}
	end := lastEnd{crashed: clean == nil, lossy: era == nil || !strings.HasPrefix(d.era, string(era)), copied: d.syn.copied}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.loadJournal(); err != nil {
		return err
	}
	if end.crashed && bytes.HasPrefix(era, []byte(d.cfg.seam.bootID())) { // what that life wrote last may not be durable, and rest takes it to be
		if err := syncTree(filepath.Join(d.cfg.Dir, "content")); err != nil {
			return fmt.Errorf("make what was written before durable: %w", err)
		}
	}
	t := d.begin()
	t.b.Delete(metaKey("clean"), nil)
	t.b.Set(metaKey("boot"), []byte(d.era), nil)
	used, err := d.recoverContents(t, end)
	if err != nil {
		return err
	}
	if era == nil { // the replica is new
		if err := d.salvage(t, used); err != nil {
			return err
		}
	}
	if err := d.loadPartials(t, used); err != nil {
		return err
	}
	if f := d.syn.flight; f != nil && len(f.Batch.Mutations) == 0 {
		d.unsend(t, f, true)
	}
	if err := t.commit(); err != nil {
		return err
	}
	return d.sweep(used)
}

// A recorded is a content file by its record.
type recorded struct {
	slot uint64
	slotRecord
	found stamp // the file, where that may say more
}

// A stamp is what tells whether a content file is as it was.
type stamp struct {
	ctime, size int64
	err         error // there is none
}

// loadRun is how many nodes are brought into memory together when the cache is opened.
const loadRun = 1000

// recoverContents recovers the content files that there are records of, and returns which nodes have; locked. They come in the order of their nodes: many
// nodes are read from each of Pebble's blocks.
func (d *Drive) recoverContents(t *tx, end lastEnd) (used map[uint64]bool, err error) {
	var all []recorded
	err = d.st.scan([]byte{keySlot}, func(k, v []byte) error {
		s, err := decodeSlot(v)
		all = append(all, recorded{slot: binary.BigEndian.Uint64(k[1:]), slotRecord: s})
		return err
	})
	if err != nil {
		return nil, err
	}
	if end.crashed || end.lossy {
		d.stampAll(all)
	}
	slices.SortFunc(all, func(a, b recorded) int { return bytes.Compare(a.node[:], b.node[:]) })
	used = make(map[uint64]bool, len(all))
	for run := range slices.Chunk(all, loadRun) {
		var keys [][]byte
		for i := range run {
			if d.byID[run[i].node] == nil && (i == 0 || run[i].node != run[i-1].node) {
				keys = append(keys, nodeKey(run[i].node))
			}
		}
		if _, err := d.loadKeys(keys); err != nil {
			return nil, err
		}
		for i := range run {
			if err := d.recoverContent(t, &run[i], end, used); err != nil {
				return nil, err
			}
		}
		for i := range run {
			if n := d.byID[run[i].node]; n != nil {
				d.letGo(n)
			}
		}
	}
	return used, nil
}

// recoverContent does so with one, whose node is in memory if there is one; locked.
func (d *Drive) recoverContent(t *tx, r *recorded, end lastEnd, used map[uint64]bool) error {
	n := d.byID[r.node]
	if n == nil || n.slot != r.slot { // unlinked while open, or replaced
		t.b.Delete(slotKey(r.slot), nil)
		return nil
	}
	used[r.slot] = true
	d.slots.held[r.slot] = &holding{node: n.id, bytes: n.stored(), used: n.atime}
	d.slots.bytes += n.stored()
	return d.examine(t, n, r, end)
}

// stampAll looks at content files that should be as they were, many at a time: their inodes may have to come from the disk.
func (d *Drive) stampAll(all []recorded) {
	var at atomic.Int64
	var wg sync.WaitGroup
	for range lookers {
		wg.Go(func() {
			for i := at.Add(1) - 1; i < int64(len(all)); i = at.Add(1) - 1 {
				if r := &all[i]; !r.dirty {
					var st unix.Stat_t
					err := unix.Stat(d.slotPath(r.slot), &st)
					r.found = stamp{st.Ctim.Nano(), st.Size, err}
				}
			}
		})
	}
	wg.Wait()
}

// A lastEnd is how the cache's last process ended.
type lastEnd struct {
	crashed bool
	lossy   bool // it was in another era
	copied  bool // it was another cache's: no file has the times that are noted of it
}

// examine finds out whether a content file may differ from what its record
// says; locked. After an unclean end every file whose ctime is not the one
// of its clean mark may: programs went on writing while nobody watched. But none outlives
// the machine, or the disk that is pulled out: after such an end what is marked clean and is older or shorter did not
// reach the disk whole, and is fetched again, and so is what was fetched without a mark of its time yet (adoptPart). What is newer was
// written, and may have been made durable without a word to us (msync, RWF_DSYNC) before the mark of its opening was. A file that is as it was
// before its mark shows such an end by itself, where the kernel does not tell one mount from another.
func (d *Drive) examine(t *tx, n *node, r *recorded, end lastEnd) error {
	s, is := r.slotRecord, r.found
	if !s.dirty {
		if !end.crashed && !end.lossy {
			return nil
		}
		if is.err == nil && is.ctime == s.ctime && is.size == n.size {
			return nil
		}
		wrote := is.err == nil && s.ctime != 0 && is.ctime > s.ctime && is.size >= n.size && !end.copied && !d.cfg.seam.lost(d.slotPath(n.slot))
		undone := is.err == nil && (is.ctime < s.ctime || is.ctime == s.ctime && is.size < n.size)
		if (end.lossy && !wrote || undone) && !n.version.IsZero() {
			d.shed(t, n)
			t.node(n)
			return nil
		}
	}
	c, err := d.attach(n)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("content file of %q: %w", n.name, err) // too many open files, a sick disk: nothing is given up for that
	}
	if err != nil && d.journal.unsent(n.id, api.OpCreate) != nil {
		d.log.Error("content file of a new file is missing: an empty one takes its place", "name", n.name, "err", err)
		if c, err = d.makeContent(n.slot); err == nil {
			n.c, c.rec = c, s
		}
	}
	if err != nil {
		d.log.Error("content file is missing", "name", n.name, "err", err)
		d.orphan(t, n, s.dirty)
		return nil
	}
	h := d.heat(n)
	c.rec.dirty = true
	t.slot(c)
	var st unix.Stat_t
	if err := unix.Fstat(c.fd, &st); err == nil {
		n.size = st.Size
		d.grew(n)
		if mt := st.Mtim.Nano(); mt > n.ctime { // written after the record was
			n.mtime, n.ctime = mt, mt
		}
	}
	if s.dirty { // the record says what it did
		c.durable = true
		d.rest(n)
	}
	t.node(n)
	h.opened++
	h.other = len(d.syn.doubt) > 0 // what was heard of it is not known any more
	if e := d.journal.unsent(n.id, api.OpCreate, api.OpWrite); e != nil {
		d.carry(h, e)
	} else {
		d.logWrite(t, n)
		h.mtime = -1 // not known: send the mtime even if the content is the same
	}
	h.due = time.Now()
	d.enqueue(n)
	return nil
}

// orphan makes a node whose content file is missing a cold one; locked. An edit that was not sent is lost with
// the file: then the node is what the server has, which a listing tells.
func (d *Drive) orphan(t *tx, n *node, edited bool) {
	t.b.Delete(slotKey(n.slot), nil)
	d.unhold(n.slot)
	n.slot = 0
	if edited {
		if e := d.journal.unsent(n.id, api.OpWrite); e != nil {
			t.drop(e) // it would be sent as an empty file
		}
		n.size, n.version, n.sha = 0, lostVersion(), nothing().SHA256
		d.doubtNode(t, n)
	}
	t.node(n)
}

// sweep removes the content files that no record names, and finds the next
// free number; locked.
func (d *Drive) sweep(used map[uint64]bool) error {
	var mu sync.Mutex
	err := d.eachContent(func(slot uint64, path string) error {
		if !used[slot] {
			os.Remove(path)
		}
		mu.Lock()
		defer mu.Unlock()
		d.slots.next = max(d.slots.next, slot+1)
		return nil
	})
	if err != nil {
		return err
	}
	for slot := range used {
		d.slots.next = max(d.slots.next, slot+1)
	}
	return nil
}

// checkLife gives the cache an incarnation, and a new one where it is a copy: that must not number its
// batches like the original, and has to hear what the original does. A batch in flight is sent again
// with the number that it has, whoever sends it; then the new life begins (part).
func (d *Drive) checkLife() error {
	mark, err := d.lifeMark()
	if err != nil {
		return err
	}
	was, err := d.st.meta("machine")
	if err != nil {
		return err
	}
	if d.cfg.keepLife { // whoever is logged in
		d.syn.copied = !d.syn.life.IsZero() && lifePlace(string(was)) != lifePlace(mark)
		return nil
	}
	if !d.syn.life.IsZero() && string(was) == mark {
		return nil
	}
	d.syn.copied = !d.syn.life.IsZero()
	same := strings.HasSuffix(string(was), d.cfg.Device.String()) // in all forms that the mark ever had
	if d.syn.flight != nil && same && !d.syn.life.IsZero() {
		d.syn.inherited = true
		return nil
	}
	t := d.begin()
	d.beginLife(t)
	t.b.Set(metaKey("machine"), []byte(mark), nil)
	if f := d.syn.flight; f != nil {
		// Sent by another login; from this one it is a first batch.
		d.syn.number = 1
		f.Batch.Incarnation, f.Batch.Number = d.syn.life, 1
		t.b.Set(metaKey("number"), mustJSON(d.syn.number), nil)
		t.b.Set(metaKey("flight"), mustJSON(f), nil)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return t.commit()
}

// lifeMark tells a cache from its copies: the machine, the directory (one that was copied has another number,
// or another birth), and the login.
func (d *Drive) lifeMark() (string, error) {
	birth, err := birthMark(d.cfg.Dir)
	if err != nil {
		return "", fmt.Errorf("look at the cache directory: %w", err)
	}
	return fmt.Sprintf("%s %s %s", machineID(), birth, d.cfg.Device), nil
}

// lifePlace is a mark without the login.
func lifePlace(mark string) string { return mark[:max(0, strings.LastIndexByte(mark, ' '))] }

// part ends the life that a copy has in common with its original, once the batch that was in flight is done with; locked.
func (d *Drive) part(t *tx) {
	if d.syn.inherited {
		d.beginLife(t)
		d.syn.epoch = api.ID{} // what the original did meanwhile was left out: all is listed again
		d.saveCursor(t)
	}
}

// beginLife begins a new incarnation, whose batches are numbered from 1; locked.
func (d *Drive) beginLife(t *tx) {
	d.syn.life, d.syn.number, d.syn.inherited = api.NewID(), 0, false
	t.b.Set(metaKey("life"), mustJSON(d.syn.life), nil)
	t.b.Set(metaKey("number"), mustJSON(d.syn.number), nil)
}
