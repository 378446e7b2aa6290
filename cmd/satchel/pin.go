package main

import (
	"satchel/api"
	"satchel/cmd/internal/cli"
)

type pinCmd struct {
	Path string `arg:"" help:"A file or folder of the drive, or below the folder where it is mounted." complete:"remote,file"`
	Dir  string `help:"Which mounted folder, when there are several." placeholder:"DIR" complete:"mounted"`
}

func (cmd *pinCmd) Run(sh *shell) error {
	m, err := sh.running(cmd.Dir)
	if err != nil {
		return err
	}
	bar := newProgress(sh.stderr, "fetching", sh.usage(cmd.Path))
	before := int64(-1)
	r, err := m.ask(sh.ctx, controlRequest{Op: opPin, Path: sh.drivePath(cmd.Path)}, func(now report) {
		if before < 0 {
			before = now.CacheBytes
		}
		bar.add(now.CacheBytes - before)
		before = now.CacheBytes
	})
	bar.close()
	if err != nil {
		return err
	}
	return sh.answer(r, "%s stays on this machine; all of it is here", cli.Printable(cmd.Path))
}

// usage is how many bytes a path of the drive has, if somebody watches and the
// server says it; else 0.
func (sh *shell) usage(path string) int64 {
	if !cli.IsTerminal(sh.stderr) {
		return 0
	}
	t, err := sh.openTree()
	if err != nil {
		return 0
	}
	defer t.close()
	p, err := t.existing(sh.ctx, sh.drivePath(path))
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
	Path string `arg:"" help:"What was pinned." complete:"remote,file"`
	Dir  string `help:"Which mounted folder, when there are several." placeholder:"DIR" complete:"mounted"`
}

func (cmd *unpinCmd) Run(sh *shell) error {
	m, err := sh.running(cmd.Dir)
	if err != nil {
		return err
	}
	r, err := m.ask(sh.ctx, controlRequest{Op: opUnpin, Path: sh.drivePath(cmd.Path)}, nil)
	if err != nil || !sh.json {
		return err
	}
	return sh.printJSON(r)
}
