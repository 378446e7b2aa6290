package main

import (
	"slices"
	"strings"
	"time"

	"satchel/api"
)

type mvCmd struct {
	From string `arg:"" help:"What to rename or move, ${path}." complete:"remote,file"`
	To   string `arg:"" help:"Its new path, or the directory to move it into, ${path}." complete:"remote,file"`
}

func (cmd *mvCmd) Run(sh *shell) error {
	t, err := sh.openTree()
	if err != nil {
		return err
	}
	defer t.close()
	from, err := t.entry(sh.ctx, cmd.From) // what another shares may be shown at another place
	if err != nil {
		return err
	}
	if from.isRoot() {
		return usageError{"the drive's root cannot be moved"}
	}
	dest, err := sh.drivePath(cmd.To)
	if err != nil {
		return err
	}
	names, err := namesOf(dest)
	if err != nil {
		return err
	}
	to, err := t.at(sh.ctx, names)
	if err != nil {
		return err
	}
	switch {
	case to.isBind() && to.node.ID != from.node.ID:
		return t.refuse(sh.ctx, to.path, to.bind)
	case to.isDir() && to.node.ID != from.node.ID: // into it
		if to, err = t.at(sh.ctx, append(slices.Clone(to.path), from.name())); err != nil {
			return err
		}
	case !to.exists() && strings.HasSuffix(dest, "/"):
		return api.Errorf(api.NotFound, "there is no directory %s on the drive", to)
	}
	if !to.exists() && len(to.path) == 1 {
		if err := elsewhere(dest); err != nil {
			return err
		}
	}
	switch {
	case to.node.ID == from.node.ID:
		return api.Errorf(api.Invalid, "%s and %s are the same", from, to)
	case strings.HasPrefix(to.String()+"/", from.String()+"/"):
		return api.Errorf(api.Invalid, "%s cannot be moved into itself", from)
	case to.exists() && (to.isDir() || from.isDir()):
		return api.Errorf(api.Exists, "%s exists on the drive already", to)
	}
	m := api.Mutation{
		Op: api.OpRename, Node: from.node.ID, Parent: from.parent.ID, Name: from.name(),
		ToParent: to.parent.ID, ToName: to.name(), Time: time.Now().UnixNano(),
	}
	if to.exists() {
		m.Replaces, m.Base, m.Conflict = to.node.ID, to.node.Version, api.NewID()
	}
	outcomes, err := t.commit(sh.ctx, []api.Mutation{m})
	if err != nil {
		return err
	}
	if err := refusal(outcomes[0], from.String()); err != nil || !sh.json {
		return err
	}
	return sh.printJSON(map[string]string{"from": api.JoinPath(from.path), "to": api.JoinPath(to.path)})
}
