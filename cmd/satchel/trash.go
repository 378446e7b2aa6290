package main

import (
	"context"
	"fmt"
	"strings"

	"satchel/api"
	"satchel/cmd/internal/cli"
)

type trashCmd struct {
	List    trashListCmd    `cmd:"" default:"withargs" help:"List what was deleted, the last first."`
	Restore trashRestoreCmd `cmd:"" help:"Bring a deleted file or directory back."`
	Empty   trashEmptyCmd   `cmd:"" help:"Remove what is in the trash for good."`
}

type trashListCmd struct{}

func (cmd *trashListCmd) Run(sh *shell) error {
	t, err := sh.openTree()
	if err != nil {
		return err
	}
	defer t.close()
	items := []api.Trashed{}
	if err := t.trash(sh.ctx, func(item api.Trashed) bool {
		items = append(items, item)
		return true
	}); err != nil {
		return err
	}
	if len(items) == 0 {
		return sh.answer(items, "the trash is empty")
	}
	return list(sh, items, "DELETED\tDEVICE\tSIZE\tPATH", func(item api.Trashed) string {
		name, bytes := cli.Printable(string(item.Path)), "-"
		switch item.Type {
		case api.Directory:
			name += "/"
		case api.File:
			bytes = size(item.Size).String()
		}
		return strings.Join([]string{stamp(item.Deleted), deviceName(item.DeviceName), bytes, name}, "\t")
	})
}

// trash calls fn with what is in the trash, the last deleted first, until it
// returns false.
func (t *tree) trash(ctx context.Context, fn func(api.Trashed) bool) error {
	for before := int64(0); ; {
		page, err := t.Trash(ctx, before, 1000)
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			if before = item.Seq; !fn(item) {
				return nil
			}
		}
		if !page.More || len(page.Items) == 0 {
			return nil
		}
	}
}

type trashRestoreCmd struct {
	Path string `arg:"" help:"Where it was, ${path}."`
}

func (cmd *trashRestoreCmd) Run(sh *shell) error {
	names, err := sh.driveNames(cmd.Path)
	if err != nil {
		return err
	}
	path := api.JoinPath(names)
	t, err := sh.openTree()
	if err != nil {
		return err
	}
	defer t.close()
	var found *api.Trashed
	above := ""
	if err := t.trash(sh.ctx, func(item api.Trashed) bool {
		if string(item.Path) == path {
			found = &item
		} else if above == "" && strings.HasPrefix(path, string(item.Path)+"/") {
			above = string(item.Path)
		}
		return found == nil
	}); err != nil {
		return err
	}
	switch {
	case found == nil && above != "":
		return api.Errorf(api.NotFound, "there is no %s in the trash\nthe directory %s was deleted whole; bring it back with: %s", cli.Printable(path), cli.Printable(above), sh.command("trash restore", above))
	case found == nil:
		return api.Errorf(api.NotFound, "there is no %s in the trash\nsee what is there with: %s", cli.Printable(path), sh.command("trash"))
	}
	done, err := t.RestoreTrash(sh.ctx, found.Node)
	if err != nil {
		return err
	}
	if string(done.Path) != path {
		return sh.answer(done, "%s is back as %s, since its name is taken", cli.Printable(path), cli.Printable(string(done.Path)))
	}
	return sh.answer(done, "%s is back", cli.Printable(path))
}

type trashEmptyCmd struct {
	Yes bool `help:"Do not ask; needed where there is no terminal."`
}

func (cmd *trashEmptyCmd) Run(sh *shell) error {
	if !cmd.Yes && !sh.canAsk() {
		return errNobodyToAsk
	}
	t, err := sh.openTree()
	if err != nil {
		return err
	}
	defer t.close()
	if !cmd.Yes {
		there, err := t.trashed(sh.ctx)
		if err != nil {
			return err
		}
		if there != "" {
			if err := sh.confirm(false, "remove "+there+" for good?"); err != nil {
				return err
			}
		}
	}
	gone, err := t.EmptyTrash(sh.ctx)
	if err != nil {
		return err
	}
	return sh.answer(gone, "the trash is empty: %s, %s", plural(gone.Items, "thing"), size(gone.Bytes))
}

// trashed is what is in the trash, for people; "" if it is empty. What a directory had in it is part of it there, and
// has no size.
func (t *tree) trashed(ctx context.Context) (string, error) {
	files, directories, bytes := 0, 0, int64(0)
	if err := t.trash(ctx, func(item api.Trashed) bool {
		if item.Type == api.Directory {
			directories++
		} else {
			files++
			bytes += item.Size
		}
		return true
	}); err != nil {
		return "", err
	}
	var parts []string
	if files > 0 {
		parts = append(parts, fmt.Sprintf("%s (%s)", plural(files, "file"), size(bytes)))
	}
	switch {
	case directories == 1:
		parts = append(parts, "1 directory with what is in it")
	case directories > 1:
		parts = append(parts, plural(directories, "directory")+" with what is in them")
	}
	return strings.Join(parts, " and "), nil
}
