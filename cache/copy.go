package cache

import (
	"os"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// maxCopy bounds one step of copy_file_range(2), bytes: between two steps the program can be
// interrupted.
const maxCopy = 64 << 20

// Copy copies bytes from one open file to another, of which the kernel has made sure that it is
// open for writing. The disk's file system does it, by sharing blocks where it can. It may copy
// less than asked; 0 is the source's end.
func (d *Drive) Copy(from uint64, fromOff int64, to uint64, toOff int64, length uint64) (int, error) {
	d.mu.Lock()
	in, err := d.known(from)
	if err == nil && in.slot == 0 {
		err = unix.EOPNOTSUPP // not wholly on this machine: the kernel copies by reading and writing
	}
	out, err2 := d.known(to)
	if err == nil {
		err = err2
	}
	if err == nil && d.drive.Quota > 0 && d.counts(out) {
		d.pull(in)
		d.pull(out)
		end := toOff + max(0, min(int64(min(length, maxCopy)), in.size-fromOff))
		err = d.affords(max(0, end-out.size))
	}
	if err != nil {
		d.mu.Unlock()
		return 0, err
	}
	// Both are open, so they stay where they are.
	src, dst := d.slotPath(in.slot), d.slotPath(out.slot)
	d.mu.Unlock()
	r, err := os.Open(src)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	w, err := os.OpenFile(dst, os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	defer w.Close()
	n, err := copyRange(int(r.Fd()), fromOff, int(w.Fd()), toOff, int(min(length, maxCopy)))
	if err != nil {
		return 0, api.Errorf(kindOf(err), "copy: %w", err)
	}
	return n, nil
}
