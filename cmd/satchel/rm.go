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
		p, err := t.entry(sh.ctx, path)
		switch {
		case api.KindOf(err) == api.NotFound:
			r.tell(err)
			continue
		case err != nil:
			return err
		case p.isRoot():
			return usageError{"the drive's root cannot be removed"}
		case p.isBind():
			r.tell(r.bind(sh.ctx, p.path, p.bind))
			continue
		case p.isDir() && !cmd.Recursive:
			r.tell(api.Errorf(api.IsDirectory, "%s is a directory: remove it with %s", p, sh.command("rm -r", api.JoinPath(p.path))))
			continue
		}
		if _, err := r.remove(sh.ctx, p.path, p.parent.ID, p.node); err != nil {
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

// remove removes what is at a path. kept tells that something in it stays, and it too.
func (r *remover) remove(ctx context.Context, path []api.Name, parent api.ID, n api.Node) (kept bool, err error) {
	m := api.Mutation{Op: api.OpUnlink, Node: n.ID, Parent: parent, Name: path[len(path)-1], Base: n.Version, Time: time.Now().UnixNano()}
	if n.Type == api.Directory {
		m.Op = api.OpRmdir
		binds, err := r.tree.bound(ctx)
		if err != nil {
			return false, err
		}
		if b, ok := binds[n.ID]; ok {
			r.tell(r.bind(ctx, path, b))
			return true, nil
		}
		if err := r.tree.children(ctx, n.ID, func(below child) error {
			stays, err := r.remove(ctx, append(path[:len(path):len(path)], below.name), n.ID, below.node)
			kept = kept || stays
			return err
		}); err != nil || kept {
			return kept, err
		}
	}
	r.queue = append(r.queue, m)
	if len(r.queue) >= batchSize {
		return false, r.commit(ctx)
	}
	return false, nil
}

// bind is that another drive's directory is shown at a path, which is not removed like a directory.
func (r *remover) bind(ctx context.Context, path []api.Name, bind api.Bind) error {
	return api.Errorf(api.Invalid, "%s\nend it with: %s", r.tree.shownFrom(ctx, path, bind), r.sh.command("shared remove", api.JoinPath(path)))
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
