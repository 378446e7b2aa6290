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

// Store puts content at a path: it makes directories that are missing, and a
// new version of the document that is there already. It streams, with flat
// memory, and the file changes only when all its bytes are stored. Description
// nil leaves the document's as it is.
//
// A directory at the path is [api.IsDirectory]; a symlink or special node there
// is [api.Exists]; what is no directory on the way is [api.NotDirectory].
func (d *Drive) Store(ctx context.Context, path []api.Name, body io.Reader, description *string) (File, error) {
	if len(path) == 0 {
		return File{}, api.Errorf(api.IsDirectory, "the path names the drive itself")
	}
	for _, name := range path {
		if err := name.Check(); err != nil {
			return File{}, err
		}
	}
	limit, err := d.room(ctx, path)
	if err != nil {
		return File{}, err
	}
	v, err := d.upload(ctx, limit.reader(body))
	if err != nil {
		return File{}, err
	}
	var node api.ID
	err = d.change(ctx, named([]api.Mutation{{Version: &v}}), func(ctx context.Context, tx *postgres.Tx) ([]api.Mutation, error) {
		walked, err := tx.Walk(ctx, d.id, d.root, path)
		if err != nil {
			return nil, err
		}
		m := api.Mutation{Op: api.OpWrite, Name: path[len(path)-1], Version: &v, Time: time.Now().UnixNano()}
		batch, parent, err := d.missingDirs(walked, path[:len(path)-1], m.Time)
		if err != nil {
			return nil, err
		}
		m.Parent = parent
		if len(walked) == len(path) {
			old := walked[len(path)-1]
			if err := storable(old.Type); err != nil {
				return nil, err
			}
			m.Node, m.Base = old.ID, old.Version
		} else {
			m.Op, m.Node, m.Attr = api.OpCreate, api.NewID(), &api.Attr{Type: api.File}
		}
		node = m.Node
		return append(batch, m), nil
	})
	if err != nil {
		return File{}, err
	}
	return d.describeNode(ctx, node, description)
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
	var pack chunk.PackWriter
	packed := map[api.Hash]bool{}
	send := func() error {
		if pack.Count() == 0 {
			return nil
		}
		_, _, err := d.PutPack(ctx, bytes.NewReader(pack.Bytes()))
		pack.Reset()
		clear(packed)
		return err
	}
	v, err := chunk.Version(body, func(c api.Chunk, data []byte) error {
		if packed[c.Hash] {
			return nil
		}
		missing, err := d.Missing(ctx, []api.Hash{c.Hash})
		if err != nil || len(missing) == 0 {
			return err
		}
		if pack.Size() > 0 && pack.Size()+len(data) > storePack {
			if err := send(); err != nil {
				return err
			}
		}
		packed[c.Hash] = true
		return pack.Add(c.Hash, data)
	})
	if err == nil {
		err = send()
	}
	v.ID = api.NewID()
	return v, err
}
