package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"satchel/api"
	"satchel/cmd/internal/cli"
)

type putCmd struct {
	Paths []string `arg:"" name:"local… remote" help:"What to copy, directories whole, and where to: a new name or a directory, ${path}. - is standard input." complete:"file,remote"`
	Check bool     `help:"Read files in directories, too, that are on the drive already with the same size and time."`
}

func (cmd *putCmd) Help() string {
	return intoHelp + "What was broken off goes on where it ended when the same is asked for again: files in directories that are on the drive with the same size and time are left as they are, and of the others only the pieces that the server lacks are sent."
}

func (cmd *putCmd) Run(sh *shell) error {
	if len(cmd.Paths) < 2 {
		return usageError{"put needs what to copy and where to: satchel put LOCAL… REMOTE"}
	}
	locals, remote := cmd.Paths[:len(cmd.Paths)-1], cmd.Paths[len(cmd.Paths)-1]
	if err := namesakes(locals, localName); err != nil {
		return err
	}
	missing := func(local string) bool { _, err := os.Stat(local); return local != "-" && err != nil }
	if !slices.ContainsFunc(locals, func(local string) bool { return !missing(local) }) { // nothing is to be made then either
		for _, local := range locals {
			_, err := os.Stat(local)
			sh.tell(fmt.Errorf("%s: %w", local, cause(err)))
		}
		return silentError{}
	}
	t, err := sh.connectTree()
	if err != nil {
		return err
	}
	defer t.close()
	p := &putter{sh: sh, tree: t, check: cmd.Check, up: newUploader(sh.ctx, t), bar: newProgress(sh.stderr, "sending", 0)}
	defer p.up.stop()
	defer p.bar.close()
	if cli.IsTerminal(sh.stderr) {
		for _, local := range locals {
			p.bar.expect(bytesIn(local))
		}
	}
	err = p.run(locals, remote)
	p.bar.close()
	if err != nil {
		return err
	}
	if sh.json {
		if err := sh.printJSON(p.did); err != nil {
			return err
		}
	}
	if p.did.Failed > 0 {
		return silentError{}
	}
	return nil
}

// localName is what a file or directory of this machine is called where it is put into a directory.
func localName(local string) (string, error) {
	if local == "-" {
		return "", usageError{"standard input needs a name: satchel put - DIR/NAME"}
	}
	abs, err := filepath.Abs(local)
	return filepath.Base(abs), err
}

// namesakes refuses several sources that have the same name in the one directory where they are to go: the
// second would take the place of the first.
func namesakes(sources []string, name func(source string) (string, error)) error {
	if len(sources) < 2 {
		return nil
	}
	first := map[string]string{}
	for _, source := range sources {
		base, err := name(source)
		if err != nil {
			return err
		}
		if other, taken := first[base]; taken {
			return usageError{fmt.Sprintf("%s and %s would both be %s there: copy one at a time, to names of their own",
				cli.Printable(other), cli.Printable(source), cli.Printable(base))}
		}
		first[base] = source
	}
	return nil
}

// bytesIn is how much a file or directory has, as far as it can be told.
func bytesIn(local string) (n int64) {
	filepath.WalkDir(local, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil // what can't be read is told when it is to be sent
	})
	return n
}

// putter copies to the drive: chunks go up while files are read, and files
// appear with the commit of the batch they are in.
type putter struct {
	sh    *shell
	tree  *tree
	check bool
	up    *uploader
	bar   *progress
	queue []queued // not committed yet
	bytes int64    // of the files in it
	did   copied
}

// queued is a mutation that waits for its batch, and the file its version was
// read from.
type queued struct {
	mutation api.Mutation
	local    string
}

// So many mutations, and so many bytes of files, wait for a commit at most:
// what was committed need not be read again after a break.
const (
	batchSize  = 1000
	batchBytes = 256 << 20
)

func (p *putter) run(locals []string, remote string) error {
	ctx := p.sh.ctx
	remote, err := p.sh.drivePath(remote)
	if err != nil {
		return err
	}
	names, err := namesOf(remote)
	if err != nil {
		return err
	}
	into := len(locals) > 1 || len(names) == 0 || strings.HasSuffix(remote, "/")
	if !into {
		n, err := p.tree.Lookup(ctx, api.JoinPath(names))
		if err != nil && api.KindOf(err) != api.NotFound && api.KindOf(err) != api.NotDirectory {
			return err
		}
		into = n.Type == api.Directory
		if info, err := os.Stat(locals[0]); into && err == nil && info.IsDir() {
			made, err := p.makes(ctx, n.ID, locals[0])
			if err != nil {
				return err
			}
			into = !made
		}
	}
	up := names
	if !into {
		up = names[:len(names)-1]
	}
	if len(up) > 0 {
		n, bind, err := p.tree.through(ctx, up)
		if err != nil {
			return err
		}
		if n > 0 {
			return p.tree.refuse(ctx, up[:n], bind)
		}
	}
	if len(names) > 0 {
		if _, err := p.tree.Lookup(ctx, string(names[0])); api.KindOf(err) == api.NotFound {
			if err := elsewhere(remote); err != nil {
				return err
			}
		}
	}
	dir, present, err := p.makeDirs(ctx, up)
	if err != nil {
		return err
	}
	for _, local := range locals {
		name := api.Name("")
		if !into {
			name = names[len(names)-1]
		} else if base, err := localName(local); err != nil {
			return err
		} else {
			name = api.Name(base)
		}
		path := api.JoinPath(append(up[:len(up):len(up)], name))
		p.noteNewer(local, path)
		old := api.Node{}
		if present {
			if old, err = p.tree.Lookup(ctx, path); err != nil && api.KindOf(err) != api.NotFound {
				return err
			}
		}
		info := fs.FileInfo(nil)
		if local != "-" {
			if info, err = os.Stat(local); err != nil {
				p.tell(fmt.Errorf("%s: %w", local, cause(err)))
				continue
			}
		}
		if err := p.put(ctx, local, info, dir, name, old, p.check || info != nil && info.Mode().IsRegular()); err != nil {
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
				return dir, false, api.Errorf(api.NotDirectory, "%s is not a directory on the drive", cli.Printable(api.JoinPath(path[:i+1])))
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

// tell reports a failure that does not end the command.
func (p *putter) tell(err error) {
	p.did.Failed++
	p.sh.tell(err)
}
