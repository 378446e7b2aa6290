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
	Skipped     int64    `json:"skipped"` // that were there
	Copied      int64    `json:"copied"`
	CopiedBytes int64    `json:"copied_bytes"`
	Replaced    int64    `json:"replaced"` // of those copied: that were there with other bytes
	Damaged     []string `json:"damaged"`  // copied as they are, but not what their hashes say: the source is damaged
	Seconds     float64  `json:"seconds"`
}

// Options of a copy.
type Options struct {
	Parallel int                                  // objects at a time; at least 1
	Progress func(step string, done, total int64) // told how many bytes are done; may be nil

	// Only says which objects are meant; nil means all.
	Only func(key string) bool

	// Quick takes an object that is there with an equal size for the same.
	// Without it, its bytes are compared.
	Quick bool

	// Each is called after each object that was copied; may be nil.
	Each func()
}

// Copy makes every object of from be in to, whole. What is there already is
// compared, all else is copied, read back and compared. It may be broken off and
// called again. What is put into from meanwhile may be left out.
func Copy(ctx context.Context, from, to blob.Store, o Options) (r Report, err error) {
	begin := time.Now()
	r.Damaged = []string{}
	defer func() { r.Seconds = time.Since(begin).Seconds() }()
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
		if o.Only != nil && !o.Only(info.Key) {
			continue
		}
		r.Objects++
		r.Bytes += info.Size
		if size, ok := there[info.Key]; ok && size == info.Size && o.Quick {
			r.Skipped++
			continue
		}
		todo = append(todo, info)
		total += info.Size
	}
	err = copyAll(ctx, from, to, o, &r, todo, there, total)
	return r, err
}

// copyAll copies several objects at a time; r has what is done.
func copyAll(ctx context.Context, from, to blob.Store, o Options, r *Report, todo []blob.Info, there map[string]int64, total int64) error {
	const step = "copy"
	progress := o.Progress
	if progress == nil {
		progress = func(string, int64, int64) {}
	}
	progress(step, 0, total)
	var mu sync.Mutex // of r and done
	var done int64
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, o.Parallel))
	for _, info := range todo {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			size, known := there[info.Key]
			state, err := object(gctx, from, to, info, known, known && size == info.Size)
			if err != nil {
				return fmt.Errorf("copy the object %s: %w", info.Key, err)
			}
			mu.Lock()
			defer mu.Unlock()
			done += info.Size
			progress(step, done, total)
			switch {
			case state.gone:
				return nil
			case state.same:
				r.Skipped++
				return nil
			case known:
				r.Replaced++
			}
			r.Copied++
			r.CopiedBytes += info.Size
			if state.damaged {
				r.Damaged = append(r.Damaged, info.Key)
			}
			if o.Each != nil {
				o.Each()
			}
			return nil
		})
	}
	err := g.Wait()
	slices.Sort(r.Damaged)
	return cmp.Or(err, ctx.Err())
}

// outcome is what became of one object.
type outcome struct {
	same    bool // it was there
	gone    bool // it was collected as garbage since it was listed
	damaged bool // it is no whole pack in the source
}

// object copies an object unless it is there, and reads the copy back. What
// is not as it was read is removed.
func object(ctx context.Context, from, to blob.Store, info blob.Info, known, alike bool) (o outcome, err error) {
	if alike {
		if o.same, err = equal(ctx, from, to, info.Key); err != nil || o.same {
			return o, err
		}
	}
	source, err := from.Get(ctx, info.Key, 0, -1)
	if api.KindOf(err) == api.NotFound {
		o.gone = true
		return o, nil
	}
	if err != nil {
		return o, err
	}
	defer source.Close()
	if known { // not ours, or of a store that tears writes
		if err := to.Delete(ctx, info.Key); err != nil {
			return o, err
		}
	}
	read := &sum{r: source}
	if err := to.Put(ctx, info.Key, read); err != nil {
		return o, err
	}
	return verify(ctx, to, info.Key, read)
}

// verify reads a copy back.
func verify(ctx context.Context, to blob.Store, key string, read *sum) (o outcome, err error) {
	copied, err := to.Get(ctx, key, 0, -1)
	if err != nil {
		return o, err
	}
	defer copied.Close()
	back := &sum{r: copied}
	packErr := chunk.ReadPack(back, func(api.Hash, int64, []byte) error { return nil })
	if _, err := io.Copy(io.Discard, back); err != nil {
		return o, err
	}
	if back.n != read.n || back.sum() != read.sum() {
		if err := to.Delete(context.WithoutCancel(ctx), key); err != nil {
			return o, fmt.Errorf("the copy is not what was written, and can't be removed: %w", err)
		}
		return o, errors.New("the copy is not what was written; it was removed")
	}
	if kind := api.KindOf(packErr); packErr != nil && kind != api.Invalid && kind != api.TooLarge {
		return o, packErr
	}
	o.damaged = packErr != nil
	return o, nil
}

// equal compares an object's bytes in two stores. One that is missing in
// either is not equal.
func equal(ctx context.Context, a, b blob.Store, key string) (bool, error) {
	var sums [2]sum
	for i, s := range [2]blob.Store{b, a} { // the destination first: it may be missing
		r, err := s.Get(ctx, key, 0, -1)
		if api.KindOf(err) == api.NotFound {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		sums[i].r = r
		_, err = io.Copy(io.Discard, &sums[i])
		r.Close()
		if err != nil {
			return false, err
		}
	}
	return sums[0].n == sums[1].n && sums[0].sum() == sums[1].sum(), nil
}
