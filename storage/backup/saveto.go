package backup

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"satchel/api"
	"satchel/storage/blob"
	"satchel/storage/fault"
	"satchel/storage/mirror"
	"satchel/storage/postgres"
)

// Objects of a blob store with backups, beside packs under their own names.
const (
	namePrefix = "backup-" // a named in JSON
	rowsPrefix = "rows-"   // a stream
)

// named is the small object that makes a backup of others. It is written last.
type named struct {
	Header
	Summary
	Rows     string   `json:"rows_object"`
	Size     int64    `json:"rows_size"`
	SHA256   api.Hash `json:"rows_sha256"`
	PackList []api.ID `json:"pack_list"` // content that is beside it
}

// maxNamed bounds what is read of one.
const maxNamed = 256 << 20

// SaveTo puts a backup into a blob store, where the packs of earlier ones are
// not copied again. What the newest of those had not whole is looked for again.
func SaveTo(ctx context.Context, src Source, to blob.Store, o Options) (r Report, err error) {
	defer r.time(time.Now())
	r.Content = src.content(Beside)
	id := api.NewID().String() // such ids are in the order of their making, and so are the names
	n := named{Rows: rowsPrefix + id}
	r.Name = namePrefix + id
	packs, err := saveRows(ctx, src, to, &n, o, &r)
	if err != nil {
		return r, fmt.Errorf("save the rows: %w", err)
	}
	to = held{to, src.Rows}
	if r.Content == Beside {
		if err := copyPacks(ctx, src.Blobs, to, packs, o, &r); err != nil {
			return r, fmt.Errorf("save the content: %w", err)
		}
		for _, p := range packs {
			n.PackList = append(n.PackList, p.ID)
		}
	}
	fault.At(fault.BackupWhole)
	n.Header, n.Summary = r.Header, r.Summary
	text, err := json.Marshal(n)
	if err != nil {
		return r, err
	}
	if err := stays(ctx, to, &n); err != nil {
		return r, fmt.Errorf("look for the rows that were saved: %w", err)
	}
	return r, to.Put(ctx, r.Name, bytes.NewReader(text))
}

// held is a store that is changed only while a backup has its locks: without them another one may be on its way into it, and take what
// this one changes for its own, or for left over.
type held struct {
	blob.Store
	rows *postgres.Backup
}

func (h held) Put(ctx context.Context, key string, r io.Reader) error {
	if err := h.rows.Held(ctx); err != nil {
		return err
	}
	return h.Store.Put(ctx, key, r)
}

func (h held) Delete(ctx context.Context, key string) error {
	if err := h.rows.Held(ctx); err != nil {
		return err
	}
	return h.Store.Delete(ctx, key)
}

// saveRows puts the stream, and reads it back.
func saveRows(ctx context.Context, src Source, to blob.Store, n *named, o Options, r *Report) (packs []postgres.KeptPack, err error) {
	body, w := io.Pipe()
	put := make(chan error, 1)
	go func() {
		err := to.Put(ctx, n.Rows, body)
		body.CloseWithError(cmp.Or(err, io.ErrClosedPipe)) // the store reads no more
		put <- err
	}()
	s, packs, err := start(ctx, src, w, o, r)
	if err == nil {
		n.SHA256, err = s.finish(r)
		n.Size = r.Size
	}
	w.CloseWithError(err) // nil is the end
	if putErr := <-put; putErr != nil && (err == nil || errors.Is(err, putErr)) {
		err = putErr
	}
	if err != nil {
		return nil, err
	}
	back, err := to.Get(ctx, n.Rows, 0, -1)
	if err != nil {
		return nil, err
	}
	defer back.Close()
	return packs, whole(back, n)
}

// whole reads a stream in a store to its end and compares it with what its
// name says.
func whole(stream io.Reader, n *named) error {
	// The last frame has the hash of what is before it.
	const tail = 5 + sha256.Size
	sum := sha256.New()
	read, err := io.CopyN(sum, stream, n.Size-tail)
	if err != nil && err != io.EOF {
		return err
	}
	rest, err := io.Copy(io.Discard, stream)
	if err != nil {
		return err
	}
	if read+rest != n.Size || !bytes.Equal(sum.Sum(nil), n.SHA256[:]) {
		return api.Errorf(api.Invalid, "the object %s is not what was written", n.Rows)
	}
	return nil
}

// stays makes sure that the stream still has its end: content may have taken days since it was read back.
func stays(ctx context.Context, in blob.Store, n *named) error {
	last, err := in.Get(ctx, n.Rows, n.Size-1, -1)
	if err != nil {
		return err
	}
	defer last.Close()
	rest, err := io.Copy(io.Discard, last)
	if err == nil && rest != 1 {
		err = api.Errorf(api.Invalid, "the object %s is not what was written", n.Rows)
	}
	return err
}

// copyPacks copies the packs that the rows name and tells which of them are
// not whole.
func copyPacks(ctx context.Context, from, to blob.Store, packs []postgres.KeptPack, o Options, r *Report) error {
	sound, err := sound(ctx, to)
	if err != nil {
		return err
	}
	copied, err := mirror.Copy(ctx, from, to, mirror.Options{
		Parallel: 4,
		Quick:    func(key string) bool { return sound[key] },
		Only:     sizes(packs),
		Progress: func(_ string, done, total int64) { o.progress("content", done, total) },
		Each:     func() { fault.At(fault.PackSaved) },
	})
	r.Copied = copied.Copied
	if err != nil {
		return err
	}
	there, err := list(ctx, to)
	if err != nil {
		return err
	}
	r.Missing, r.Damaged = lacking(packs, there, copied.Damaged)
	return nil
}

// sound is the packs that were whole when the newest backup with content in a
// store was made. What else is there, of one that was broken off, nobody knows to
// be whole.
func sound(ctx context.Context, in blob.Store) (map[string]bool, error) {
	packs := map[string]bool{}
	names, err := Names(ctx, in)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Backward(names) {
		n, _, err := find(ctx, in, name)
		if kind := api.KindOf(err); kind == api.NotFound || kind == api.Invalid {
			break
		}
		if err != nil {
			return nil, err
		}
		if n.Content == None {
			continue
		}
		for _, id := range n.PackList {
			packs[id.String()] = true
		}
		for _, id := range n.lacks() {
			delete(packs, id.String())
		}
		break
	}
	return packs, nil
}

// sizes is the packs' sizes by their keys.
func sizes(packs []postgres.KeptPack) map[string]int64 {
	sizes := make(map[string]int64, len(packs))
	for _, p := range packs {
		sizes[p.ID.String()] = p.Bytes
	}
	return sizes
}

// lacking tells which packs are missing from a store with these objects, and
// which are damaged: those that are known to be, and those of another size.
func lacking(packs []postgres.KeptPack, there map[string]int64, known []string) (missing, damaged []api.ID) {
	bad := make(map[string]bool, len(known))
	for _, key := range known {
		bad[key] = true
	}
	missing, damaged = []api.ID{}, []api.ID{}
	for _, p := range packs {
		switch size, ok := there[p.ID.String()]; {
		case !ok:
			missing = append(missing, p.ID)
		case size != p.Bytes || bad[p.ID.String()]:
			damaged = append(damaged, p.ID)
		}
	}
	return missing, damaged
}

// list is the objects of a store and their sizes.
func list(ctx context.Context, s blob.Store) (map[string]int64, error) {
	sizes := map[string]int64{}
	for info, err := range s.List(ctx) {
		if err != nil {
			return nil, err
		}
		sizes[info.Key] = info.Size
	}
	return sizes, nil
}
