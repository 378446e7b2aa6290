package cache

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// This file is what programs do on a device, by what its kernel remembers.

// A way is how a path's names are found: (*dcache).find, or ask.
type way func(k *dcache, parent uint64, name string) (Attr, error)

// call makes a system call, and once more with all names asked for when what was remembered leads nowhere (ESTALE), as the kernel does.
func (v *device) call(do func(by way) error) error {
	err := do((*dcache).find)
	if errors.Is(err, ErrStale) {
		err = do((*dcache).ask)
	}
	return err
}

// at resolves a path to its parent's FUSE node id and its last name.
func (v *device) at(by way, path string) (parent uint64, name string, err error) {
	parts := strings.Split(path, "/")
	parent = rootFID
	for _, p := range parts[:len(parts)-1] {
		v.kern.mu.Lock()
		a, err := by(v.kern, parent, p)
		v.kern.mu.Unlock()
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

// in makes a call that is about a name in a directory, under the directory's lock.
func (v *device) in(path string, do func(k *dcache, by way, parent uint64, name string) error) error {
	return v.call(func(by way) error {
		p, name, err := v.at(by, path)
		if err != nil {
			return err
		}
		v.kern.mu.Lock()
		defer v.kern.mu.Unlock()
		return do(v.kern, by, p, name)
	})
}

// on makes a call that is about what a path leads to, of which only the type and the FUSE node id are told.
func (v *device) on(path string, do func(a Attr) error) error {
	return v.call(func(by way) error {
		p, name, err := v.at(by, path)
		if err != nil {
			return err
		}
		v.kern.mu.Lock()
		a, err := by(v.kern, p, name)
		v.kern.mu.Unlock()
		if err != nil {
			return err
		}
		return do(a)
	})
}

func (v *device) stat(path string) (a Attr, err error) {
	err = v.on(path, func(found Attr) (err error) {
		if a, err = v.d.Getattr(found.FID); err == nil {
			v.kern.mu.Lock()
			v.kern.attrs[a.FID] = a
			v.kern.mu.Unlock()
		}
		return err
	})
	return a, err
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
	h := &handle{v: v, flags: flags, life: v.lives}
	err := v.call(func(by way) error {
		p, name, err := v.at(by, path)
		if err != nil {
			return err
		}
		v.kern.mu.Lock()
		a, err := by(v.kern, p, name)
		if api.KindOf(err) == api.NotFound && flags&unix.O_CREAT != 0 {
			defer v.kern.mu.Unlock()
			a, _, err = v.d.Create(p, name, 0o644, flags, self, nil)
			h.fid = a.FID
			return v.kern.made(p, name, a, err)
		}
		v.kern.mu.Unlock()
		if err == nil && a.Mode&unix.S_IFMT == unix.S_IFLNK {
			err = api.Errorf(api.Invalid, "a symlink")
		}
		if err != nil {
			return err
		}
		h.fid = a.FID
		_, err = v.d.Open(a.FID, flags, self, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	return h, nil
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
	return v.in(path, func(k *dcache, _ way, p uint64, name string) error {
		if err := k.vacant(p, name); err != nil {
			return err
		}
		a, err := v.d.Mknod(p, name, unix.S_IFDIR|0o755, 0, self, nil)
		return k.made(p, name, a, err)
	})
}

func (v *device) symlink(target, path string) error {
	return v.in(path, func(k *dcache, _ way, p uint64, name string) error {
		if err := k.vacant(p, name); err != nil {
			return err
		}
		a, err := v.d.Symlink(p, name, target, self, nil)
		return k.made(p, name, a, err)
	})
}

func (v *device) unlink(path string) error {
	return v.in(path, func(k *dcache, by way, p uint64, name string) error {
		a, err := by(k, p, name)
		if err == nil && a.Mode&unix.S_IFMT == unix.S_IFDIR {
			err = errIsDir
		}
		if err != nil {
			return err
		}
		return k.removed(p, name, v.d.Unlink(p, name, nil))
	})
}

func (v *device) rmdir(path string) error {
	return v.in(path, func(k *dcache, by way, p uint64, name string) error {
		a, err := by(k, p, name)
		if err == nil && a.Mode&unix.S_IFMT != unix.S_IFDIR {
			err = errNotDir
		}
		if err != nil {
			return err
		}
		if err = k.removed(p, name, v.d.Rmdir(p, name, nil)); err == nil {
			k.prune(a.FID)
		}
		return err
	})
}

// rename moves a path; the kernel has the check that a directory does not
// move below itself, and asks for the name that is replaced.
func (v *device) rename(from, to string, flags uint32) error {
	exchange := flags&unix.RENAME_EXCHANGE != 0
	if to == from || strings.HasPrefix(to, from+"/") || exchange && strings.HasPrefix(from, to+"/") {
		return api.Errorf(api.Invalid, "into itself")
	}
	return v.call(func(by way) error {
		p, name, err := v.at(by, from)
		if err != nil {
			return err
		}
		q, newName, err := v.at(by, to)
		if err != nil {
			return err
		}
		k := v.kern
		k.mu.Lock()
		defer k.mu.Unlock()
		is, err := by(k, p, name)
		if err != nil {
			return err
		}
		sure := (*dcache).ask
		if exchange {
			sure = by
		}
		switch over, err := sure(k, q, newName); {
		case err != nil && (exchange || api.KindOf(err) != api.NotFound):
			return err
		case err == nil && over.FID == is.FID:
			return nil
		}
		if err = v.d.Rename(p, name, q, newName, flags, nil); err != nil {
			k.removed(p, name, err)
			return k.removed(q, newName, err)
		}
		k.moved(dname{p, name}, dname{q, newName}, exchange)
		return nil
	})
}

func (v *device) link(old, path string) error {
	return v.on(old, func(is Attr) error {
		if is.Mode&unix.S_IFMT == unix.S_IFDIR {
			return api.Errorf(api.Permission, "a directory")
		}
		p, name, err := v.at((*dcache).find, path)
		if err != nil {
			return err
		}
		v.kern.mu.Lock()
		defer v.kern.mu.Unlock()
		if err := v.kern.vacant(p, name); err != nil {
			return err
		}
		a, err := v.d.Link(is.FID, p, name, nil)
		return v.kern.made(p, name, a, err)
	})
}

func (v *device) chmod(path string, mode uint32) error {
	return v.on(path, func(is Attr) error {
		_, err := v.d.Setattr(is.FID, Change{Mode: &mode}, nil)
		return err
	})
}
