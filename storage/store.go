package storage

import (
	"bytes"
	"context"
	"io"
	"time"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/storage/postgres"
)

// storePack is when Store sends a pack on: what it holds in memory.
const storePack = 8 << 20

// PutOptions says how [Drive.Put] stores. The zero value makes missing
// directories and overwrites.
type PutOptions struct {
	NoParents bool  // a missing directory on the way is [api.NotFound]
	Mtime     int64 // ns; 0 = now
	Size      int64 // bytes that the body is said to have: for which there must be room; 0 = nobody knows

	// Description is set with the content, see [CheckDescription]; nil leaves the document's as it is. A guest's is left out.
	Description *string

	// Check may refuse to replace old, nil if there is no file yet, with what the
	// S3 API keeps of its version. Nobody else changes the drive between its answer
	// and the change. It is called while Put waits, by whoever does the write, and
	// perhaps more than once.
	Check func(old *api.Node, object Object) error

	// Object is what the S3 API keeps of the version. It is asked for when all of
	// the body was read.
	Object func() *Object

	// with is done in the transaction of the change, as the caller and before Check is asked, or not at all.
	with func(context.Context, *postgres.Tx) error
}

// Store puts content at a path: it makes directories that are missing, and a
// new version of the document that is there already. It streams, with flat
// memory, and the file changes only when all its bytes are stored. A description is
// for the drive's owner alone to set ([api.Permission]).
// The other errors are those of [Drive.Put].
func (d *Drive) Store(ctx context.Context, path []api.Name, body io.Reader, o PutOptions) (File, error) {
	if o.Description != nil && !d.own() {
		return File{}, errNotYours()
	}
	node, _, err := d.Put(ctx, path, body, o)
	if err != nil {
		return File{}, err
	}
	return d.storedFile(ctx, node.ID)
}

// Put is Store for those who need the node: it returns it as it is then, and whether it
// is new.
//
// A directory at the path is [api.IsDirectory]; a symlink or special node there
// is [api.Exists]; what is no directory on the way is [api.NotDirectory].
func (d *Drive) Put(ctx context.Context, path []api.Name, body io.Reader, o PutOptions) (node api.Node, created bool, err error) {
	if err := checkPath(path); err != nil {
		return node, false, err
	}
	if o.Description != nil {
		if err := CheckDescription(*o.Description); err != nil {
			return node, false, err
		}
	}
	limit, err := d.roomFor(ctx, path, o.Size)
	if err != nil {
		return node, false, err
	}
	v, pack, err := d.storeChunks(ctx, limit.reader(body))
	if err != nil {
		return node, false, err
	}
	return d.commitVersion(ctx, path, v, pack, o)
}

// commitVersion makes a version whose chunks are stored the content of the
// file at a path. The last pack of them is made known with it, unless it is nil.
func (d *Drive) commitVersion(ctx context.Context, path []api.Name, v api.Version, pack *storedPack, o PutOptions) (node api.Node, created bool, err error) {
	w := &write{path: path, version: v, options: o, condition: d.condition, made: api.NewID(), done: make(chan struct{})}
	if o.Object != nil {
		w.object = o.Object()
	}
	if pack != nil && d.own() {
		w.pack = &pack.Pack
	} else if pack != nil { // a guest adds it as such, and then acts as the owner
		if err := d.addPack(ctx, *pack); err != nil {
			return node, false, err
		}
	}
	if d.own() && o.with == nil {
		err = d.s.lines.do(ctx, lineKey{d.id, d.root, d.caller}, w, d.writeTogether)
		return w.node, w.created, err
	}
	d.writeTogether(ctx, []*write{w})
	return w.node, w.created, w.err
}

// checkPath tells what is wrong with the path of something to be made.
func checkPath(path []api.Name) error {
	if len(path) == 0 {
		return api.Errorf(api.IsDirectory, "the path names the drive itself")
	}
	for _, name := range path {
		if err := name.Check(); err != nil {
			return err
		}
	}
	return nil
}

func storable(t api.Type) error {
	switch t {
	case api.File:
		return nil
	case api.Directory:
		return api.Errorf(api.IsDirectory, "the path is a directory")
	}
	return api.Errorf(api.Exists, "the path is taken by what is not a regular file")
}

// parents is the directory that a path's last name is in, and the mutations
// that make it if it is missing and shall be made.
func (d *Drive) parents(walked []api.Node, path []api.Name, missing bool, time int64) (batch []api.Mutation, parent api.ID, err error) {
	batch, parent, err = d.missingDirs(walked, path[:len(path)-1], time)
	if err == nil && len(batch) > 0 && !missing {
		err = api.Errorf(api.NotFound, "there is no directory %q", string(batch[0].Name))
	}
	return batch, parent, err
}

// missingDirs makes the directories of dirs beyond those walked; parent is the
// last one of them.
func (d *Drive) missingDirs(walked []api.Node, dirs []api.Name, time int64) (batch []api.Mutation, parent api.ID, err error) {
	parent = d.root
	for i, name := range dirs {
		if i < len(walked) {
			if walked[i].Type != api.Directory {
				return nil, parent, api.Errorf(api.NotDirectory, "%q on the path is not a directory", string(name))
			}
			parent = walked[i].ID
			continue
		}
		m := api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: parent, Name: name, Attr: &api.Attr{Type: api.Directory}, Time: time}
		batch = append(batch, m)
		parent = m.Node
	}
	return batch, parent, nil
}

// upload stores the chunks of body that the owner does not have yet.
func (d *Drive) upload(ctx context.Context, body io.Reader) (api.Version, error) {
	v, last, err := d.storeChunks(ctx, body)
	if err == nil && last != nil {
		err = d.addPack(ctx, *last)
	}
	return v, err
}

// storeChunks is upload but for the last pack, if there is one: that is still to be made known.
func (d *Drive) storeChunks(ctx context.Context, body io.Reader) (v api.Version, last *storedPack, err error) {
	var pack chunk.PackWriter
	packed := map[api.Hash]bool{}
	var read []api.Hash
	spared := time.Now()
	v, err = chunk.Version(body, func(c api.Chunk, data []byte) error {
		if time.Since(spared) >= spareEvery {
			if err := d.spare(ctx, read); err != nil {
				return err
			}
			spared = time.Now()
		}
		read = append(read, c.Hash)
		if packed[c.Hash] {
			return nil
		}
		missing, err := d.Missing(ctx, []api.Hash{c.Hash})
		if err != nil || len(missing) == 0 {
			return err
		}
		if pack.Size() > 0 && pack.Size()+len(data) > storePack {
			if _, _, err := d.PutPack(ctx, bytes.NewReader(pack.Bytes())); err != nil {
				return err
			}
			pack.Reset()
			clear(packed)
		}
		packed[c.Hash] = true
		return pack.Add(c.Hash, data)
	})
	if err == nil && pack.Count() > 0 {
		var stored storedPack
		stored, err = d.storePack(ctx, bytes.NewReader(pack.Bytes()))
		last = &stored
	}
	v.ID = api.NewID()
	return v, last, err
}
