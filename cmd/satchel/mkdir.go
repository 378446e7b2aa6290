package main

import (
	"fmt"
	"time"

	"satchel/api"
)

type mkdirCmd struct {
	Paths   []string `arg:"" name:"path" help:"What to make, ${path}." complete:"remote"`
	Parents bool     `short:"p" help:"Make those above them too, and leave alone what is there."`
}

func (cmd *mkdirCmd) Run(sh *shell) error {
	t, err := sh.connectTree()
	if err != nil {
		return err
	}
	defer t.close()
	made := []string{}
	for _, path := range cmd.Paths {
		all, err := cmd.make(t, path)
		if err != nil {
			return err
		}
		made = append(made, all...)
	}
	if sh.json {
		return sh.printJSON(map[string][]string{"made": made})
	}
	return nil
}

// make makes one directory, and says which paths are new.
func (cmd *mkdirCmd) make(t *tree, path string) (made []string, err error) {
	path, err = t.sh.drivePath(path)
	if err != nil {
		return nil, err
	}
	names, err := namesOf(path)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, usageError{"the drive's root is there"}
	}
	if _, err := t.Lookup(t.sh.ctx, string(names[0])); api.KindOf(err) == api.NotFound {
		if err := elsewhere(path); err != nil {
			return nil, err
		}
	}
	from := len(names)
	if cmd.Parents {
		from = 1
	}
	for n := from; n <= len(names); n++ {
		p, err := t.at(t.sh.ctx, names[:n])
		switch {
		case api.KindOf(err) == api.NotFound && !cmd.Parents:
			return made, fmt.Errorf("%w\nmake what is above it too with: %s", err, t.sh.command("mkdir -p", api.JoinPath(names)))
		case err != nil:
			return made, err
		case p.isDir() && cmd.Parents:
			continue
		case p.exists():
			return made, api.Errorf(api.Exists, "%s exists on the drive already", p)
		}
		mode := uint32(0o755)
		outcomes, err := t.commit(t.sh.ctx, []api.Mutation{{
			Op: api.OpCreate, Node: api.NewID(), Parent: p.parent.ID, Name: p.name(), Time: time.Now().UnixNano(),
			Attr: &api.Attr{Type: api.Directory, Mode: &mode},
		}})
		if err == nil {
			err = refusal(outcomes[0], p.String())
		}
		if err != nil {
			return made, err
		}
		made = append(made, api.JoinPath(p.path))
	}
	return made, nil
}
