package storage

import (
	"context"

	"satchel/api"
	"satchel/storage/postgres"
)

// Condition may refuse a change. It is asked in the change's transaction, before it: until that is over nobody else changes
// the drive. It is called while who wants the change waits, by whoever makes it, and perhaps more than once.
type Condition func(Moment) error

// Moment is a drive as it is before a change.
type Moment struct {
	Begun bool                                           // the change goes on, which was begun when the condition held: what it did itself is no reason to end it
	Locks []DAVLock                                      // those that the condition is about, without their holders
	Node  func(path []api.Name) (n *api.Node, err error) // what a path without symlinks leads to, from below the root; nil: nothing
}

// If is the drive for who changes it by paths (and by [Drive.PatchProperties]) on a condition. It is told the locks of the caller's
// drive home: where that is another one, since the path leads through a bind, it may miss one that comes at the same time.
func (d *Drive) If(home *Drive, c Condition) *Drive {
	conditional := *d
	conditional.condition = &condition{home: home.id, ask: c}
	return &conditional
}

// begun is the drive for a change that goes on in another transaction.
func (d *Drive) begun() *Drive {
	going := *d
	if c := d.condition; c != nil {
		going.condition = &condition{home: c.home, ask: c.ask, begun: true}
	}
	return &going
}

// condition is what changes through a handle are held to; nil: nothing.
type condition struct {
	home  api.ID
	ask   Condition
	begun bool
}

func (c *condition) locks(ctx context.Context, tx *postgres.Tx) ([]DAVLock, error) {
	if c == nil {
		return nil, nil
	}
	return tx.DAVLocks(ctx, c.home, false)
}

// hold asks the condition, with the drive as walk sees it.
func (c *condition) hold(locks []DAVLock, walk func([]api.Name) ([]api.Node, error)) error {
	if c == nil {
		return nil
	}
	return c.ask(Moment{Begun: c.begun, Locks: locks, Node: func(path []api.Name) (*api.Node, error) {
		walked, err := walk(path)
		if err != nil || len(walked) < len(path) || len(path) == 0 {
			return nil, err
		}
		return &walked[len(path)-1], nil
	}})
}

// hold asks the condition of a change of the locked drive.
func (d *Drive) hold(ctx context.Context, tx *postgres.Tx) error {
	locks, err := d.condition.locks(ctx, tx)
	if err != nil {
		return err
	}
	return d.condition.hold(locks, func(path []api.Name) ([]api.Node, error) { return tx.Walk(ctx, d.id, d.root, path) })
}
