// Package mirror copies the objects of one blob store to another.
package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/storage/blob"
)

// Report tells what a copy did. Sizes are in bytes.
type Report struct {
	Objects     int64    `json:"objects"` // in the source
	Bytes       int64    `json:"bytes"`
	Skipped     int64    `json:"skipped"` // that were there, of equal size
	Copied      int64    `json:"copied"`
	CopiedBytes int64    `json:"copied_bytes"`
	Damaged     []string `json:"damaged"` // copied as they are, but not what their hashes say: the source is damaged
	Seconds     float64  `json:"seconds"`
}

// Options of a copy.
type Options struct {
	Parallel int                                  // objects at a time; at least 1
	Progress func(step string, done, total int64) // told how many bytes are there; may be nil
}

// Copy makes every object of from be in to, whole: what is there with an equal
// size is taken to be, all else is copied, read back and compared. It may
// be broken off and called again. What is put into from meanwhile may be left out.
func Copy(ctx context.Context, from, to blob.Store, o Options) (r Report, err error) {
	begin := time.Now()
	r.Damaged = []string{}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	there := map[string]int64{}
	for info, err := range to.List(ctx) {
		if err != nil {
			return r, fmt.Errorf("list the destination: %w", err)
		}
		there[info.Key] = info.Size
	}
	var todo []blob.Info
	var total int64
	for info, err := range from.List(ctx) {
		if err != nil {
			return r, fmt.Errorf("list the source: %w", err)
		}
		r.Objects++
		r.Bytes += info.Size
		if size, ok := there[info.Key]; ok && size == info.Size {
			r.Skipped++
			continue
		}
		todo = append(todo, info)
		total += info.Size
	}
	const step = "copy"
	o.Progress(step, 0, total)
	var mu sync.Mutex // of r
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, o.Parallel))
	for _, info := range todo {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			_, replace := there[info.Key] // of another size: not ours, or of a store that tears writes
			damaged, err := one(gctx, from, to, info, replace)
			if err != nil {
				return fmt.Errorf("copy the object %s: %w", info.Key, err)
			}
			mu.Lock()
			defer mu.Unlock()
			r.Copied++
			r.CopiedBytes += info.Size
			if damaged {
				r.Damaged = append(r.Damaged, info.Key)
			}
			o.Progress(step, r.CopiedBytes, total)
			return nil
		})
	}
	err = g.Wait()
	slices.Sort(r.Damaged)
	r.Seconds = time.Since(begin).Seconds()
	return r, cmp.Or(err, ctx.Err())
}

// one copies an object and reads the copy back. What is not as it was read is
// removed; damaged tells that it was no whole pack to begin with.
func one(ctx context.Context, from, to blob.Store, info blob.Info, replace bool) (damaged bool, err error) {
	if replace {
		if err := to.Delete(ctx, info.Key); err != nil {
			return false, err
		}
	}
	source, err := from.Get(ctx, info.Key, 0, -1)
	if api.KindOf(err) == api.NotFound { // collected as garbage since it was listed
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer source.Close()
	read := &sum{r: source}
	if err := to.Put(ctx, info.Key, read); err != nil {
		return false, err
	}
	copied, err := to.Get(ctx, info.Key, 0, -1)
	if err != nil {
		return false, err
	}
	defer copied.Close()
	back := &sum{r: copied}
	packErr := chunk.ReadPack(back, func(api.Hash, int64, []byte) error { return nil })
	if _, err := io.Copy(io.Discard, back); err != nil {
		return false, err
	}
	if back.n != read.n || back.sum() != read.sum() {
		if err := to.Delete(context.WithoutCancel(ctx), info.Key); err != nil {
			return false, fmt.Errorf("the copy is not what was written, and can't be removed: %w", err)
		}
		return false, errors.New("the copy is not what was written; it was removed")
	}
	if kind := api.KindOf(packErr); packErr != nil && kind != api.Invalid && kind != api.TooLarge {
		return false, packErr
	}
	return packErr != nil, nil
}
