package main

import (
	"satchel/api"
	"satchel/cache"
	"satchel/cmd/internal/cli"
)

type pinCmd struct {
	Path *string `arg:"" optional:"" help:"A file or folder, ${path}; without it, what is pinned is listed." complete:"remote,file"`
	Dir  string  `help:"Which mounted folder, when there are several." placeholder:"DIR" complete:"mounted"`
}

func (cmd *pinCmd) Run(sh *shell) error {
	m, err := sh.running(cmd.Dir)
	if err != nil {
		return err
	}
	if cmd.Path == nil {
		return sh.printPins(m)
	}
	path, err := sh.drivePath(*cmd.Path)
	if err != nil {
		return err
	}
	bar := newProgress(sh.stderr, "fetching", sh.usage(*cmd.Path))
	before := int64(-1)
	r, err := m.ask(sh.ctx, controlRequest{Op: opPin, Path: path}, func(now report) {
		if before < 0 {
			before = now.CacheBytes
		}
		bar.add(now.CacheBytes - before)
		before = now.CacheBytes
	})
	bar.close()
	if err != nil {
		return sh.notHere(*cmd.Path, err)
	}
	return sh.answer(r, "%s stays on this machine; all of it is here", cli.Printable(*cmd.Path))
}

// printPins lists what is pinned on a drive.
func (sh *shell) printPins(m mounted) error {
	reply, err := m.askAll(sh.ctx, controlRequest{Op: opPins}, nil)
	if err != nil {
		return err
	}
	if len(reply.Pins) == 0 {
		return sh.answer([]cache.Pin{}, "nothing is pinned")
	}
	return list(sh, reply.Pins, "PINNED", func(p cache.Pin) string {
		path := cli.Printable(p.Path)
		if p.Folder {
			path += "/" // the drive's top is "/"
		}
		return path
	})
}

// usage is how many bytes a path of the drive has, if somebody watches and the
// server says it; else 0.
func (sh *shell) usage(path string) int64 {
	if !cli.IsTerminal(sh.stderr) {
		return 0
	}
	t, err := sh.connectTree()
	if err != nil {
		return 0
	}
	defer t.close()
	p, err := t.existing(sh.ctx, path)
	if err != nil || p.node.Type == api.File {
		return p.node.Size
	}
	use, err := t.Usage(sh.ctx, p.node.ID)
	if err != nil {
		return 0
	}
	return use.Bytes
}

type unpinCmd struct {
	Path string `arg:"" help:"What was pinned, ${path}." complete:"remote,file"`
	Dir  string `help:"Which mounted folder, when there are several." placeholder:"DIR" complete:"mounted"`
}

func (cmd *unpinCmd) Run(sh *shell) error {
	m, err := sh.running(cmd.Dir)
	if err != nil {
		return err
	}
	path, err := sh.drivePath(cmd.Path)
	if err != nil {
		return err
	}
	r, err := m.ask(sh.ctx, controlRequest{Op: opUnpin, Path: path}, nil)
	if err != nil || !sh.json {
		return sh.notHere(cmd.Path, err)
	}
	return sh.printJSON(r)
}
