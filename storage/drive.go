package storage

import (
	"context"
	"strings"

	"satchel/api"
	"satchel/storage/postgres"
)

// Drive is one drive as one caller may use it. It is safe for concurrent use.
type Drive struct {
	s      *Service
	caller Caller
	id     api.ID
	root   api.ID
	owner  api.ID
	link   string // the token of the link by which a stranger came

	condition *condition
}

// Owner is whose drive it is.
func (d *Drive) Owner() api.ID { return d.owner }

// Caller is whose handle of the drive it is.
func (d *Drive) Caller() Caller { return d.caller }

// Same tells whether two handles are of one drive, seen from one root.
func (d *Drive) Same(e *Drive) bool { return d.id == e.id && d.root == e.root }

// own tells whether the caller owns the drive. Everyone else is a guest, who
// acts with what grants give him.
func (d *Drive) own() bool { return d.caller.User == d.owner }

// as runs fn in a transaction as the caller.
func (d *Drive) as(ctx context.Context, fn func(context.Context, *postgres.Tx) error) error {
	return d.s.db.As(ctx, d.caller.User, d.guarded(fn))
}

func (d *Drive) guarded(fn func(context.Context, *postgres.Tx) error) func(context.Context, *postgres.Tx) error {
	if d.own() {
		return fn
	}
	return func(ctx context.Context, tx *postgres.Tx) error {
		tx.Guest()
		return fn(ctx, tx)
	}
}

// Pages of a directory.
const (
	DefaultPage = 1000
	MaxPage     = api.MaxPage
)

// ID is the drive's id.
func (d *Drive) ID() api.ID { return d.id }

// Root is the root directory's id.
func (d *Drive) Root() api.ID { return d.root }

// snapshot runs fn on one snapshot of the drive.
func (d *Drive) snapshot(ctx context.Context, fn func(context.Context, *postgres.Tx) error) error {
	if d.link != "" {
		return d.s.db.ByLink(ctx, d.link, d.guarded(fn))
	}
	return d.s.db.AsReadOnly(ctx, d.caller.User, d.guarded(fn))
}

// Info describes the drive as it is now. Its root is told to its owner alone: by that a device knows the server
// again under another address.
func (d *Drive) Info(ctx context.Context) (info api.DriveInfo, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		tx.Last()
		drive, err := tx.Drive(ctx, d.id)
		info = drive.DriveInfo
		return err
	})
	if !d.own() {
		info.Root = api.ID{}
	}
	return info, err
}

// Node is a live node. A deleted one is [api.NotFound], as is a missing one.
func (d *Drive) Node(ctx context.Context, id api.ID) (n api.Node, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		tx.Last()
		n, err = d.live(ctx, tx, id)
		return err
	})
	return n, err
}

func (d *Drive) live(ctx context.Context, tx *postgres.Tx, id api.ID) (api.Node, error) {
	n, err := tx.Node(ctx, d.id, id)
	if err == nil && n.Nlink == 0 {
		n, err = api.Node{}, errNoNode()
	}
	return n, err
}

func errNoNode() error {
	return api.Errorf(api.NotFound, "there is no such file or directory")
}

// Lookup is the node at a path; no names mean the root. Symlinks are not
// followed. A missing node, also on the way, is [api.NotFound].
func (d *Drive) Lookup(ctx context.Context, path []api.Name) (n api.Node, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		tx.Last()
		n, err = d.lookup(ctx, tx, path)
		return err
	})
	return n, err
}

func (d *Drive) lookup(ctx context.Context, tx *postgres.Tx, path []api.Name) (api.Node, error) {
	if len(path) == 0 {
		return tx.Node(ctx, d.id, d.root)
	}
	nodes, err := tx.Walk(ctx, d.id, d.root, path)
	switch {
	case err != nil:
		return api.Node{}, err
	case len(nodes) < len(path):
		return api.Node{}, errNoNode()
	}
	return nodes[len(path)-1], nil
}

// A BriefSink takes the entries of a directory one by one; an error ends it. What it took before Begin does not count: a
// transaction may run more than once.
type BriefSink interface {
	Begin()
	Add(postgres.Brief) error
}

// ReadBrief lists a whole directory for people. For a guest who may not list it it is [api.Permission].
func (d *Drive) ReadBrief(ctx context.Context, dir api.ID, to BriefSink) error {
	return d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		self, err := d.live(ctx, tx, dir)
		if err == nil && self.Type != api.Directory {
			err = api.Errorf(api.NotDirectory, "this is not a directory")
		}
		if err == nil {
			err = d.holding(ctx, tx, dir, api.PermList)
		}
		if err == nil {
			tx.Last()
			to.Begin()
			err = tx.EachBrief(ctx, d.id, dir, to.Add)
		}
		return err
	})
}

// Children is a page of the directory dir: itself, at most limit entries
// ([DefaultPage] if it is not positive, [MaxPage] at most) after a name in
// byte order of their escaped names, and their nodes. What is no directory is
// [api.NotDirectory], and what a guest may not list [api.Permission].
func (d *Drive) Children(ctx context.Context, dir api.ID, after api.Name, limit int) (api.Listing, error) {
	return d.children(ctx, dir, after, limit, api.PermList)
}

// Mirrored is Children for a device, which a guest who may read has too: his mount finds by it what he opens by its
// name, and lists it to nobody who may not.
func (d *Drive) Mirrored(ctx context.Context, dir api.ID, after api.Name, limit int) (api.Listing, error) {
	return d.children(ctx, dir, after, limit, api.PermList|api.PermRead)
}

func (d *Drive) children(ctx context.Context, dir api.ID, after api.Name, limit int, anyOf api.Permissions) (l api.Listing, err error) {
	if limit <= 0 {
		limit = DefaultPage
	}
	limit = min(limit, MaxPage)
	if strings.ContainsRune(string(after), 0) {
		return l, api.Errorf(api.Invalid, "no name has a NUL in it")
	}
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		drive, err := tx.Drive(ctx, d.id)
		if err != nil {
			return err
		}
		self, err := d.live(ctx, tx, dir)
		if err != nil {
			return err
		}
		if self.Type != api.Directory {
			return api.Errorf(api.NotDirectory, "this is not a directory")
		}
		if err := d.holding(ctx, tx, dir, anyOf); err != nil {
			return err
		}
		tx.Last()
		children, err := tx.Children(ctx, d.id, dir, after, limit+1)
		if err != nil {
			return err
		}
		l = page(drive, self, children, limit)
		return nil
	})
	return l, err
}

// page is the page of a directory that has at most limit of some children, which are those that follow and one more if there is more.
func page(drive postgres.Drive, self api.Node, children []postgres.Child, limit int) api.Listing {
	l := api.Listing{State: api.State{Epoch: drive.Epoch, Seq: drive.Seq}, More: len(children) > limit}
	children = children[:min(limit, len(children))]
	l.Nodes = append(make([]api.Node, 0, len(children)+1), self)
	l.Entries = make([]api.EntryState, len(children))
	seen := make(map[api.ID]bool, len(children))
	for i, c := range children {
		l.Entries[i] = api.EntryState{Parent: self.ID, Name: c.Name, Node: c.Node.ID}
		if !seen[c.Node.ID] { // two hard links in one directory
			seen[c.Node.ID] = true
			l.Nodes = append(l.Nodes, c.Node)
		}
	}
	return l
}
