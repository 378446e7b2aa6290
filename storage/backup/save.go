package backup

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"

	"satchel/api"
	"satchel/storage/blob"
	"satchel/storage/fault"
	"satchel/storage/mirror"
	"satchel/storage/postgres"
)

// Source is an installation to be saved.
type Source struct {
	Rows     *postgres.Backup
	Blobs    blob.Store // where content is kept; nil if nobody knows
	RowsOnly bool       // leaves the content out
	Key      []byte     // the sealing key, to save it too; nil leaves it out
}

// content is where the content of a backup goes, if it has some.
func (s Source) content(where Content) Content {
	if s.Blobs == nil || s.RowsOnly {
		return None
	}
	return where
}

// Save writes a backup to w. Content that is missing or damaged does not keep
// the rest from being saved; the report names it.
func Save(ctx context.Context, src Source, w io.Writer, o Options) (r Report, err error) {
	defer r.time(time.Now())
	r.Content = src.content(Inside)
	s, packs, err := start(ctx, src, w, o, &r)
	if err != nil {
		return r, err
	}
	if r.Content == Inside {
		if err := s.packs(ctx, src, packs, o, &r); err != nil {
			return r, err
		}
	}
	_, err = s.finish(&r)
	fault.At(fault.BackupWhole)
	return r, err
}

func (r *Report) time(begin time.Time) { r.Seconds = time.Since(begin).Seconds() }

// stream is a backup that is being written.
type stream struct {
	*writer
	counted *counter
	buffer  *bufio.Writer
}

// counter counts what is written through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// start writes the header and all rows, and tells which packs they name; these
// stay until src.Rows is closed.
func start(ctx context.Context, src Source, w io.Writer, o Options, r *Report) (s *stream, packs []postgres.KeptPack, err error) {
	r.Missing, r.Damaged = []api.ID{}, []api.ID{}
	if err := hold(ctx, src.Rows, o.Waiting); err != nil {
		return nil, nil, err
	}
	s = &stream{counted: &counter{w: w}}
	s.buffer = bufio.NewWriterSize(s.counted, 1<<20)
	s.writer = newWriter(s.buffer)
	err = src.Rows.Snapshot(ctx, func(snapshot *postgres.Snapshot) error {
		packs = snapshot.Packs
		r.Created, r.Schema = time.Now().UTC().Truncate(time.Second), snapshot.Schema
		r.Packs, r.WithKey = int64(len(packs)), src.Key != nil
		for _, p := range packs {
			r.Bytes += p.Bytes
		}
		if err := s.json(frameHeader, r.Header); err != nil {
			return err
		}
		if src.Key != nil {
			if err := s.frame(frameKey, src.Key); err != nil {
				return err
			}
		}
		return s.rows(ctx, snapshot, o, r)
	})
	if err == nil {
		err = s.buffer.Flush()
	}
	fault.At(fault.RowsSaved)
	return s, packs, err
}

// holdPause is how often it is asked whether garbage collection has ended.
const holdPause = 500 * time.Millisecond

// hold keeps garbage collection from deleting what is to be copied.
func hold(ctx context.Context, rows *postgres.Backup, waiting func()) error {
	for told := false; ; told = true {
		ok, err := rows.TryHold(ctx)
		if err != nil || ok {
			return err
		}
		if !told && waiting != nil {
			waiting()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(holdPause):
		}
	}
}

// rows writes every table.
func (s *stream) rows(ctx context.Context, snapshot *postgres.Snapshot, o Options, r *Report) error {
	packed, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return err
	}
	for _, t := range snapshot.Tables {
		if err := s.json(frameTable, t); err != nil {
			return err
		}
		packed.Reset(s.writer)
		n, err := snapshot.Copy(ctx, packed, t)
		if err := cmp.Or(err, packed.Close()); err != nil {
			return err
		}
		if err := s.frame(frameEnd, nil); err != nil {
			return err
		}
		r.Rows += n
		o.progress("rows", r.Rows, 0)
	}
	return nil
}

// packs writes content, as long as nobody may remove it.
func (s *stream) packs(ctx context.Context, src Source, packs []postgres.KeptPack, o Options, r *Report) error {
	var done int64
	for _, p := range packs {
		if err := src.Rows.Held(ctx); err != nil {
			return err
		}
		o.progress("content", done, r.Bytes)
		if err := s.pack(ctx, src.Blobs, p, r); err != nil {
			return fmt.Errorf("save the pack %s: %w", p.ID, err)
		}
		done += p.Bytes
		fault.At(fault.PackSaved)
	}
	o.progress("content", done, r.Bytes)
	return src.Rows.Held(ctx) // what was missing in the last one was not removed meanwhile
}

func (s *stream) pack(ctx context.Context, blobs blob.Store, p postgres.KeptPack, r *Report) error {
	body, err := blobs.Get(ctx, p.ID.String(), 0, -1)
	if api.KindOf(err) == api.NotFound {
		r.Missing = append(r.Missing, p.ID)
		return nil
	}
	if err != nil {
		return err
	}
	defer body.Close()
	if err := s.json(framePack, p); err != nil {
		return err
	}
	written := &counter{w: s.writer}
	whole, err := mirror.DrainPack(io.TeeReader(body, written))
	if err != nil {
		return err
	}
	if !whole || written.n != p.Bytes {
		r.Damaged = append(r.Damaged, p.ID)
	}
	r.Copied++
	return s.frame(frameEnd, nil)
}

// finish ends the stream and tells its SHA-256.
func (s *stream) finish(r *Report) (sum api.Hash, err error) {
	if err := s.json(frameSummary, r.Summary); err != nil {
		return sum, err
	}
	sum, err = s.close()
	err = cmp.Or(err, s.buffer.Flush())
	r.Size = s.counted.n
	return sum, err
}
