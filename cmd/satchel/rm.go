package main

import (
	"context"
	"time"

	"satchel/api"
	"satchel/cmd/internal/cli"
)

type rmCmd struct {
	Paths     []string `arg:"" name:"path" help:"What to remove, ${path}." complete:"remote,file"`
	Recursive bool     `short:"r" help:"Remove directories and what is in them."`
}

func (cmd *rmCmd) Run(sh *shell) error {
	t, err := sh.openTree()
	if err != nil {
		return err
	}
	defer t.close()
	r := &remover{sh: sh, tree: t}
	for _, path := range cmd.Paths {
		p, err := t.existing(sh.ctx, path)
		switch {
		case api.KindOf(err) == api.NotFound:
			r.tell(err)
			continue
		case err != nil:
			return err
		case p.isRoot():
			return usageError{"the drive's root cannot be removed"}
		case p.isDir() && !cmd.Recursive:
			r.tell(api.Errorf(api.IsDirectory, "%s is a directory: remove it with %s", p, sh.command("rm -r", api.JoinPath(p.path))))
			continue
		}
		if err := r.remove(sh.ctx, p.parent.ID, child{p.name(), p.node}); err != nil {
			return err
		}
	}
	if err := r.commit(sh.ctx); err != nil {
		return err
	}
	if sh.json {
		if err := sh.printJSON(map[string]int{"removed": r.removed}); err != nil {
			return err
		}
	}
	if r.failed {
		return silentError{}
	}
	return nil
}

// remover removes, what is in a directory before the directory.
type remover struct {
	sh      *shell
	tree    *tree
	queue   []api.Mutation
	removed int
	failed  bool
}

func (r *remover) remove(ctx context.Context, parent api.ID, c child) error {
	m := api.Mutation{Op: api.OpUnlink, Node: c.node.ID, Parent: parent, Name: c.name, Base: c.node.Version, Time: time.Now().UnixNano()}
	if c.node.Type == api.Directory {
		m.Op = api.OpRmdir
		if err := r.tree.children(ctx, c.node.ID, func(below child) error {
			return r.remove(ctx, c.node.ID, below)
		}); err != nil {
			return err
		}
	}
	r.queue = append(r.queue, m)
	if len(r.queue) >= batchSize {
		return r.commit(ctx)
	}
	return nil
}

func (r *remover) commit(ctx context.Context) error {
	if len(r.queue) == 0 {
		return nil
	}
	outcomes, err := r.tree.commit(ctx, r.queue)
	if err != nil {
		return err
	}
	for i, m := range r.queue {
		if err := refusal(outcomes[i], cli.Printable(string(m.Name))); err != nil {
			r.tell(err)
		} else {
			r.removed++
		}
	}
	r.queue = r.queue[:0]
	return nil
}

// tell reports a failure that does not end the command.
func (r *remover) tell(err error) {
	r.failed = true
	r.sh.tell(err)
}
