package storage

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/storage/postgres"
)

// Contents is what a batch read found. It is for one use.
type Contents struct {
	drive *Drive
	files []batchFile // in the order in which their bytes are in packs
}

type batchFile struct {
	index   int
	version api.Version
	pieces  []piece
	err     error // why there is no content
}

// Contents finds versions of files as [Drive.Content] does. One that can't be
// had spoils none of the others. More than [api.MaxContents], or than
// [api.MaxContentsBytes] bytes in all, are [api.TooLarge].
func (d *Drive) Contents(ctx context.Context, wanted []api.ContentRef) (*Contents, error) {
	if len(wanted) > api.MaxContents {
		return nil, api.Errorf(api.TooLarge, "at most %d files may be read at once, not %d", api.MaxContents, len(wanted))
	}
	var rows []postgres.FoundContent
	var chunks map[api.Hash]postgres.Extent
	err := d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) (err error) {
		if rows, err = tx.Contents(ctx, d.id, wanted, api.MaxContentsBytes); err != nil {
			return err
		}
		total := int64(0)
		var hashes []api.Hash
		for _, row := range rows {
			if total += row.Version.Size; total > api.MaxContentsBytes {
				return api.Errorf(api.TooLarge, "the files have more than %d MiB together; read fewer at once", api.MaxContentsBytes>>20)
			}
			for _, c := range row.Version.Chunks {
				hashes = append(hashes, c.Hash)
			}
		}
		if d.own() {
			chunks, err = tx.FindChunks(ctx, d.owner, hashes)
			return err
		}
		versions := make([]api.ID, len(rows))
		for i, row := range rows {
			versions[i] = row.Version.ID
		}
		chunks, err = tx.SharedChunks(ctx, d.id, versions, hashes)
		return err
	})
	if err != nil {
		return nil, err
	}
	c := &Contents{drive: d, files: make([]batchFile, len(rows))}
	for i, row := range rows {
		c.files[i] = newBatchFile(i, row, chunks)
	}
	slices.SortStableFunc(c.files, func(a, b batchFile) int {
		p, q := a.where(), b.where()
		return cmp.Or(bytes.Compare(p.pack[:], q.pack[:]), cmp.Compare(p.off, q.off))
	})
	return c, nil
}

func newBatchFile(index int, row postgres.FoundContent, chunks map[api.Hash]postgres.Extent) batchFile {
	f := batchFile{index: index, version: row.Version}
	switch {
	case row.Type == api.Directory:
		f.err = api.Errorf(api.IsDirectory, "a directory has no content")
	case row.Version.ID.IsZero():
		f.err = api.Errorf(api.NotFound, "there is no such content")
	default:
		f.pieces, _ = cover(row.Version.Chunks, 0, row.Version.Size)
		f.pieces, f.err = locate(row.Version.ID, f.pieces, chunks)
	}
	return f
}

// where is where the content begins; zero for none.
func (f *batchFile) where() piece {
	if len(f.pieces) == 0 {
		return piece{}
	}
	return f.pieces[0]
}

// WriteTo reads the contents and writes them to w, which it does not close. Each
// pack is read once, in ranges, unless files of several chunks share some; memory
// is that of one chunk. Every chunk is verified: one that can't be read, or is not
// what its hash says, fails its files, and the others go on. The error is that
// of w or ctx.
func (c *Contents) WriteTo(ctx context.Context, w *chunk.ContentsWriter) error {
	var plan []piece
	for _, f := range c.files {
		for _, p := range f.pieces {
			if len(plan) == 0 || p != plan[len(plan)-1] {
				plan = append(plan, p)
			}
		}
	}
	r := &chunkReader{pieces: newExtentReader(ctx, c.drive.s.blobs, coalesce(plan)), suspect: c.drive.suspect(ctx)}
	defer r.pieces.Close()
	var failures []error
	for _, f := range c.files {
		failure, err := f.writeTo(w, r)
		if err = cmp.Or(ctx.Err(), err); err != nil {
			return err
		}
		if failure != nil && api.KindOf(failure) != api.NotFound && api.KindOf(failure) != api.IsDirectory {
			failures = append(failures, failure)
		}
	}
	if len(failures) > 0 {
		c.drive.s.log.Error("contents of a batch read are lost", "drive", c.drive.id, "files", len(failures), "err", failures[0])
	}
	return nil
}

// writeTo tells why the content could not be had, and what w said.
func (f *batchFile) writeTo(w *chunk.ContentsWriter, r *chunkReader) (failure, err error) {
	if f.err != nil {
		kind, message := told(f.err)
		return f.err, w.Failed(f.index, kind, message)
	}
	if len(f.pieces) == 0 {
		return nil, w.Content(f.index, f.version)
	}
	for i, p := range f.pieces {
		data, err := r.chunk(p) // after a failure too: the next file's must come next
		if failure != nil {
			continue
		}
		if failure = err; err == nil {
			if i == 0 {
				w.Content(f.index, f.version)
			}
			err = w.Part(data)
		} else if kind, message := told(err); i == 0 {
			err = w.Failed(f.index, kind, message)
		} else {
			err = w.Fail(kind, message)
		}
		if err != nil {
			return failure, err
		}
	}
	return failure, nil
}

// told is what a client hears of a failure: of one that is ours to mend, no
// more than that it is.
func told(err error) (api.Kind, string) {
	switch kind := api.KindOf(err); kind {
	case api.NotFound, api.IsDirectory:
		return kind, err.Error()
	case api.Unavailable:
		return kind, "the server can't reach this content; try again"
	}
	return api.Internal, "the server can't read this content; its log says why"
}
