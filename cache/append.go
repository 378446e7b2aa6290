package cache

// Without passthrough the kernel says where a write with O_APPEND goes: at the end of the file as it knows it. It asks for none
// before, and of a file that nobody has open a new version comes under the node that it knows. So who opens such a file for writing before the kernel was told
// of its new size is sent back to look the name up (node.unaware). That does not do for all: an opening by a descriptor (/proc/self/fd) has no name, and
// the kernel drops an answer that a notification has overtaken. What is appended then is put where it belongs here.

// Append is Write at the end of the file, which the kernel takes to be at off.
func (d *Drive) Append(fid uint64, off int64, data []byte, c Cred) (int, error) {
	d.mu.Lock()
	n := d.byFID[fid]
	moved := false
	if n != nil && n.resized && n.rw >= 0 {
		d.pull(n)
		moved = off != n.size
		off = n.size // stays the end: the kernel lets one writer in at a time
	}
	d.mu.Unlock()
	w, err := d.Write(fid, off, data, c)
	if moved {
		d.mu.Lock()
		d.notes.inode(n, true) // its pages have these bytes where it took the end to be
		d.mu.Unlock()
	}
	return w, err
}
