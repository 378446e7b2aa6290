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

func (cmd *trashCmd) Help() string {
	return "A file that was deleted and made again under its name is not in the trash: it goes on, and what it was before is in its history (satchel history)."
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
	Path string `arg:"" help:"Where it was, ${path}; or its id, as trash list --json has it. Of several that were there, the one that was deleted last." complete:"trashed"`
}

// fromTrash is trash restore's answer as JSON.
type fromTrash struct {
	api.Restored
	Others []api.Trashed `json:"others,omitempty"` // that were at the same place, and are still in the trash; the last deleted first
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
	var there []api.Trashed // at that place
	var named *api.Trashed
	above := ""
	if err := t.trash(sh.ctx, func(item api.Trashed) bool {
		switch {
		case string(item.Path) == path:
			there = append(there, item)
		case item.Node.String() == path:
			named = &item
		case above == "" && strings.HasPrefix(path, string(item.Path)+"/"):
			above = string(item.Path)
		}
		return true
	}); err != nil {
		return err
	}
	switch {
	case len(there) > 0:
	case named != nil:
		there, path = []api.Trashed{*named}, string(named.Path)
	case above != "":
		return api.Errorf(api.NotFound, "there is no %s in the trash\nthe directory %s was deleted whole; bring it back with: %s", cli.Printable(path), cli.Printable(above), sh.command("trash restore", above))
	default:
		next := "see what is there with: " + sh.command("trash")
		if n, err := t.Lookup(sh.ctx, path); err == nil && n.Type == api.File {
			next = "a file of that name is on the drive: if it was deleted and made again, what it was before is in its history: " + sh.command("history", path)
		}
		return api.Errorf(api.NotFound, "there is no %s in the trash\n%s", cli.Printable(path), next)
	}
	done, err := t.RestoreTrash(sh.ctx, there[0].Node)
	if err != nil {
		return err
	}
	t.changed = done.Seq
	said := cli.Printable(path) + " is back"
	if string(done.Path) != path {
		said += " as " + cli.Printable(string(done.Path)) + ", since " + whyElsewhere(path, string(done.Path))
	}
	others := there[1:]
	if len(others) > 0 {
		said += fmt.Sprintf(": the one that was deleted last, on %s\nstill in the trash, %s of the same name:",
			there[0].Deleted.Local().Format("2006-01-02 15:04:05"), plural(len(others), "other"))
	}
	for i, item := range others {
		if i == toldOthers {
			said += fmt.Sprintf("\nand %d more: %s", len(others)-i, sh.command("trash --json"))
			break
		}
		bytes := ""
		if item.Type == api.File {
			bytes = ", " + size(item.Size).String()
		}
		said += fmt.Sprintf("\n%s  # deleted on %s%s", sh.command("trash restore", item.Node.String()), item.Deleted.Local().Format("2006-01-02 15:04:05"), bytes)
	}
	return sh.answer(fromTrash{done, others}, "%s", said)
}

// whyElsewhere is why something from the trash is not at the path at which it was.
func whyElsewhere(was, is string) string {
	if was[:strings.LastIndexByte(was, '/')+1] == is[:strings.LastIndexByte(is, '/')+1] {
		return "its name is taken"
	}
	return "the folder that it was in is gone, or has another name now, or shows another's"
}

// toldOthers is how many of the same name are told of.
const toldOthers = 5

type trashEmptyCmd struct {
	Yes bool `help:"Do not ask; who is not at a terminal is not asked."`
}

func (cmd *trashEmptyCmd) Run(sh *shell) error {
	t, err := sh.openTree()
	if err != nil {
		return err
	}
	defer t.close()
	if !cmd.Yes && sh.canAsk() {
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
