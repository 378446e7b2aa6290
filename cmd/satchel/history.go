package main

import (
	"context"
	"fmt"
	"strings"

	"satchel/api"
	"satchel/cmd/internal/cli"
)

type historyCmd struct {
	Path string `arg:"" help:"A file, ${path}." complete:"remote,file"`
}

func (cmd *historyCmd) Run(sh *shell) error {
	t, err := sh.openTree()
	if err != nil {
		return err
	}
	defer t.close()
	_, versions, err := t.history(sh.ctx, cmd.Path)
	if err != nil {
		return err
	}
	return list(sh, versions, "VERSION\tTIME\tSIZE\tDEVICE\t", func(v api.FileVersion) string {
		note := ""
		if v.Current {
			note = "current"
		}
		return strings.Join([]string{v.ID.String(), v.Time.Local().Format("2006-01-02 15:04:05"), size(v.Size).String(), deviceName(v.DeviceName), note}, "\t")
	})
}

func deviceName(name string) string {
	if name == "" {
		return "-"
	}
	return cli.Printable(name)
}

// history is a file and its versions, the newest first.
func (t *tree) history(ctx context.Context, path string) (place, []api.FileVersion, error) {
	p, err := t.existing(ctx, path)
	switch {
	case api.KindOf(err) == api.NotFound:
		return p, nil, fmt.Errorf("%w\nif it was deleted, look for it with: %s", err, t.sh.command("trash"))
	case err != nil:
		return p, nil, err
	case p.node.Type != api.File:
		return p, nil, api.Errorf(api.Invalid, "%s is not a file: only files have versions", p)
	}
	versions, err := t.Versions(ctx, p.node.Document)
	return p, versions, err
}
