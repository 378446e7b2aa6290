package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"satchel/api"
	"satchel/cmd/internal/cli"
)

// getters is how many files are fetched at once.
const getters = 8

type getCmd struct {
	Paths []string `arg:"" name:"remote… local" help:"What to copy, ${path}, directories whole, and where to: a new name or a directory; by default here. - is standard output." complete:"remote,file"`
	Check bool     `help:"Read files in directories, too, that are here already with the size and time of the drive's, and fetch what differs."`
}

func (cmd *getCmd) Help() string {
	return intoHelp + "What was broken off goes on where it ended when the same is asked for again: files in directories that are here with the drive's size and time are left as they are, and of the others only what is missing is fetched."
}

func (cmd *getCmd) Run(sh *shell) error {
	remotes, local := cmd.Paths, "."
	if n := len(cmd.Paths); n > 1 {
		remotes, local = cmd.Paths[:n-1], cmd.Paths[n-1]
	}
	if local != "-" {
		if err := namesakes(remotes, sh.remoteName); err != nil {
			return err
		}
	}
	info, err := os.Stat(local)
	into, asked := local != "-" && err == nil && info.IsDir(), local
	if len(remotes) > 1 {
		asked += "/" // each goes inside, by its name
	}
	if into {
		if local, err = filepath.EvalSymlinks(local); err != nil { // one that the user has named is his
			return err
		}
	}
	if local != "-" && !into && (len(remotes) > 1 || strings.HasSuffix(local, "/")) {
		return noDirectory(local)
	}
	t, err := sh.openTree()
	if err != nil {
		return err
	}
	defer t.close()
	g := newGetter(sh, t, cmd.Check)
	return g.finish(local == "-", g.run(remotes, local, asked, into))
}

// remoteName is what a path of the drive is called where it is fetched into a directory. The whole drive has no name.
func (sh *shell) remoteName(remote string) (string, error) {
	names, err := sh.driveNames(remote)
	if err != nil || len(names) == 0 {
		return "", err
	}
	return string(names[len(names)-1]), nil
}

// intoHelp is where a directory goes, in the help of put and get.
const intoHelp = "A directory is copied into one that is there, by its own name; always so with a slash at the end of where to. Without the slash, and if there are only names of the source in it, an earlier time has made it, and the copy goes on there. "

// copied is what put and get did, as JSON.
type copied struct {
	Files   int64 `json:"files"`   // copied
	Bytes   int64 `json:"bytes"`   // in them
	Skipped int64 `json:"skipped"` // files that were there already
	Failed  int64 `json:"failed"`  // files and directories; standard error says why
}

// getter copies from the drive.
type getter struct {
	sh    *shell
	tree  *tree
	check bool
	left  map[string]bool // parts of an earlier time
	fresh []string        // directories that were not there
	bar   *progress
	group errgroup.Group

	mu     sync.Mutex
	filled map[string]bool // directories that have new names, which are not durable yet

	files, bytes, skipped, failed atomic.Int64
}

func newGetter(sh *shell, t *tree, check bool) *getter {
	g := &getter{sh: sh, tree: t, check: check, left: map[string]bool{}, filled: map[string]bool{}, bar: newProgress(sh.stderr, "fetching", 0)}
	g.group.SetLimit(getters)
	return g
}

// finish waits for what is under way and tells what was done; err is how it was begun.
func (g *getter) finish(toStdout bool, err error) error {
	defer g.bar.close()
	if e := g.group.Wait(); err == nil {
		err = e
	}
	g.bar.close()
	if err != nil {
		for _, dir := range g.fresh {
			os.Remove(dir) // when it is empty still: another time would copy into it
		}
		return err
	}
	if err := g.settle(); err != nil {
		return err
	}
	if g.sh.json && !toStdout {
		if err := g.sh.printJSON(copied{g.files.Load(), g.bytes.Load(), g.skipped.Load(), g.failed.Load()}); err != nil {
			return err
		}
	}
	if g.failed.Load() > 0 {
		return silentError{}
	}
	for part := range g.left {
		dropPart(part)
	}
	return nil
}

func (g *getter) run(remotes []string, local, asked string, into bool) error {
	var all []place
	for _, remote := range remotes {
		from, err := g.tree.existing(g.sh.ctx, remote)
		if api.KindOf(err) == api.NotFound && len(remotes) > 1 {
			g.tell(err)
			continue
		}
		if err != nil {
			return err
		}
		all = append(all, from)
		g.expect(from.node)
	}
	for _, from := range all {
		to := local
		if into && !from.isRoot() {
			var err error
			if to, err = g.place(from.node, string(from.name()), local, asked); err != nil {
				return err
			}
		}
		if err := g.fetch(from.node, from.String(), to, !into); err != nil {
			return err
		}
	}
	return nil
}

// expect asks how much there is to fetch, if somebody watches. Not to know it
// is no failure.
func (g *getter) expect(n api.Node) {
	switch {
	case n.Type == api.File:
		g.bar.expect(n.Size)
	case n.Type == api.Directory && cli.IsTerminal(g.sh.stderr):
		if use, err := g.tree.Usage(g.sh.ctx, n.ID); err == nil {
			g.bar.expect(use.Bytes)
		}
	}
}

// get copies a node, a directory whole. Failures that concern one file only
// are told, and the others go on. With check a file that has the same size and time is read all the same.
func (g *getter) get(ctx context.Context, n api.Node, to string, check bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch n.Type {
	case api.Directory:
		binds, err := g.tree.bound(ctx)
		if err != nil {
			return err
		}
		if b, ok := binds[n.ID]; ok {
			g.tell(api.Errorf(api.Invalid, "%s: left out: %s", to, g.tree.shownFrom(ctx, []api.Name{api.Name(filepath.Base(to))}, b)))
			return nil
		}
		if err := os.Mkdir(to, fs.FileMode(n.Mode)&fs.ModePerm|0o700); err != nil {
			// A symlink may be one that was fetched, and its target is the choice of whoever shares the tree.
			if info, e := os.Lstat(to); e != nil || !info.IsDir() {
				return fmt.Errorf("%s: %w", to, cause(err))
			}
			maps.Copy(g.left, parts(to))
		} else {
			g.named(to)
		}
		return g.tree.children(ctx, n.ID, func(c child) error {
			delete(g.left, filepath.Join(to, string(c.name)))
			return g.get(ctx, c.node, filepath.Join(to, string(c.name)), g.check)
		})
	case api.Symlink:
		if old, err := os.Readlink(to); err == nil && old == string(n.Target) {
			return nil
		}
		if err := os.Symlink(string(n.Target), to); err != nil {
			g.tell(fmt.Errorf("%s: %w", to, cause(err)))
		} else {
			g.named(to)
		}
	case api.File:
		g.group.Go(func() error {
			err := g.file(ctx, n, to, check)
			if _, remote := errors.AsType[*api.Error](err); remote {
				if api.KindOf(err) == api.NotFound {
					g.tell(api.Errorf(api.NotFound, "%s: removed from the drive meanwhile", to))
					return nil
				}
				return err
			}
			if err != nil {
				g.tell(fmt.Errorf("%s: %w", to, cause(err)))
			}
			return nil
		})
	default:
		g.tell(api.Errorf(api.Invalid, "%s: left out: not a file, directory or symlink", to))
	}
	return nil
}

// file fetches beside the name and renames, so that what was there stays whole
// until the new content is, also when the power fails. What has the name, and the drive's size and time, has the content.
func (g *getter) file(ctx context.Context, n api.Node, to string, check bool) error {
	if info, err := os.Lstat(to); err == nil {
		switch mode := info.Mode(); {
		case mode.IsDir():
			return errors.New("there is a directory of that name")
		case !mode.IsRegular() && mode.Type() != fs.ModeSymlink:
			return errors.New("there is a device, a pipe or a socket of that name")
		}
		if info.Mode().IsRegular() && info.Size() == n.Size && info.ModTime().UnixNano() == n.Mtime && (!check || contentIs(ctx, to, n.SHA256)) {
			g.skipped.Add(1)
			g.bar.add(n.Size)
			return nil
		}
	}
	f, err := openPart(to, n)
	if err != nil {
		return err
	}
	defer f.close()
	err = g.copy(ctx, f, n)
	if err == nil {
		err = f.Truncate(n.Size) // it may end with a hole
	}
	if err == nil {
		err = f.Chmod(fs.FileMode(n.Mode) & fs.ModePerm)
	}
	if err == nil {
		err = os.Chtimes(f.Name(), time.Time{}, time.Unix(0, n.Mtime))
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(f.Name(), to)
	}
	if err != nil {
		return err
	}
	g.named(to)
	f.done = true
	g.files.Add(1)
	return nil
}

// named notes that a directory has a new name.
func (g *getter) named(path string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.filled[filepath.Dir(path)] = true
}

// settle makes the new names durable.
func (g *getter) settle() error {
	for dir := range g.filled {
		if err := syncDir(dir); err != nil {
			return fmt.Errorf("%s: %w", dir, cause(err))
		}
	}
	return nil
}

// syncDir makes the names in a directory durable, where the file system can.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil // one may write into it, and not list it
	}
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); !errors.Is(err, unix.EINVAL) {
		return err
	}
	return nil
}

// tell reports a failure that does not end the command.
func (g *getter) tell(err error) {
	g.failed.Add(1)
	g.sh.tell(err)
}

// contentIs tells whether a file has content of a hash; no, when the command ends before.
func contentIs(ctx context.Context, path string, want api.Hash) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	h := sha256.New()
	for err == nil && ctx.Err() == nil {
		_, err = io.CopyN(h, f, 1<<20)
	}
	return err == io.EOF && api.Hash(h.Sum(nil)) == want
}
