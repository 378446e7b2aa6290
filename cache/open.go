package cache

import (
	"os"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// Opened tells the file system how to answer an open.
type Opened struct {
	Backing int32 // > 0: passthrough with this backing id; 0: reads and writes come here
	Keep    bool  // what the kernel has of the content is true
}

func writing(flags uint32) bool { return flags&unix.O_ACCMODE != unix.O_RDONLY }

// Create makes a regular file and opens it. Without O_EXCL it opens the file that
// has the name already: another device may have made it since the kernel looked.
func (d *Drive) Create(parent uint64, name string, mode, flags uint32, c Cred, intr Interrupt) (Attr, Opened, error) {
	a, o, err := d.create(parent, name, mode, flags, c, intr)
	if err == nil {
		if err = d.ground(a.FID, flags); err != nil {
			d.Forget(a.FID, 1)
		}
	}
	return a, o, err
}

func (d *Drive) create(parent uint64, name string, mode, flags uint32, c Cred, intr Interrupt) (Attr, Opened, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.spare(); err != nil {
		return Attr{}, Opened{}, err
	}
	p, l, stays, err := d.vacant(parent, name, false, intr)
	if err == errExists && flags&unix.O_EXCL == 0 {
		_, _, n, err := d.present(parent, name, intr)
		if err != nil {
			return Attr{}, Opened{}, err
		}
		if !n.isFile() {
			return Attr{}, Opened{}, errExists
		}
		o, err := d.openNode(n, flags, c, intr)
		if err != nil {
			return Attr{}, Opened{}, err
		}
		return d.refer(n), o, nil
	}
	if err != nil {
		return Attr{}, Opened{}, err
	}
	if err := d.solvent(); err != nil && !stays {
		return Attr{}, Opened{}, err
	}
	n := d.sprout(p, 'f', mode, c)
	t := d.begin()
	if _, err := d.fresh(t, n, true); err != nil {
		return Attr{}, Opened{}, d.abandon(t, n, err)
	}
	d.carry(d.heat(n), d.enter(t, p, l, api.Name(name), n, stays))
	if err := t.commit(); err != nil {
		return Attr{}, Opened{}, err
	}
	o, err := d.handle(n, flags)
	if err != nil || !writing(flags) {
		d.settle(n) // no close of a writer will come
	}
	if err != nil {
		return Attr{}, Opened{}, err
	}
	a := d.refer(n)
	n.lent = 0 // what is written now the kernel sees, and nobody has a map
	return a, o, nil
}

// Open opens a file. What is opened for writing is recorded as dirty before
// the answer: from then on the kernel writes without asking. But for setuid and setgid: those it
// asks us to clear before the first write by somebody who may not keep them.
func (d *Drive) Open(fid uint64, flags uint32, c Cred, intr Interrupt) (Opened, error) {
	o, err := d.openFID(fid, flags, c, intr)
	if err == nil {
		err = d.ground(fid, flags)
	}
	return o, err
}

// ground makes what an open recorded durable if each write is to be (O_DSYNC, O_SYNC): with passthrough the kernel
// syncs the content file itself, and nobody asks for the record without which it would count for nothing after power loss.
func (d *Drive) ground(fid uint64, flags uint32) error {
	if !writing(flags) || flags&(unix.O_DSYNC|unix.O_SYNC) == 0 || !d.st.unsynced() {
		return nil
	}
	if err := d.st.settle(); err != nil {
		d.Release(fid, flags)
		return api.Errorf(kindOf(err), "open for synchronous writes: %w", err)
	}
	return nil
}

func (d *Drive) openFID(fid uint64, flags uint32, c Cred, intr Interrupt) (Opened, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.known(fid)
	if err == nil {
		err = d.spare()
	}
	if err != nil {
		return Opened{}, err
	}
	return d.openNode(n, flags, c, intr)
}

// openNode is Open of a node; locked, and given up while content is fetched.
func (d *Drive) openNode(n *node, flags uint32, c Cred, intr Interrupt) (Opened, error) {
	if n.isDir() {
		return Opened{}, errIsDir
	}
	n.again = true // it is in use, though its name was not looked up
	d.remembered.keep(n)
	if n.ahead {
		d.opened(n)
	}
	if flags&unix.O_TRUNC != 0 { // whatever the size: the times move
		if err := d.truncate(n, 0, intr); err != nil {
			return Opened{}, err
		}
		if err := d.killPrivileges(n, c); err != nil {
			return Opened{}, err
		}
	}
	prepare := d.readable
	if writing(flags) {
		prepare = d.local
	}
	if err := prepare(n, intr); err != nil {
		return Opened{}, err
	}
	if n.unaware && flags&unix.O_TRUNC == 0 && (writing(flags) || d.notes.outdated(n)) {
		n.unaware = false
		d.passOver(n)
		return Opened{}, ErrStale // see Append; and who reads would read no further than to the end of what was there before
	}
	if writing(flags) {
		if n.gone { // somebody reads it yet, and nothing would keep what is written
			return Opened{}, ErrStale
		}
		if err := d.roomy(); err != nil && !n.dead && n.hot == nil {
			return Opened{}, err
		}
		if err := d.solvent(); err != nil && flags&unix.O_TRUNC == 0 && !n.dead && n.hot == nil {
			return Opened{}, err
		}
		if _, err := d.attach(n); err != nil { // cached by an earlier life of the daemon
			return Opened{}, api.Errorf(kindOf(err), "open: %w", err)
		}
		if n.told { // a store through a mapping tells neither us nor the kernel
			n.told = false
			d.notes.inode(n, false)
		}
		t := d.begin()
		d.dirty(t, n)
		if err := t.commit(); err != nil {
			return Opened{}, err
		}
	}
	o, err := d.handle(n, flags)
	if err != nil {
		d.settle(n) // no close will come
	}
	return o, err
}

// smallRead is up to how many bytes a file is read through the daemon, which is one READ, rather than registered where that is dear.
// Not one that may still be written: a mapping from before the daemon was killed writes to the content file, past what the kernel remembers of READs.
const smallRead = 128 << 10

// handle counts an open handle of a file whose content is local, or partly so; locked.
func (d *Drive) handle(n *node, flags uint32) (Opened, error) {
	if n.slot == 0 && n.part != nil {
		if n.opens == 0 {
			n.pass = false
		}
		n.opens++
		if !n.part.open {
			n.part.open = true
			n.part.want()
		}
		return Opened{Keep: !d.notes.outdated(n)}, nil
	}
	c, err := d.attach(n)
	if err != nil {
		return Opened{}, api.Errorf(kindOf(err), "open: %w", err)
	}
	if n.opens == 0 {
		if c.backing == 0 && !(d.kernel().Dear() && !writing(flags) && n.size <= smallRead && n.hot == nil) {
			d.register(c)
		}
		n.pass = c.backing != 0 && !(writing(flags) && (d.tight() || n.xattrs[capability] != nil)) // else nobody asks about writes
	}
	n.opens++
	d.hold(n)
	if writing(flags) {
		if !n.pass && n.rw < 0 {
			if n.rw, err = unix.Open(d.slotPath(n.slot), unix.O_RDWR|noAtime|unix.O_CLOEXEC, 0); err != nil {
				n.rw = -1
				n.opens--
				return Opened{}, api.Errorf(kindOf(err), "open for writing: %w", err)
			}
		}
		n.writers++
		d.writing[n] = struct{}{}
	}
	if n.pass {
		return Opened{Backing: c.backing}, nil
	}
	return Opened{Keep: !d.notes.outdated(n)}, nil
}

// Flush is the close of one descriptor of a file open for writing: the content
// is worth sending soon.
func (d *Drive) Flush(fid uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.known(fid)
	if err != nil {
		return err
	}
	d.settle(n)
	return nil
}

// Release ends an open handle.
func (d *Drive) Release(fid uint64, flags uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.byFID[fid]
	if n == nil {
		return
	}
	n.opens--
	if d.pull(n) && writing(flags) && n.pass && now()-n.lent < int64(2*writtenValid) {
		d.notes.inode(n, false) // a store through a mapping may be what changed it
	}
	if writing(flags) {
		if n.writers--; n.writers == 0 {
			delete(d.writing, n)
			if n.rw >= 0 {
				rw := n.rw
				n.rw = -1
				unix.Close(rw) // before any lease is tried
			}
			if !n.dead && !n.stale {
				t := d.begin()
				t.node(n)
				t.commit()
			}
			d.settle(n)
			d.offerClosed(n)
		}
	}
	d.closed(n)
	if err := d.save(maxUnsaved); err != nil {
		d.log.Error("keep access times", "err", err)
	}
}

// closed lets go of what only open handles needed; locked.
func (d *Drive) closed(n *node) {
	if n.opens == 0 && n.part != nil && n.part.open {
		if n.stale {
			t := d.begin()
			d.doom(t, n.part)
			t.commit()
		}
		n.part.open = false
		d.leavePart(n)
	}
	switch {
	case n.opens > 0:
	case n.dead && n.hot == nil, n.stale && n.hot == nil:
		t := d.begin()
		d.bury(t, n)
		t.commit()
	default:
		d.park(n)
		d.letGo(n)
	}
}

// Read returns where to read part of a file, for handles without passthrough. It waits for
// what is not on this machine yet. What is read stays there until done is called.
func (d *Drive) Read(fid uint64, off int64, size int, intr Interrupt) (fd int, done func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.known(fid)
	if err != nil {
		return -1, nil, err
	}
	if p := n.part; n.slot == 0 && p != nil {
		fd := p.c.fd // stays open: the kernel sends no RELEASE during a READ
		d.mu.Unlock()
		done, err := p.hold(off, off+int64(size), intr)
		d.mu.Lock()
		return fd, done, err
	}
	c, err := d.attach(n)
	if err != nil {
		return -1, nil, err
	}
	return c.fd, func() {}, nil
}

// Write writes through the daemon, for handles without passthrough.
func (d *Drive) Write(fid uint64, off int64, data []byte, c Cred) (int, error) {
	d.mu.Lock()
	n, err := d.known(fid)
	if err != nil || n.rw < 0 {
		d.mu.Unlock()
		if err == nil {
			err = api.Errorf(api.Invalid, "the file is not open for writing")
		}
		return 0, err
	}
	if d.drive.Quota > 0 && d.counts(n) {
		d.pull(n)
		if err := d.affords(max(0, off+int64(len(data))-n.size)); err != nil {
			d.mu.Unlock()
			return 0, err
		}
	}
	rw := n.rw // stays open: the kernel sends no RELEASE during a WRITE
	if err := d.killPrivileges(n, c); err != nil {
		d.mu.Unlock()
		return 0, err
	}
	d.mu.Unlock()
	w, err := unix.Pwrite(rw, data, off)
	if err != nil {
		return w, api.Errorf(kindOf(err), "write: %w", err)
	}
	return w, nil
}

// Fallocate is fallocate(2) on the content file.
func (d *Drive) Fallocate(fid uint64, off, length int64, mode uint32, intr Interrupt) error {
	d.mu.Lock()
	n, err := d.known(fid)
	if err != nil {
		d.mu.Unlock()
		return err
	}
	if grows(mode) && d.counts(n) {
		d.pull(n)
		if err := d.affords(max(0, off+length-n.size)); err != nil {
			d.mu.Unlock()
			return err
		}
	}
	path := d.slotPath(n.slot)
	d.mu.Unlock()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = fallocate(int(f.Fd()), mode, off, length)
	f.Close()
	d.mu.Lock()
	d.pull(n)
	d.mu.Unlock()
	return err
}

// Seek finds data or a hole (SEEK_DATA, SEEK_HOLE) in the content file; of a large cold one it waits for the server's word.
func (d *Drive) Seek(fid uint64, off int64, whence int, intr Interrupt) (int64, error) {
	d.mu.Lock()
	n, err := d.known(fid)
	if err != nil {
		d.mu.Unlock()
		return 0, err
	}
	if n.slot == 0 { // the holes in what is here are not the file's
		size, p := n.size, n.part
		heard := p == nil || d.awaitHoles(p, intr)
		d.mu.Unlock()
		switch {
		case !heard:
			return 0, errStopped
		case p != nil:
			return p.seek(off, whence)
		case off >= size:
			return 0, unix.ENXIO
		case whence == unix.SEEK_HOLE:
			return size, nil
		}
		return off, nil
	}
	path := d.slotPath(n.slot)
	d.mu.Unlock()
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return unix.Seek(int(f.Fd()), off, whence)
}
