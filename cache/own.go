package cache

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"satchel/api"
)

// errAnother is that what a login calls its drive is not the one of which the cache is.
var errAnother = errors.New("another drive")

// own is the way to the drive that a replica is of. A login may have another one under the same name, such as "home": then
// every call fails, with kind Unavailable, and so nothing is sent, fetched or taken for gone. Until the server has named the drive it is asked
// before each call.
type own struct {
	Remote
	dir      string // of the cache
	id, root api.ID
	proven   atomic.Bool
	asking   chan struct{} // of capacity 1: held while the server is asked
}

// ownWay is the way of this replica's drive; known tells that the server has just named it.
func (d *Drive) ownWay(known bool) *own {
	r := &own{Remote: d.cfg.Remote, dir: d.cfg.Dir, id: d.drive.ID, root: d.drive.Root, asking: make(chan struct{}, 1)}
	r.proven.Store(known)
	return r
}

func (r *own) Info(ctx context.Context) (api.DriveInfo, error) {
	info, err := r.Remote.Info(ctx)
	if err != nil {
		return info, err
	}
	same := info.ID == r.id && info.Root == r.root
	r.proven.Store(same)
	if !same {
		return api.DriveInfo{}, &api.Error{Kind: api.Unavailable, Err: errAnother,
			Message: "the drive of this login is another one than that in the cache " + r.dir + ": nothing is sent or fetched"}
	}
	return info, nil
}

// prove returns nil once the drive is known to be the replica's. Who may not see the drive hears that from the call itself.
func (r *own) prove(ctx context.Context) error {
	if r.proven.Load() {
		return nil
	}
	select {
	case r.asking <- struct{}{}:
	case <-ctx.Done():
		return &api.Error{Kind: api.Cancelled, Message: "the call was given up", Err: ctx.Err()}
	}
	defer func() { <-r.asking }()
	if r.proven.Load() {
		return nil
	}
	_, err := r.Info(ctx)
	if kind := api.KindOf(err); kind == api.NotFound || kind == api.Permission {
		return nil
	}
	return err
}

func (r *own) Node(ctx context.Context, id api.ID) (n api.Node, err error) {
	if err = r.prove(ctx); err == nil {
		n, err = r.Remote.Node(ctx, id)
	}
	return n, err
}

func (r *own) Children(ctx context.Context, dir api.ID, after api.Name, limit int, next func(api.Name)) (l api.Listing, err error) {
	if err = r.prove(ctx); err == nil {
		l, err = r.Remote.Children(ctx, dir, after, limit, next)
	}
	return l, err
}

func (r *own) Listings(ctx context.Context, dirs []api.ID, limit int) (all []api.Listed, err error) {
	if err = r.prove(ctx); err == nil {
		all, err = r.Remote.Listings(ctx, dirs, limit)
	}
	return all, err
}

func (r *own) Commit(ctx context.Context, b api.Batch) (c api.Committed, err error) {
	if err = r.prove(ctx); err == nil {
		c, err = r.Remote.Commit(ctx, b)
	}
	return c, err
}

func (r *own) Missing(ctx context.Context, hashes []api.Hash) (missing []api.Hash, err error) {
	if err = r.prove(ctx); err == nil {
		missing, err = r.Remote.Missing(ctx, hashes)
	}
	return missing, err
}

func (r *own) PutPack(ctx context.Context, pack []byte) error {
	if err := r.prove(ctx); err != nil {
		return err
	}
	return r.Remote.PutPack(ctx, pack)
}

func (r *own) Content(ctx context.Context, node, version api.ID, off, n int64) (body io.ReadCloser, err error) {
	if err = r.prove(ctx); err == nil {
		body, err = r.Remote.Content(ctx, node, version, off, n)
	}
	return body, err
}

func (r *own) Holes(ctx context.Context, node, version api.ID) (holes []api.Hole, err error) {
	if err = r.prove(ctx); err == nil {
		holes, err = r.Remote.Holes(ctx, node, version)
	}
	return holes, err
}

func (r *own) Contents(ctx context.Context, files []api.ContentRef, fn func(int, api.Version, io.Reader) error) error {
	if err := r.prove(ctx); err != nil {
		return err
	}
	return r.Remote.Contents(ctx, files, fn)
}

func (r *own) Changes(ctx context.Context, life, epoch api.ID, after int64, wait time.Duration) (c api.Changes, err error) {
	if err = r.prove(ctx); err == nil {
		c, err = r.Remote.Changes(ctx, life, epoch, after, wait)
	}
	return c, err
}
