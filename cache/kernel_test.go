package cache

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// A dcache is the kernel as far as it remembers: names and attributes for as
// long as it was told to, unless it was told otherwise.
type dcache struct {
	noKernel
	d  *Drive
	mu lock

	collects bool // writes, and goes by its own sizes and times; guarded by Drive.mu

	names map[dname]uint64 // 0: there is none
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
	return &dcache{d: d, mu: make(lock, 1), names: map[dname]uint64{}, attrs: map[uint64]Attr{}}
}

func (k *dcache) Writeback() bool { return k.collects }

func (k *dcache) EntryChanged(parent uint64, name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.names, dname{parent, name})
}

func (k *dcache) InodeChanged(fid uint64, data bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.attrs, fid)
}

// lookup finds a name and remembers the answer. Invalidations wait meanwhile,
// as they do in the kernel for the directory's lock.
func (k *dcache) lookup(parent uint64, name string) (Attr, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, err := k.d.Lookup(parent, name, nil)
	delete(k.names, dname{parent, name})
	switch {
	case err == nil && a.EntryValid > time.Minute:
		k.names[dname{parent, name}] = a.FID
		k.attrs[a.FID] = a
	case api.KindOf(err) == api.NotFound && a.EntryValid > time.Minute:
		k.names[dname{parent, name}] = 0
	}
	return a, err
}

// forget drops a name that a call has changed.
func (k *dcache) forget(parent uint64, name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.names, dname{parent, name})
}

// prune drops all names in a directory, as the removal of one does.
func (k *dcache) prune(dir uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.DeleteFunc(k.names, func(e dname, _ uint64) bool { return e.parent == dir })
}

// wrong says what the kernel believes that is not so.
func (k *dcache) wrong() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for e, fid := range k.names {
		if k.d.removed(e.parent) {
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

// removed tells whether a directory is gone.
func (d *Drive) removed(fid uint64) bool {
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

// at resolves a path to its parent's FUSE node id and its last name.
func (v *device) at(path string) (parent uint64, name string, err error) {
	parts := strings.Split(path, "/")
	parent = rootFID
	for _, p := range parts[:len(parts)-1] {
		a, err := v.kern.lookup(parent, p)
		if err != nil {
			return 0, "", err
		}
		if a.Mode&unix.S_IFMT != unix.S_IFDIR {
			return 0, "", errNotDir
		}
		parent = a.FID
	}
	return parent, parts[len(parts)-1], nil
}

func (v *device) stat(path string) (Attr, error) {
	p, name, err := v.at(path)
	if err != nil {
		return Attr{}, err
	}
	return v.kern.lookup(p, name)
}

var self = Cred{UID: 1000, GID: 1000}

// A handle is an open file.
type handle struct {
	v     *device
	fid   uint64
	flags uint32
	life  int
}

func (v *device) openFile(path string, flags uint32) (*handle, error) {
	p, name, err := v.at(path)
	if err != nil {
		return nil, err
	}
	a, err := v.kern.lookup(p, name)
	switch {
	case api.KindOf(err) == api.NotFound && flags&unix.O_CREAT != 0:
		a, _, err = v.d.Create(p, name, 0o644, flags, self, nil)
		v.kern.forget(p, name)
	case err == nil:
		if a.Mode&unix.S_IFMT == unix.S_IFLNK {
			return nil, api.Errorf(api.Invalid, "a symlink")
		}
		_, err = v.d.Open(a.FID, flags, self, nil)
	}
	if err != nil {
		return nil, err
	}
	return &handle{v, a.FID, flags, v.lives}, nil
}

func (h *handle) write(text string) error {
	_, err := h.v.d.Write(h.fid, 0, []byte(text), self)
	return err
}

func (h *handle) fsync() error { return h.v.d.Fsync(h.fid, false, nil) }

func (h *handle) close() {
	if h.life != h.v.lives || h.v.d == nil {
		return // it died with the mount
	}
	if writing(h.flags) {
		h.v.d.Flush(h.fid)
	}
	h.v.d.Release(h.fid, h.flags)
}

// write makes a file's content text.
func (v *device) write(path, text string) error {
	h, err := v.openFile(path, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC)
	if err != nil {
		return err
	}
	defer h.close()
	return h.write(text)
}

func (v *device) read(path string) (string, error) {
	h, err := v.openFile(path, unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer h.close()
	return h.read()
}

func (h *handle) read() (string, error) {
	a, err := h.v.d.Getattr(h.fid)
	if err != nil {
		return "", err
	}
	fd, done, err := h.v.d.Read(h.fid, 0, int(a.Size), nil)
	if err != nil {
		return "", err
	}
	defer done()
	b := make([]byte, a.Size)
	n, err := unix.Pread(fd, b, 0)
	return string(b[:max(n, 0)]), err
}

func (v *device) mkdir(path string) error {
	p, name, err := v.at(path)
	if err == nil {
		_, err = v.d.Mknod(p, name, unix.S_IFDIR|0o755, 0, self, nil)
		v.kern.forget(p, name)
	}
	return err
}

func (v *device) symlink(target, path string) error {
	p, name, err := v.at(path)
	if err == nil {
		_, err = v.d.Symlink(p, name, target, self, nil)
		v.kern.forget(p, name)
	}
	return err
}

func (v *device) unlink(path string) error {
	p, name, err := v.at(path)
	if err == nil {
		err = v.d.Unlink(p, name, nil)
		v.kern.forget(p, name)
	}
	return err
}

func (v *device) rmdir(path string) error {
	p, name, err := v.at(path)
	if err != nil {
		return err
	}
	dir, _ := v.kern.lookup(p, name)
	err = v.d.Rmdir(p, name, nil)
	v.kern.forget(p, name)
	if err == nil {
		v.kern.prune(dir.FID)
	}
	return err
}

// rename moves a path; the kernel has the check that a directory does not
// move below itself.
func (v *device) rename(from, to string, flags uint32) error {
	if to == from || strings.HasPrefix(to, from+"/") || flags&unix.RENAME_EXCHANGE != 0 && strings.HasPrefix(from, to+"/") {
		return api.Errorf(api.Invalid, "into itself")
	}
	p, name, err := v.at(from)
	if err != nil {
		return err
	}
	q, newName, err := v.at(to)
	if err != nil {
		return err
	}
	replaced, _ := v.kern.lookup(q, newName)
	err = v.d.Rename(p, name, q, newName, flags, nil)
	v.kern.forget(p, name)
	v.kern.forget(q, newName)
	if err == nil && flags == 0 {
		v.kern.prune(replaced.FID)
	}
	return err
}

func (v *device) link(old, path string) error {
	a, err := v.stat(old)
	if err != nil {
		return err
	}
	p, name, err := v.at(path)
	if err == nil {
		_, err = v.d.Link(a.FID, p, name, nil)
		v.kern.forget(p, name)
	}
	return err
}

func (v *device) chmod(path string, mode uint32) error {
	a, err := v.stat(path)
	if err == nil {
		_, err = v.d.Setattr(a.FID, Change{Mode: &mode}, nil)
	}
	return err
}
