package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"satchel/api"
	"satchel/api/chunk"
)

// put copies a file or a directory whole to a name of a directory where old
// is now (zero: nothing). Failures that concern one file only are told, and
// the others go on. With check a file that has the same size and time is read all the same.
func (p *putter) put(ctx context.Context, local string, info fs.FileInfo, parent api.ID, name api.Name, old api.Node, check bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var want api.Type
	switch {
	case info == nil || info.Mode().IsRegular():
		want = api.File
	case info.IsDir():
		want = api.Directory
	case info.Mode()&fs.ModeSymlink != 0:
		want = api.Symlink
	default:
		p.tell(api.Errorf(api.Invalid, "%s: left out: not a file, directory or symlink", local))
		return nil
	}
	if err := name.Check(); err != nil {
		p.tell(fmt.Errorf("%s: %w", local, err))
		return nil
	}
	if !old.ID.IsZero() && old.Type != want {
		p.tell(api.Errorf(api.Exists, "%s: on the drive there is something else of that name: remove it first with %s", local, p.sh.command("rm")))
		return nil
	}
	switch want {
	case api.Directory:
		return p.putDir(ctx, local, info, parent, name, old)
	case api.Symlink:
		return p.putSymlink(ctx, local, parent, name, old)
	}
	return p.putFile(ctx, local, info, parent, name, old, check)
}

func (p *putter) putDir(ctx context.Context, local string, info fs.FileInfo, parent api.ID, name api.Name, old api.Node) error {
	entries, err := os.ReadDir(local)
	if err != nil {
		p.tell(fmt.Errorf("%s: %w", local, cause(err)))
		return nil
	}
	dir, present := old.ID, map[api.Name]api.Node{}
	if dir.IsZero() {
		if dir, err = p.makeDir(ctx, parent, name, uint32(info.Mode().Perm())); err != nil {
			return err
		}
	} else if binds, err := p.tree.bound(ctx); err != nil {
		return err
	} else if b, ok := binds[dir]; ok {
		p.tell(fmt.Errorf("%s: left out: %s", local, p.tree.shownFrom(ctx, []api.Name{name}, b)))
		return nil
	} else if err := p.tree.children(ctx, dir, func(c child) error { present[c.name] = c.node; return nil }); err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(local, e.Name())
		info, err := e.Info()
		if err != nil {
			p.tell(fmt.Errorf("%s: %w", path, cause(err)))
			continue
		}
		if err := p.put(ctx, path, info, dir, api.Name(e.Name()), present[api.Name(e.Name())], p.check); err != nil {
			return err
		}
	}
	return nil
}

func (p *putter) putSymlink(ctx context.Context, local string, parent api.ID, name api.Name, old api.Node) error {
	target, err := os.Readlink(local)
	if err != nil {
		p.tell(fmt.Errorf("%s: %w", local, cause(err)))
		return nil
	}
	if old.Target == api.Name(target) {
		return nil
	}
	if !old.ID.IsZero() { // a symlink's target never changes: it is replaced
		if err := p.add(ctx, "", api.Mutation{Op: api.OpUnlink, Node: old.ID, Parent: parent, Name: name}); err != nil {
			return err
		}
	}
	mode := uint32(0o777) // as Linux has it for every symlink
	return p.add(ctx, "", api.Mutation{
		Op: api.OpCreate, Node: api.NewID(), Parent: parent, Name: name,
		Attr: &api.Attr{Type: api.Symlink, Mode: &mode, Target: api.Name(target)},
	})
}

func (p *putter) putFile(ctx context.Context, local string, info fs.FileInfo, parent api.ID, name api.Name, old api.Node, check bool) error {
	if !check && info != nil && info.Size() == old.Size && info.ModTime().UnixNano() == old.Mtime && uint32(info.Mode().Perm()) == old.Mode {
		p.did.Skipped++
		p.bar.add(old.Size)
		return nil
	}
	v, err := p.read(local)
	if err != nil {
		if cancelled := p.up.ctx.Err(); cancelled != nil {
			if err := p.up.finish(); err != nil {
				return err // why the upload ended, not that it did
			}
			return cancelled
		}
		p.tell(fmt.Errorf("%s: %w", local, cause(err)))
		return nil
	}
	mode, mtime := uint32(0o644), time.Now().UnixNano()
	if info != nil {
		mode, mtime = uint32(info.Mode().Perm()), info.ModTime().UnixNano()
	}
	if old.ID.IsZero() {
		return p.add(ctx, local, api.Mutation{
			Op: api.OpCreate, Node: api.NewID(), Parent: parent, Name: name, Version: &v,
			Attr: &api.Attr{Type: api.File, Mode: &mode, Mtime: &mtime},
		})
	}
	if v.SHA256 != old.SHA256 || v.Size != old.Size {
		if err := p.add(ctx, local, api.Mutation{
			Op: api.OpWrite, Node: old.ID, Parent: parent, Name: name,
			Base: old.Version, Version: &v, Conflict: api.NewID(),
		}); err != nil {
			return err
		}
	} else if mode == old.Mode && mtime == old.Mtime || info == nil {
		p.did.Skipped++
		return nil
	}
	return p.add(ctx, "", api.Mutation{
		Op: api.OpSetattr, Node: old.ID, Parent: parent, Name: name, Attr: &api.Attr{Mode: &mode, Mtime: &mtime},
	})
}

// read cuts a file into chunks and gives them to the uploader.
func (p *putter) read(local string) (api.Version, error) {
	in := p.sh.stdin
	if local != "-" {
		f, err := os.Open(local)
		if err != nil {
			return api.Version{}, err
		}
		defer f.Close()
		in = f
	}
	v, err := chunk.Version(in, func(c api.Chunk, data []byte) error {
		p.bar.add(int64(len(data)))
		return p.up.add(c, data)
	})
	v.ID = api.NewID()
	return v, err
}
