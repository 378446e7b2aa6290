package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
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
	"satchel/storage/fault"
	"satchel/storage/mirror"
	"satchel/storage/postgres"
)

// Target is an installation to be restored.
type Target struct {
	Rows  *postgres.Restore
	Blobs blob.Store // nil is the postgres: store in the same database

	// Key is given the sealing key of a backup that has it, and does nothing that
	// counts. What it returns makes the key the installation's, and is called when
	// all else is committed: until then the one that is there is needed.
	Key func(key []byte) (store func() error, err error)

	// Mark makes Blobs the restored installation's. It is called after the commit,
	// since until then the database does not know what is there. Nil does nothing.
	Mark func(context.Context) error

	// AllowMissing restores although content is missing or damaged that was whole
	// when the backup was made.
	AllowMissing bool
}

// restoring is a restore at work.
type restoring struct {
	Target
	Options
	report Report
	lacks  []api.ID // content that the backup never had, or not whole
	store  func() error

	packs   []postgres.KeptPack // that the rows name, once they are there
	there   map[string]int64    // objects that were in the store
	damaged []string            // packs that are not whole there now
	whole   map[string]bool     // packs that this restore has read there, or has put there, and that are
	content int64               // bytes of content that are done
	copies  *errgroup.Group
	copying context.Context
	mu      sync.Mutex // of report, damaged, whole and content while packs are copied
}

// parallel is how many packs are stored at once, each in memory.
const parallel = 3

// Restore brings back what [Save] wrote. Until it has returned nil nothing
// happened but that the store may have more objects, and whole packs where it
// had damaged ones; it can be called again, with a new transaction.
func Restore(ctx context.Context, from io.Reader, to Target, o Options) (Report, error) {
	begin := time.Now()
	r := newRestoring(to, o)
	r.copies, r.copying = errgroup.WithContext(ctx)
	r.copies.SetLimit(parallel)
	total, err := walk(from, r.visitor(ctx))
	err = errors.Join(r.copies.Wait(), err)
	if err == nil {
		r.report.Summary, r.lacks = total, total.lacks()
		err = r.finish(ctx)
	}
	r.report.time(begin)
	return r.report, err
}

// RestoreFrom brings back what [SaveTo] put into a store, "" is the newest.
func RestoreFrom(ctx context.Context, from blob.Store, name string, to Target, o Options) (Report, error) {
	begin := time.Now()
	r := newRestoring(to, o)
	err := r.from(ctx, from, name)
	r.report.time(begin)
	return r.report, err
}

func newRestoring(to Target, o Options) *restoring {
	r := &restoring{Target: to, Options: o, whole: map[string]bool{}}
	r.report.Missing, r.report.Damaged = []api.ID{}, []api.ID{}
	return r
}

func (r *restoring) from(ctx context.Context, from blob.Store, name string) error {
	n, name, err := find(ctx, from, name)
	if err != nil {
		return err
	}
	body, err := from.Get(ctx, n.Rows, 0, -1)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := walk(body, r.visitor(ctx)); err != nil {
		return err
	}
	r.report.Name, r.report.Summary, r.lacks = name, n.Summary, n.lacks()
	if err := r.filled(ctx); err != nil {
		return err
	}
	if n.Content == Beside {
		copied, err := mirror.Copy(ctx, from, r.Blobs, mirror.Options{
			Parallel: parallel,
			Only:     sizes(r.packs),
			Progress: func(_ string, done, total int64) { r.progress("content", done, total) },
			Each:     func() { fault.At(fault.PackRestored) },
			Whole:    func(key string) { r.whole[key] = true },
		})
		r.report.Copied, r.damaged = copied.Copied, copied.Damaged
		if err != nil {
			return fmt.Errorf("restore the content: %w", err)
		}
	}
	return r.finish(ctx)
}

// visitor fills the tables and stores packs.
func (r *restoring) visitor(ctx context.Context) visitor {
	return visitor{
		header: func(h Header) error {
			r.report.Header = h
			if err := r.Rows.Begin(ctx, h.Schema); err != nil {
				return err
			}
			fault.At(fault.SchemaMade)
			return nil
		},
		key: func(key []byte) (err error) {
			r.store, err = r.Key(key)
			return err
		},
		table: func(t postgres.Table, rows io.Reader) error {
			n, err := r.Rows.Copy(ctx, t, rows)
			r.report.Rows += n
			r.progress("rows", r.report.Rows, 0)
			return err
		},
		pack: func(p postgres.KeptPack, body io.Reader) error {
			if err := r.filled(ctx); err != nil {
				return err
			}
			// One that is greater than any pack was damaged when it was saved.
			content, err := io.ReadAll(io.LimitReader(body, 2*chunk.MaxPack))
			if err != nil {
				return err
			}
			r.copies.Go(func() error { return r.pack(r.copying, p, content) })
			return r.copying.Err()
		},
	}
}

// filled ends the tables: the database is whole, and not committed. It may be
// called again.
func (r *restoring) filled(ctx context.Context) (err error) {
	if r.there != nil {
		return nil
	}
	if err := r.Rows.Finish(ctx); err != nil {
		return err
	}
	if r.packs, err = r.Rows.Packs(ctx); err != nil {
		return err
	}
	if r.Blobs == nil {
		if r.Blobs, err = r.Rows.Objects(ctx); err != nil {
			return err
		}
	}
	r.there, err = list(ctx, r.Blobs)
	fault.At(fault.RowsRestored)
	return err
}

// pack stores content. A whole pack that is there stays; one that is not gives
// way to a whole one only, since the backup may be the one that is damaged.
func (r *restoring) pack(ctx context.Context, p postgres.KeptPack, content []byte) error {
	key := p.ID.String()
	size, known := r.there[key]
	whole := false
	var err error
	if known && size == p.Bytes {
		whole, err = mirror.Whole(ctx, r.Blobs, key)
	}
	if err == nil && !whole {
		if whole, err = mirror.DrainPack(bytes.NewReader(content)); int64(len(content)) != p.Bytes {
			whole = false
		}
		if err == nil && (whole || !known) {
			err = r.put(ctx, key, content)
		}
	}
	if err != nil {
		return fmt.Errorf("restore the pack %s: %w", key, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if whole {
		r.whole[key] = true
	} else {
		r.damaged = append(r.damaged, key)
	}
	r.report.Copied++
	r.content += int64(len(content))
	r.progress("content", r.content, r.report.Bytes)
	return nil
}

// put stores an object and reads it back.
func (r *restoring) put(ctx context.Context, key string, content []byte) error {
	if err := r.Blobs.Put(ctx, key, bytes.NewReader(content)); err != nil {
		return err
	}
	same, err := holds(ctx, r.Blobs, key, sha256.Sum256(content))
	if err == nil && !same {
		err = errors.New("the store does not give back what was put")
	}
	fault.At(fault.PackRestored)
	return err
}

// holds tells whether an object has a SHA-256.
func holds(ctx context.Context, s blob.Store, key string, sum [sha256.Size]byte) (bool, error) {
	body, err := s.Get(ctx, key, 0, -1)
	if api.KindOf(err) == api.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, body); err != nil {
		return false, err
	}
	return [sha256.Size]byte(h.Sum(nil)) == sum, nil
}

// finish looks whether all content is there, and commits.
func (r *restoring) finish(ctx context.Context) error {
	if err := r.filled(ctx); err != nil { // there was no content
		return err
	}
	there, err := list(ctx, r.Blobs)
	if err != nil {
		return err
	}
	missing, damaged := lacking(r.packs, there, r.damaged)
	r.report.Missing, r.report.Damaged = missing, damaged
	var lost []api.ID // that the backup once had
	for _, id := range union(missing, damaged) {
		if !slices.Contains(r.lacks, id) {
			lost = append(lost, id)
		}
	}
	if len(lost) > 0 && !r.AllowMissing {
		return api.Errorf(api.NotFound, "%d of %d packs that the backup names are not in the blob store, or not whole there, such as %s: nothing was restored", len(lost), len(r.packs), lost[0])
	}
	fault.At(fault.ContentThere)
	var found []api.ID
	for _, p := range r.packs {
		if r.whole[p.ID.String()] {
			found = append(found, p.ID)
		}
	}
	if err := r.Rows.MarkLost(ctx, found, union(missing, damaged)); err != nil {
		return err
	}
	if err := r.Rows.Commit(ctx); err != nil {
		return err
	}
	if err := r.committed(ctx); err != nil {
		return err
	}
	fault.At(fault.RestoreDone)
	return nil
}

// committed does what comes after the commit; what fails keeps nothing else from
// being done.
func (r *restoring) committed(ctx context.Context) error {
	var errs []error
	if r.Mark != nil {
		if err := r.Mark(ctx); err != nil {
			errs = append(errs, fmt.Errorf("all is restored but the mark of the blob store (satcheld blobs claim makes it): %w", err))
		}
	}
	if r.store != nil {
		if err := r.store(); err != nil {
			errs = append(errs, fmt.Errorf("all is restored but the sealing key, without which tokens are refused until they are renewed: %w", err))
		}
	}
	return errors.Join(errs...)
}
