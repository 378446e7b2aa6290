package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"satchel/api"
	"satchel/api/chunk"
)

type putCmd struct {
	Paths []string `arg:"" name:"local… remote" help:"What to copy, directories whole, and where to: a new name or a directory of the drive. - is standard input."`
}

func (cmd *putCmd) Run(sh *shell) error {
	if len(cmd.Paths) < 2 {
		return usageError{"put needs what to copy and where to: satchel put LOCAL… REMOTE"}
	}
	locals, remote := cmd.Paths[:len(cmd.Paths)-1], cmd.Paths[len(cmd.Paths)-1]
	for _, local := range locals {
		if local != "-" {
			if _, err := os.Stat(local); err != nil {
				return fmt.Errorf("%s: %w", local, cause(err))
			}
		}
	}
	t, err := sh.openTree()
	if err != nil {
		return err
	}
	defer t.close()
	p := &putter{sh: sh, tree: t, up: newUploader(sh.ctx, t), bar: newTransferBar(sh.stderr, "sending")}
	defer p.up.stop()
	err = p.run(locals, remote)
	p.bar.close()
	if err == nil && p.failed {
		return silentError{}
	}
	return err
}

// putter copies to the drive: chunks go up while files are read, and files
// appear with the commit of the batch they are in.
type putter struct {
	sh     *shell
	tree   *tree
	up     *uploader
	bar    *transferBar
	queue  []queued // not committed yet
	failed bool     // something was told to have failed
}

// queued is a mutation that waits for its batch, and the file its version was
// read from.
type queued struct {
	mutation api.Mutation
	local    string
}

// batchSize is how many mutations wait for a commit at most.
const batchSize = 1000

func (p *putter) run(locals []string, remote string) error {
	ctx := p.sh.ctx
	names, err := api.ParsePath(remote)
	if err != nil {
		return usageError{err.Error()}
	}
	into := len(locals) > 1 || len(names) == 0 || strings.HasSuffix(remote, "/")
	if !into {
		n, err := p.tree.Lookup(ctx, api.JoinPath(names))
		if err != nil && api.KindOf(err) != api.NotFound && api.KindOf(err) != api.NotDirectory {
			return err
		}
		into = n.Type == api.Directory
	}
	up := names
	if !into {
		up = names[:len(names)-1]
	}
	dir, present, err := p.makeDirs(ctx, up)
	if err != nil {
		return err
	}
	for _, local := range locals {
		name := api.Name("")
		if !into {
			name = names[len(names)-1]
		} else if local == "-" {
			return usageError{"standard input needs a name: satchel put - DIR/NAME"}
		} else if abs, err := filepath.Abs(local); err != nil {
			return err
		} else {
			name = api.Name(filepath.Base(abs))
		}
		old := api.Node{}
		if present {
			path := api.JoinPath(append(up[:len(up):len(up)], name))
			if old, err = p.tree.Lookup(ctx, path); err != nil && api.KindOf(err) != api.NotFound {
				return err
			}
		}
		info := fs.FileInfo(nil)
		if local != "-" {
			if info, err = os.Stat(local); err != nil {
				return fmt.Errorf("%s: %w", local, cause(err))
			}
		}
		if err := p.put(ctx, local, info, dir, name, old); err != nil {
			return err
		}
	}
	return p.commit(ctx)
}

// makeDirs makes the directories of a path that are missing. present is false
// when the last one is new.
func (p *putter) makeDirs(ctx context.Context, path []api.Name) (dir api.ID, present bool, err error) {
	dir, present = p.tree.root, true
	for i, name := range path {
		if present {
			n, err := p.tree.Lookup(ctx, api.JoinPath(path[:i+1]))
			if err == nil && n.Type != api.Directory {
				return dir, false, api.Errorf(api.NotDirectory, "%s is not a directory on the drive", printable(api.JoinPath(path[:i+1])))
			}
			if err == nil {
				dir = n.ID
				continue
			}
			if api.KindOf(err) != api.NotFound {
				return dir, false, err
			}
		}
		if dir, err = p.makeDir(ctx, dir, name, 0o755); err != nil {
			return dir, false, err
		}
		present = false
	}
	return dir, present, nil
}

func (p *putter) makeDir(ctx context.Context, parent api.ID, name api.Name, mode uint32) (api.ID, error) {
	id := api.NewID()
	return id, p.add(ctx, "", api.Mutation{
		Op: api.OpCreate, Node: id, Parent: parent, Name: name,
		Attr: &api.Attr{Type: api.Directory, Mode: &mode},
	})
}

// put copies a file or a directory whole to a name of a directory where old
// is now (zero: nothing). Failures that concern one file only are told, and
// the others go on.
func (p *putter) put(ctx context.Context, local string, info fs.FileInfo, parent api.ID, name api.Name, old api.Node) error {
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
		p.tell("%s: left out: not a file, directory or symlink", local)
		return nil
	}
	if err := name.Check(); err != nil {
		p.tell("%s: %v", local, err)
		return nil
	}
	if !old.ID.IsZero() && old.Type != want {
		p.tell("%s: on the drive there is something else of that name: remove it first with satchel rm", local)
		return nil
	}
	switch want {
	case api.Directory:
		return p.putDir(ctx, local, info, parent, name, old)
	case api.Symlink:
		return p.putSymlink(ctx, local, parent, name, old)
	}
	return p.putFile(ctx, local, info, parent, name, old)
}

func (p *putter) putDir(ctx context.Context, local string, info fs.FileInfo, parent api.ID, name api.Name, old api.Node) error {
	entries, err := os.ReadDir(local)
	if err != nil {
		p.tell("%s: %v", local, cause(err))
		return nil
	}
	dir, present := old.ID, map[api.Name]api.Node{}
	if dir.IsZero() {
		if dir, err = p.makeDir(ctx, parent, name, uint32(info.Mode().Perm())); err != nil {
			return err
		}
	} else if err := p.tree.children(ctx, dir, func(c child) error { present[c.name] = c.node; return nil }); err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(local, e.Name())
		info, err := e.Info()
		if err != nil {
			p.tell("%s: %v", path, cause(err))
			continue
		}
		if err := p.put(ctx, path, info, dir, api.Name(e.Name()), present[api.Name(e.Name())]); err != nil {
			return err
		}
	}
	return nil
}

func (p *putter) putSymlink(ctx context.Context, local string, parent api.ID, name api.Name, old api.Node) error {
	target, err := os.Readlink(local)
	if err != nil {
		p.tell("%s: %v", local, cause(err))
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

func (p *putter) putFile(ctx context.Context, local string, info fs.FileInfo, parent api.ID, name api.Name, old api.Node) error {
	v, err := p.read(local)
	if err != nil {
		if p.up.ctx.Err() != nil {
			return p.up.finish() // why the upload ended, not that it did
		}
		p.tell("%s: %v", local, cause(err))
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
		p.bar.moved(len(data))
		return p.up.add(c, data)
	})
	v.ID = api.NewID()
	return v, err
}

// add queues a mutation, and commits when there are many.
func (p *putter) add(ctx context.Context, local string, m api.Mutation) error {
	m.Time = time.Now().UnixNano()
	p.queue = append(p.queue, queued{m, local})
	if len(p.queue) >= batchSize {
		return p.commit(ctx)
	}
	return nil
}

// commit applies what is queued, once its content is on the server.
func (p *putter) commit(ctx context.Context) error {
	if err := p.up.finish(); err != nil {
		return err
	}
	if len(p.queue) == 0 {
		return nil
	}
	outcomes, err := p.tree.commit(ctx, p.mutations())
	if api.KindOf(err) == api.MissingChunks {
		// The server had them when it was asked and collected them since.
		if err = p.sendAgain(); err == nil {
			outcomes, err = p.tree.commit(ctx, p.mutations())
		}
	}
	if err != nil {
		return err
	}
	for i, q := range p.queue {
		what := q.local
		if what == "" {
			what = printable(string(q.mutation.Name))
		}
		if err := refusal(outcomes[i], what); err != nil {
			p.tell("%v", err)
		}
	}
	p.queue = p.queue[:0]
	return nil
}

func (p *putter) mutations() []api.Mutation {
	all := make([]api.Mutation, len(p.queue))
	for i, q := range p.queue {
		all[i] = q.mutation
	}
	return all
}

// sendAgain reads the queued files once more and sends what the server lacks
// now.
func (p *putter) sendAgain() error {
	p.up.forget()
	for _, q := range p.queue {
		if q.mutation.Version == nil {
			continue
		}
		if q.local == "-" {
			return errors.New("the server lost a part of standard input: run the command again")
		}
		v, err := p.read(q.local)
		if err != nil {
			return fmt.Errorf("%s: %w", q.local, cause(err))
		}
		*q.mutation.Version = v
	}
	return p.up.finish()
}

// tell reports a failure that does not end the command.
func (p *putter) tell(format string, args ...any) {
	p.failed = true
	fmt.Fprintf(p.sh.stderr, "satchel: "+format+"\n", args...)
}

