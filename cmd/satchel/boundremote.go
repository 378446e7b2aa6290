package main

import (
	"context"
	"slices"
	"time"

	"satchel/api"
	"satchel/api/client"
)

// homeRemote is the user's own drive; what it hears may be of its binds.
type homeRemote struct {
	*client.Drive
	bound *boundFolders
}

func (r *homeRemote) Changes(ctx context.Context, life, epoch api.ID, after int64, wait time.Duration) (api.Changes, error) {
	c, err := r.Drive.Changes(ctx, life, epoch, after, wait)
	if err == nil && slices.ContainsFunc(c.Nodes, func(n api.Node) bool { return n.Type == api.Directory }) || len(c.Gone) > 0 || api.KindOf(err) == api.Resync {
		r.bound.stir() // a bind is a change of its directory
	}
	return c, err
}

// Commit lets the drive's own feed tell of a batch too if another cache follows it.
func (r *homeRemote) Commit(ctx context.Context, batch api.Batch) (api.Committed, error) {
	batch.Echo = batch.Echo || r.bound.twin.Load()
	return r.Drive.Commit(ctx, batch)
}

// boundRemote is a drive seen from a directory in it, as a guest or its owner.
type boundRemote struct {
	*client.Drive
	root api.ID
	lost func() // told when the directory may not be seen any more
}

func (r *boundRemote) Info(ctx context.Context) (api.DriveInfo, error) {
	info, err := r.Drive.Info(ctx)
	if err == nil {
		_, err = r.Drive.Node(ctx, r.root)
	}
	info.Root = r.root
	r.heed(err)
	return info, err
}

func (r *boundRemote) Changes(ctx context.Context, life, epoch api.ID, after int64, wait time.Duration) (api.Changes, error) {
	c, err := r.Drive.Changes(ctx, life, epoch, after, wait)
	r.heed(err)
	if slices.Contains(c.Gone, r.root) {
		r.lost()
	}
	return c, err
}

// Commit makes the drive's feed tell of it too: the device may show more of that
// drive elsewhere.
func (r *boundRemote) Commit(ctx context.Context, batch api.Batch) (api.Committed, error) {
	batch.Echo = true
	c, err := r.Drive.Commit(ctx, batch)
	r.heed(err)
	return c, err
}

// PutPack is of no use where nothing may be changed any more, but the batch that names the
// chunks has to come to its answer: each change refused. So it goes on.
func (r *boundRemote) PutPack(ctx context.Context, pack []byte) error {
	err := r.Drive.PutPack(ctx, pack)
	r.heed(err)
	if api.KindOf(err) == api.Permission {
		return nil
	}
	return err
}

func (r *boundRemote) heed(err error) {
	switch api.KindOf(err) {
	case api.NotFound, api.Permission, api.Resync:
		r.lost()
	}
}
