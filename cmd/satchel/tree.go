package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"satchel/api"
	"satchel/api/client"
	"satchel/cmd/internal/cli"
)

// tree is the drive as the commands that need no mount use it: paths, and
// batches of changes. It is for one goroutine, but for its reading methods.
type tree struct {
	*client.Drive
	sh     *shell // whose paths are given
	client *client.Client
	root   api.ID
	batch  api.Batch           // its incarnation is this run's: the mounted drive numbers its own batches
	binds  map[api.ID]api.Bind // by the directory that each is in; nil: not asked for yet

	changed int64 // the last change that was made in the drive's order; 0 = none
}

// openTree connects to the profile's drive, for a command that shows or uses
// what the server has: the mounted folder may have more, of which
// [shell.noteUnsent] tells at the end.
func (sh *shell) openTree() (*tree, error) {
	sh.asked = true
	return sh.connectTree()
}

// unsentPatience is how long a command waits for what a daemon says beside it.
const unsentPatience = time.Second

// noteUnsent tells that the mounted folder has changes that the server, which was
// asked, does not have yet.
func (sh *shell) noteUnsent() {
	if !sh.asked || sh.json {
		return
	}
	ctx, cancel := context.WithTimeout(sh.ctx, unsentPatience)
	defer cancel()
	for _, m := range sh.places.registered() {
		if m.Profile != sh.profile || !m.alive() {
			continue
		}
		if r, err := m.ask(ctx, controlRequest{Op: opStatus}, nil); err == nil && !r.quiet() {
			fmt.Fprintf(sh.stderr, "note: of %s the server lacks %s\nsend it with: %s\n", m.Mountpoint, r.unsent(), sh.command("sync --wait"))
		}
	}
}

// connectTree connects to the profile's drive.
func (sh *shell) connectTree() (*tree, error) {
	c, _, err := sh.connect()
	if err != nil {
		return nil, err
	}
	d := c.Drive("home")
	info, err := d.Info(sh.ctx)
	if err != nil {
		c.Close()
		return nil, err
	}
	return &tree{Drive: d, sh: sh, client: c, root: info.Root, batch: api.Batch{Incarnation: api.NewID(), Echo: true}}, nil
}

// close ends the use of the drive. What was changed is seen in the folder that is mounted here when it returns.
func (t *tree) close() {
	t.client.Close()
	if t.changed > 0 {
		t.sh.settle(news{Drive: t.ID(), Seq: t.changed})
	}
}

// place is a path of the drive and what is there.
type place struct {
	path   []api.Name
	parent api.Node // the directory that has or would have it; zero for the root
	node   api.Node // zero when there is nothing
	bind   api.Bind // that shows another drive's directory here; zero when none does
}

func (p place) exists() bool { return !p.node.ID.IsZero() }
func (p place) isDir() bool  { return p.node.Type == api.Directory }
func (p place) isRoot() bool { return len(p.path) == 0 }

// isBind tells whether the place shows another drive's directory.
func (p place) isBind() bool { return !p.bind.ID.IsZero() }

// name is the last name of the path; "" for the root.
func (p place) name() api.Name {
	if p.isRoot() {
		return ""
	}
	return p.path[len(p.path)-1]
}

func (p place) String() string {
	if p.isRoot() {
		return "/"
	}
	return cli.Printable(api.JoinPath(p.path))
}

// find looks a path up that somebody gave. What does not exist is no error; a
// parent that does not exist or is no directory is, and so is what lies in
// another drive's directory that is shown in this one.
func (t *tree) find(ctx context.Context, path string) (place, error) {
	names, err := t.sh.driveNames(path)
	if err != nil {
		return place{}, err
	}
	p, err := t.at(ctx, names)
	return p, t.sh.notHere(path, err)
}

// at is find by the names on the way.
func (t *tree) at(ctx context.Context, names []api.Name) (place, error) {
	p, err := t.lookAt(ctx, names)
	if len(names) < 2 && (p.isRoot() || !p.isDir()) {
		return p, err // no directory is on the way
	}
	n, bind, e := t.through(ctx, names)
	switch {
	case e != nil:
		return p, e
	case n == len(names):
		p.bind = bind
	case n > 0:
		return p, t.refuse(ctx, names[:n], bind)
	}
	return p, err
}

// lookAt is at by what the drive itself has.
func (t *tree) lookAt(ctx context.Context, names []api.Name) (p place, err error) {
	p.path = names
	if p.isRoot() {
		p.node, err = t.Node(ctx, t.root)
		return p, err
	}
	up := names[:len(names)-1]
	if p.parent, err = t.Lookup(ctx, api.JoinPath(up)); err != nil {
		return p, about(api.JoinPath(up), err)
	}
	if p.parent.Type != api.Directory {
		return p, api.Errorf(api.NotDirectory, "%s is not a directory", cli.Printable(api.JoinPath(up)))
	}
	p.node, err = t.Lookup(ctx, api.JoinPath(names))
	if api.KindOf(err) == api.NotFound {
		return p, nil
	}
	return p, about(p.String(), err)
}

// about names the path that an answer was about.
func about(path string, err error) error {
	if api.KindOf(err) == api.NotFound {
		return api.Errorf(api.NotFound, "there is no %s on the drive", cli.Printable(path))
	}
	return err
}

// existing is find for what must exist, and be of this drive itself.
func (t *tree) existing(ctx context.Context, path string) (place, error) {
	p, err := t.entry(ctx, path)
	if err == nil && p.isBind() {
		err = t.refuse(ctx, p.path, p.bind)
	}
	return p, err
}

// entry is existing for what may be where another drive's directory is shown too.
func (t *tree) entry(ctx context.Context, path string) (place, error) {
	p, err := t.find(ctx, path)
	if err == nil && !p.exists() {
		err = t.sh.notHere(path, about(p.String(), api.Errorf(api.NotFound, "not found")))
	}
	return p, err
}

// child is an entry of a directory and its node.
type child struct {
	name api.Name
	node api.Node
}

// children calls fn with each entry of a directory in byte order of names.
func (t *tree) children(ctx context.Context, dir api.ID, fn func(child) error) error {
	after := api.Name("")
	for {
		page, err := t.Children(ctx, dir, after, 5000, nil)
		if err != nil {
			return err
		}
		nodes := make(map[api.ID]api.Node, len(page.Nodes))
		for _, n := range page.Nodes {
			nodes[n.ID] = n
		}
		for _, e := range page.Entries {
			after = e.Name
			n, ok := nodes[e.Node]
			if !ok || e.Parent != dir || e.Name.Check() != nil {
				continue // not of this directory, or nothing a path could name
			}
			if err := fn(child{e.Name, n}); err != nil {
				return err
			}
		}
		if !page.More || len(page.Entries) == 0 {
			return nil
		}
	}
}

// commit applies mutations, at most api.MaxBatch of them, and returns their
// outcomes.
func (t *tree) commit(ctx context.Context, mutations []api.Mutation) ([]api.Outcome, error) {
	t.batch.Number++
	t.batch.Mutations = mutations
	done, err := patiently(ctx, func() (api.Committed, error) { return t.Commit(ctx, t.batch) })
	if err != nil {
		t.batch.Number-- // what the server refused whole it has not counted
	}
	if slices.ContainsFunc(done.Outcomes, func(o api.Outcome) bool { return o.Status == api.Applied || o.Status == api.Adjusted }) {
		t.changed = max(t.changed, done.Seq)
	}
	return done.Outcomes, err
}

// refusal tells what kept a mutation from being applied as asked.
func refusal(o api.Outcome, what string) error {
	switch o.Status {
	case api.Refused:
		return &api.Error{Kind: o.Kind, Message: what + ": " + o.Message}
	case api.Dropped:
		return api.Errorf(api.Conflict, "%s: left as it is, another device has changed it", what)
	case api.Adjusted:
		if o.Name != "" {
			return api.Errorf(api.Conflict, "%s: another device was there first; yours is now called %s", what, cli.Printable(string(o.Name)))
		}
	}
	return nil
}

// patiently tries again what fails because the server can't be reached or is
// busy, for a minute. Only what may be done twice is given to it.
func patiently[T any](ctx context.Context, try func() (T, error)) (T, error) {
	v, err := backoff.Retry(ctx, func() (T, error) {
		v, err := try()
		e, ok := errors.AsType[*api.Error](err)
		switch {
		case err == nil:
			return v, nil
		case !ok || e.Kind != api.Unavailable && e.Kind != api.RateLimited:
			return v, backoff.Permanent(err)
		case e.RetryAfter > 0:
			return v, errors.Join(err, backoff.RetryAfter(int(e.RetryAfter.Seconds())+1))
		}
		return v, err
	}, backoff.WithBackOff(backoff.NewExponentialBackOff()), backoff.WithMaxElapsedTime(time.Minute))
	if e, ok := errors.AsType[*api.Error](err); ok {
		return v, e // without what backoff wraps around it
	}
	return v, err
}
