package gc

import (
	"context"
	"time"

	"satchel/api"
	"satchel/storage/blob"
	"satchel/storage/fault"
	"satchel/storage/postgres"
)

// beforeRows is the longest that an object may be durable before its row is
// committed: an hour more than package postgres allows, for the COMMIT and for clocks
// of stores, servers and the database that differ. No younger object is taken for
// an orphan, whatever the grace period.
const beforeRows = postgres.KnownWithin + time.Hour

// page is how many objects are asked about at once.
const page = 500

// discarded deletes the objects that no reader can have open any more.
func (c *collector) discarded(ctx context.Context) error {
	const step = "objects"
	for {
		packs, err := c.keeper.Discarded(ctx, c.before, page)
		if err != nil || len(packs) == 0 {
			return err
		}
		for _, p := range packs {
			if err := c.delete(ctx, p.ID); err != nil {
				return err
			}
			fault.At(fault.ObjectDeleted)
			if err := c.keeper.Deleted(ctx, p.ID); err != nil {
				return err
			}
			c.report.Deleted++
			c.report.DeletedBytes += p.Bytes
			c.Progress(step, c.report.Deleted, 0)
		}
	}
}

// orphans deletes the objects that no row knows: of uploads and repacks that
// were cut off, and of accounts that were removed.
func (c *collector) orphans(ctx context.Context) error {
	const step = "orphans"
	cutoff := c.now.Add(-max(c.Grace, beforeRows)) // a store has its own clock, or this machine's
	var listed int64
	var old []blob.Info
	look := func() error {
		err := c.deleteUnknown(ctx, old)
		old = old[:0]
		return err
	}
	for info, err := range c.blobs.List(ctx) {
		if err != nil {
			return err
		}
		if listed++; listed%page == 0 {
			c.Progress(step, listed, 0)
		}
		if info.Modified.After(cutoff) {
			continue
		}
		if old = append(old, info); len(old) == page {
			if err := look(); err != nil {
				return err
			}
		}
	}
	return look()
}

// delete deletes an object while nobody else keeps the store: who restores a backup may have just put it there.
func (c *collector) delete(ctx context.Context, id api.ID) error {
	if err := c.keeper.Held(ctx); err != nil {
		return err
	}
	return c.blobs.Delete(ctx, id.String())
}

func (c *collector) deleteUnknown(ctx context.Context, objects []blob.Info) error {
	sizes := make(map[api.ID]int64, len(objects))
	var ids []api.ID
	for _, o := range objects {
		// What has another kind of name is not of ours.
		if id, err := api.ParseID(o.Key); err == nil {
			ids = append(ids, id)
			sizes[id] = o.Size
		}
	}
	if len(ids) == 0 {
		return nil
	}
	unknown, err := c.keeper.UnknownPacks(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range unknown {
		if err := c.delete(ctx, id); err != nil {
			return err
		}
		fault.At(fault.OrphanDeleted)
		c.report.Orphans++
		c.report.OrphanBytes += sizes[id]
	}
	return nil
}
