package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"satchel/api"
)

// getters is how many files are fetched at once.
const getters = 8

type getCmd struct {
	Paths []string `arg:"" name:"remote… local" help:"What to copy, directories whole, and where to: a new name or a directory; by default here. - is standard output."`
}

func (cmd *getCmd) Run(sh *shell) error {
	remotes, local := cmd.Paths, "."
	if n := len(cmd.Paths); n > 1 {
		remotes, local = cmd.Paths[:n-1], cmd.Paths[n-1]
	}
	info, err := os.Stat(local)
	into := err == nil && info.IsDir()
	if local != "-" && !into && (len(remotes) > 1 || strings.HasSuffix(local, "/")) {
		return fmt.Errorf("%s is not a directory", local)
	}
	t, err := sh.openTree()
	if err != nil {
		return err
	}
	defer t.close()
	g := &getter{sh: sh, tree: t, bar: newTransferBar(sh.stderr, "fetching")}
	g.group.SetLimit(getters)
	err = g.run(remotes, local, into)
	if e := g.group.Wait(); err == nil {
		err = e
	}
	g.bar.close()
	if err == nil && g.failed.Load() {
		return silentError{}
	}
	return err
}

// getter copies from the drive.
type getter struct {
	sh     *shell
	tree   *tree
	bar    *transferBar
	group  errgroup.Group
	failed atomic.Bool // something was told to have failed
}

func (g *getter) run(remotes []string, local string, into bool) error {
	for _, remote := range remotes {
		from, err := g.tree.existing(g.sh.ctx, remote)
		if err != nil {
			return err
		}
		if local == "-" {
			if from.node.Type != api.File {
				return fmt.Errorf("%s is not a file: only files go to standard output", from)
			}
			if err := g.copy(g.sh.ctx, g.sh.stdout, from.node); err != nil {
				return err
			}
			continue
		}
		to := local
		if into && !from.isRoot() {
			to = filepath.Join(local, string(from.name()))
		}
		if err := g.get(g.sh.ctx, from.node, to); err != nil {
			return err
		}
	}
	return nil
}

// get copies a node, a directory whole. Failures that concern one file only
// are told, and the others go on.
func (g *getter) get(ctx context.Context, n api.Node, to string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch n.Type {
	case api.Directory:
		if err := os.Mkdir(to, fs.FileMode(n.Mode)&fs.ModePerm|0o700); err != nil {
			if info, e := os.Stat(to); e != nil || !info.IsDir() {
				return fmt.Errorf("%s: %w", to, cause(err))
			}
		}
		return g.tree.children(ctx, n.ID, func(c child) error {
			return g.get(ctx, c.node, filepath.Join(to, string(c.name)))
		})
	case api.Symlink:
		if old, err := os.Readlink(to); err == nil && old == string(n.Target) {
			return nil
		}
		if err := os.Symlink(string(n.Target), to); err != nil {
			g.tell("%s: %v", to, cause(err))
		}
	case api.File:
		g.group.Go(func() error {
			err := g.file(ctx, n, to)
			if _, remote := errors.AsType[*api.Error](err); remote {
				if api.KindOf(err) == api.NotFound {
					g.tell("%s: removed from the drive meanwhile", to)
					return nil
				}
				return err
			}
			if err != nil {
				g.tell("%s: %v", to, cause(err))
			}
			return nil
		})
	default:
		g.tell("%s: left out: not a file, directory or symlink", to)
	}
	return nil
}

// file fetches beside the name and renames, so that what was there stays whole
// until the new content is.
func (g *getter) file(ctx context.Context, n api.Node, to string) error {
	if info, err := os.Stat(to); err == nil && info.IsDir() {
		return errors.New("there is a directory of that name")
	}
	f, err := os.CreateTemp(filepath.Dir(to), ".satchel-get-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = g.copy(ctx, f, n)
	if err == nil {
		err = f.Chmod(fs.FileMode(n.Mode) & fs.ModePerm)
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Chtimes(f.Name(), time.Time{}, time.Unix(0, n.Mtime))
	}
	if err == nil {
		err = os.Rename(f.Name(), to)
	}
	return err
}

// copy writes a file's content and checks it. After a broken connection it
// goes on where that ended.
func (g *getter) copy(ctx context.Context, w io.Writer, n api.Node) error {
	sum := sha256.New()
	var done int64
	_, err := patiently(ctx, func() (struct{}, error) {
		if done == n.Size {
			return struct{}{}, nil
		}
		r, err := g.tree.Content(ctx, n.ID, n.Version, done, n.Size-done)
		if err != nil {
			return struct{}{}, err
		}
		defer r.Close()
		copied, err := io.Copy(io.MultiWriter(w, sum, g.bar), r)
		done += copied
		if err == nil && done < n.Size {
			err = api.Errorf(api.Unavailable, "the server sent %d of %d bytes", done, n.Size)
		}
		return struct{}{}, err
	})
	if err != nil {
		return err
	}
	if got := api.Hash(sum.Sum(nil)); got != n.SHA256 {
		return errors.New("the content arrived damaged: try again; if it stays so, tell the server's administrator")
	}
	return nil
}

// tell reports a failure that does not end the command.
func (g *getter) tell(format string, args ...any) {
	g.failed.Store(true)
	fmt.Fprintf(g.sh.stderr, "satchel: "+format+"\n", args...)
}
