package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// A directory that is copied to one that is there goes inside it, by its own name, as
// cp does it; but to one that an earlier time has made it goes on, so that the same can
// be asked for again after a break. It has made what has names of the source and no
// others: anything else that is there could be overwritten.

// partPrefix begins the names of what is on its way here.
const partPrefix = ".satchel-part-"

var errOtherName = errors.New("there is a name that the source does not have")

// makes tells whether a directory of the drive is what putting a local one has made.
func (p *putter) makes(ctx context.Context, dir api.ID, local string) (bool, error) {
	entries, err := os.ReadDir(local)
	if err != nil {
		return false, nil // what it is, is told when it is to be sent
	}
	source := make(map[string]bool, len(entries))
	for _, e := range entries {
		source[e.Name()] = e.IsDir()
	}
	some := len(source) == 0
	err = p.tree.children(ctx, dir, func(c child) error {
		some = true
		if isDir, ok := source[string(c.name)]; !ok || isDir != (c.node.Type == api.Directory) {
			return errOtherName
		}
		return nil
	})
	if errors.Is(err, errOtherName) {
		return false, nil
	}
	return some, err
}

// makes tells whether a directory of this machine is what getting one of the drive has made.
func (g *getter) makes(ctx context.Context, dir api.ID, local string) (bool, error) {
	entries, err := os.ReadDir(local)
	if err != nil {
		return false, err
	}
	here := make(map[string]bool, len(entries))
	for _, e := range entries {
		if !isPart(e) {
			here[e.Name()] = e.IsDir()
		}
	}
	source := 0
	err = g.tree.children(ctx, dir, func(c child) error {
		source++
		if isDir, ok := here[string(c.name)]; ok && isDir == (c.node.Type == api.Directory) {
			delete(here, string(c.name))
		}
		return nil
	})
	return len(here) == 0 && (len(entries) > 0 || source == 0), err
}

// place is where a node goes that is to be fetched, under a name, to a directory of this
// machine; asked is what the user called that.
func (g *getter) place(n api.Node, name, local, asked string) (string, error) {
	inside := filepath.Join(local, name)
	if n.Type != api.Directory || strings.HasSuffix(asked, "/") || filepath.Base(asked) == "." || filepath.Base(asked) == ".." {
		return inside, nil
	}
	made, err := g.makes(g.sh.ctx, n.ID, local)
	if err != nil || !made {
		return inside, err
	}
	return local, nil
}

func isPart(e fs.DirEntry) bool {
	return e.Type().IsRegular() && strings.HasPrefix(e.Name(), partPrefix)
}

// parts are the files in a directory that an earlier time left on their way.
func parts(dir string) map[string]bool {
	entries, _ := os.ReadDir(dir)
	left := map[string]bool{}
	for _, e := range entries {
		if isPart(e) {
			left[filepath.Join(dir, e.Name())] = true
		}
	}
	return left
}

// dropPart removes a part that nobody goes on with: what it was of is another version
// now, or gone. One that another command is writing stays.
func dropPart(path string) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		os.Remove(path)
	}
}
