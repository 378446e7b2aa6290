// Package mirror copies the objects of one blob store to another.
package mirror

import (
	"bytes"
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
	Damaged     []string `json:"damaged"`  // packs that are not whole at the destination now: they are damaged in the source
	Seconds     float64  `json:"seconds"`
}

// Options of a copy.
type Options struct {
	Parallel int                                  // objects at a time; at least 1
	Progress func(step string, done, total int64) // told how many bytes are done; may be nil

	// Only names the packs that are meant, with their true sizes in bytes; nil
	// means all objects, and that the source's sizes are true.
	Only map[string]int64

	// Quick tells which objects are taken for the same when they are there with
	// an equal size; nil means none. All others are read.
	Quick func(key string) bool

	// Each is called after each object that was copied; may be nil.
	Each func()

	// Whole is told each object that was read, and is whole, at the destination; may be nil.
	Whole func(key string)
}

// Copy makes every object of from be in to, whole. What is there already is
// compared, all else is copied, read back and compared. A whole pack that is
// there stays, whatever from has; one that is not is replaced by a whole one
// only, at once. It may be broken off and called again. What is put into from
// meanwhile may be left out. A store's mark is not copied: whose the copy is, the
// caller says.
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
		whole, meant := o.Only[info.Key]
		if o.Only != nil && !meant || info.Key == blob.MarkKey {
			continue
		}
		r.Objects++
		r.Bytes += info.Size
		if meant {
			info.Size = whole
		}
		if size, ok := there[info.Key]; ok && size == info.Size && o.Quick != nil && o.Quick(info.Key) {
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
			state, err := object(gctx, from, to, info, known, size)
			if err != nil {
				return fmt.Errorf("copy the object %s: %w", info.Key, err)
			}
			mu.Lock()
			defer mu.Unlock()
			done += info.Size
			progress(step, done, total)
			switch {
			case state.damaged:
				r.Damaged = append(r.Damaged, info.Key)
			case !state.gone && o.Whole != nil:
				o.Whole(info.Key)
			}
			switch {
			case state.gone:
				return nil
			case state.kept:
				r.Skipped++
				return nil
			case known:
				r.Replaced++
			}
			r.Copied++
			r.CopiedBytes += info.Size
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
	kept    bool // it was there, and there is nothing better
	gone    bool // it was collected as garbage since it was listed
	damaged bool // it is a pack, and not whole
}

// object copies an object unless it is there, with size bytes, and reads the
// copy back. What is not as it was read is removed.
func object(ctx context.Context, from, to blob.Store, info blob.Info, known bool, size int64) (o outcome, err error) {
	_, noPack := api.ParseID(info.Key)
	switch {
	case known && noPack == nil && size >= info.Size:
		o.kept, err = Whole(ctx, to, info.Key)
	case known && size == info.Size:
		o.kept, err = equal(ctx, from, to, info.Key)
	}
	if err != nil || o.kept {
		return o, err
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
	read := &sum{r: source}
	if known && noPack == nil { // what is there may be all that there is of most of it
		pack, err := io.ReadAll(io.LimitReader(source, chunk.MaxPack+1))
		if err != nil {
			return o, err
		}
		if int64(len(pack)) < info.Size || readPack(bytes.NewReader(pack)) != nil {
			o.kept, o.damaged = true, true
			return o, nil
		}
		read.r = bytes.NewReader(pack)
	}
	if err := to.Put(ctx, info.Key, read); err != nil {
		return o, err
	}
	whole, err := verify(ctx, to, info.Key, read)
	o.damaged = noPack == nil && (!whole || read.n < info.Size)
	return o, err
}

// verify reads a copy back, and tells whether it is a whole pack.
func verify(ctx context.Context, to blob.Store, key string, read *sum) (whole bool, err error) {
	copied, err := to.Get(ctx, key, 0, -1)
	if err != nil {
		return false, err
	}
	defer copied.Close()
	back := &sum{r: copied}
	if whole, err = DrainPack(back); err != nil {
		return false, err
	}
	if back.n != read.n || back.sum() != read.sum() {
		if err := to.Delete(context.WithoutCancel(ctx), key); err != nil {
			return false, fmt.Errorf("the copy is not what was written, and can't be removed: %w", err)
		}
		return false, errors.New("the copy is not what was written; it was removed")
	}
	return whole, nil
}

// Whole reads an object and tells whether it is a pack and all its chunks are
// what their hashes say. One that is missing is none. A pack that was cut off
// between two chunks is whole too: its size tells.
func Whole(ctx context.Context, s blob.Store, key string) (bool, error) {
	body, err := s.Get(ctx, key, 0, -1)
	if api.KindOf(err) == api.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer body.Close()
	return DrainPack(body)
}

// DrainPack reads a pack to its end, as [Whole] does.
func DrainPack(r io.Reader) (whole bool, err error) {
	packErr := readPack(r)
	if _, err := io.Copy(io.Discard, r); err != nil {
		return false, err
	}
	if kind := api.KindOf(packErr); packErr != nil && kind != api.Invalid && kind != api.TooLarge {
		return false, packErr
	}
	return packErr == nil, nil
}

func readPack(r io.Reader) error {
	return chunk.ReadPack(r, func(api.Hash, int64, []byte) error { return nil })
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
