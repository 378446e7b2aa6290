package cache

import (
	"cmp"
	"errors"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// Fsync makes a file's content and all that was journalled so far durable on this machine, or with
// FsyncServer on the server. With dataOnly (fdatasync) the file's times may be left out. A dirty file's record
// need not be brought up to date for it: after a crash, size and times are taken from the content file.
func (d *Drive) Fsync(fid uint64, dataOnly bool, intr Interrupt) error {
	d.mu.Lock()
	n, err := d.known(fid)
	fd, ctime := -1, int64(0)
	var c *content
	var id api.ID
	if err == nil {
		id = n.id
	}
	if err == nil && n.c != nil {
		c = n.c
		ctime = c.ctime()
		fd, err = unix.Dup(c.fd)
	}
	journalled := d.st.unsynced()
	rides := journalled && d.mayRide(n, c)
	d.mu.Unlock()
	if err != nil {
		return err
	}
	own := func() error {
		if fd < 0 {
			return nil
		}
		return d.cfg.seam.sync(fd, dataOnly)
	}
	others := func(seen map[*content]bool) error { return d.syncContents(c, seen, false) }
	var rider int64
	if rides { // what the other records refer to comes first; then both at once, in one file
		d.st.ready(others)
		d.mu.Lock()
		if rider, rides = d.ride(n, c); rides {
			ctime, dataOnly = c.ctime(), false
		}
		d.mu.Unlock()
	}
	var failed error
	done := func(sound bool) {}
	if journalled && !rides { // the log comes behind: a name must not be durable before the content that it leads to
		done = d.st.during()
		failed = d.st.ready(func(seen map[*content]bool) error {
			if !seen[c] {
				seen[c], err = true, own()
			}
			return errors.Join(err, others(seen))
		})
	} else {
		err = own()
	}
	if fd >= 0 {
		unix.Close(fd)
	}
	if c != nil {
		d.mu.Lock()
		if err, c.failed = cmp.Or(err, c.failed), nil; err == nil {
			d.noteSynced(c, ctime)
		}
		d.mu.Unlock()
	}
	if err != nil {
		done(false)
		return api.Errorf(kindOf(err), "fsync: %w", err)
	}
	if d.st.rode(rider); journalled && !rides {
		err := d.st.sync()
		if done(failed == nil && err == nil); err != nil {
			return err
		}
	}
	if d.cfg.FsyncServer {
		return d.syncServer(id, intr)
	}
	return nil
}

// SyncDir makes directory changes durable, as Fsync.
func (d *Drive) SyncDir(intr Interrupt) error {
	if d.st.unsynced() {
		if err := d.st.settle(); err != nil {
			return err
		}
	}
	if d.cfg.FsyncServer {
		return d.syncServer(api.ID{}, intr)
	}
	return nil
}
