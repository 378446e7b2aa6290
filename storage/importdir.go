package storage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"

	"satchel/api"
	"satchel/storage/postgres"
)

// Imported tells what an import of a directory did.
type Imported struct {
	Files   int   `json:"files"`   // new ones, and those with newer content
	Bytes   int64 `json:"bytes"`   // of them
	Same    int   `json:"same"`    // files that the drive had already, or has a newer content of
	Skipped int   `json:"skipped"` // what is no file or directory, leads out of the directory, or can't be read
}

// Import brings a local mount's drive up to date with its directory, for
// admins: files that are new there, or newer than the drive's. What was
// removed from the directory stays in the drive, which is one to write to.
func (s *Service) Import(ctx context.Context, c Caller, name string) (Imported, error) {
	if !c.Admin {
		return Imported{}, api.Errorf(api.Permission, "only an admin imports the server's directories")
	}
	m, ok := s.MountOf(name)
	if !ok {
		return Imported{}, errNoMount()
	}
	if m.Type != Local {
		return Imported{}, api.Errorf(api.Invalid, "the mount %q has no directory to import", name)
	}
	d, err := s.SystemDrive(ctx, name)
	if err != nil {
		return Imported{}, err
	}
	return s.importDir(ctx, d, m)
}

func (s *Service) importDir(ctx context.Context, d *Drive, m Mount) (done Imported, err error) {
	root, err := os.OpenRoot(m.Path) // symlinks that lead out of it fail to open
	if err != nil {
		s.log.Error("a mount's directory can't be opened", "mount", m.Name, "err", err)
		return done, api.Errorf(api.Unavailable, "the directory of the mount %q can't be opened", m.Name)
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && path != "." {
			err = d.importEntry(ctx, root, path, e, &done)
		}
		// The last is of a directory in which a bind shows another one.
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || api.KindOf(err) == api.Permission {
			s.log.Warn("not imported", "mount", m.Name, "path", path, "err", err)
			done.Skipped++
			return nil
		}
		return err
	})
	if err == nil {
		err = d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error { return tx.MarkImported(ctx, d.id) })
	}
	s.log.Info("imported a directory", "mount", m.Name, "files", done.Files, "bytes", done.Bytes, "skipped", done.Skipped, "err", err)
	return done, err
}

// importEntry brings one entry of the directory into the drive.
func (d *Drive) importEntry(ctx context.Context, root *os.Root, file string, e fs.DirEntry, done *Imported) error {
	path, err := api.ParsePath(file)
	if err != nil {
		return err
	}
	if e.IsDir() {
		_, err := d.Mkdir(ctx, path, true)
		if api.KindOf(err) == api.Exists {
			err = nil
		}
		return err
	}
	// Of a symlink, what it leads to: a file in the directory, or nothing.
	info, err := root.Stat(file)
	if err != nil || !info.Mode().IsRegular() {
		done.Skipped++
		return nil
	}
	mtime := info.ModTime().UnixNano()
	n, err := d.Lookup(ctx, path)
	switch {
	case err == nil && (n.Type != api.File || n.Mtime >= mtime && (n.Size == info.Size() || n.Mtime > mtime)):
		done.Same++
		return nil
	case err != nil && api.KindOf(err) != api.NotFound:
		return err
	}
	f, err := root.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, _, err := d.Put(ctx, path, f, PutOptions{Mtime: mtime}); err != nil {
		return err
	}
	done.Files++
	done.Bytes += info.Size()
	return nil
}

func (d *Drive) imported(ctx context.Context) (yes bool, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		yes, err = tx.WasImported(ctx, d.id)
		return err
	})
	return yes, err
}

// MountNames lists the mounts that the caller may open: home, and the system
// drives in which he holds something.
func (s *Service) MountNames(ctx context.Context, c Caller) ([]string, error) {
	names := []string{}
	for _, m := range s.mounts.list {
		_, err := s.Mounted(ctx, c, m.Name)
		switch api.KindOf(err) {
		case "":
			names = append(names, m.Name)
		case api.NotFound:
		default:
			return nil, err
		}
	}
	slices.Sort(names)
	if !c.User.IsZero() && !c.Admin {
		names = append([]string{postgres.HomeName}, names...)
	}
	return names, nil
}
