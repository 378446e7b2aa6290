package cache

import "time"

// Access times are this machine's own: they are not sent. With passthrough those of files
// are what the kernel makes of reading their content files, by the rules of the disk that these
// are on (relatime, usually); what is read through this process is kept here, by relatime.
//
// Reading is frequent and an access time is worth little, so a new one is written to
// Pebble with many others. A crash forgets the last ones.

// maxUnsaved is how many nodes wait in memory for that.
const maxUnsaved = 1024

// Accessed notes that a file was read through this process.
func (d *Drive) Accessed(fid uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.byFID[fid]; n != nil {
		d.accessed(n)
	}
}

// accessed notes that a node was read; locked.
func (d *Drive) accessed(n *node) {
	if t := now(); n.atime <= n.mtime || n.atime <= n.ctime || t-n.atime > int64(24*time.Hour) {
		n.atime = t
		d.saveLater(n)
	}
}

// saveLater keeps a node in memory until its record is written; locked.
func (d *Drive) saveLater(n *node) {
	if !n.unsaved {
		n.unsaved = true
		d.unsaved = append(d.unsaved, n)
	}
}

// save writes the records that wait for it, once they are more than limit; locked. The caller
// holds no node that is not otherwise kept in memory.
func (d *Drive) save(limit int) error {
	if len(d.unsaved) <= limit {
		return nil
	}
	t, all := d.begin(), d.unsaved
	d.unsaved = nil
	for _, n := range all {
		n.unsaved = false
		if !n.dead && !n.stale {
			t.node(n)
		}
	}
	err := t.commit()
	for _, n := range all {
		d.letGo(n)
	}
	return err
}
