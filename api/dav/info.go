package dav

import (
	"context"
	"io"
	"os"
	"path"
	"time"

	"satchel/api"
	"satchel/storage"
)

// info is a node under the name by which it was asked for.
type info struct {
	name string
	node *api.Node
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.node.Size }
func (i info) ModTime() time.Time { return time.Unix(0, i.node.Mtime) }
func (i info) IsDir() bool        { return i.node.Type == api.Directory }
func (i info) Sys() any           { return nil }

func (i info) Mode() os.FileMode {
	mode := os.FileMode(i.node.Mode & 0o777)
	if i.IsDir() {
		mode |= os.ModeDir
	}
	return mode
}

// ETag is part of [webdav.ETager].
func (i info) ETag(context.Context) (string, error) { return etag(i.node), nil }

// ContentType is part of [webdav.ContentTyper].
func (i info) ContentType(context.Context) (string, error) { return storage.ContentType(i.name), nil }

// etag is half of the hash of a file's content: what is left is as unlikely to
// meet, and some clients have room for no more in an If header.
func etag(n *api.Node) string { return `"` + n.SHA256.String()[:32] + `"` }

// file is a file or directory that is looked at. Content is not read through
// it: GET streams by itself, and COPY needs no bytes.
type file struct {
	q    *request
	name string
	info
}

func (f *file) Stat() (os.FileInfo, error)     { return f.info, nil }
func (f *file) Close() error                   { return nil }
func (f *file) Read([]byte) (int, error)       { return 0, io.EOF }
func (f *file) Write([]byte) (int, error)      { return 0, os.ErrInvalid }
func (f *file) Seek(int64, int) (int64, error) { return 0, os.ErrInvalid }

// entryBytes is what a list holds for each entry but for its texts, until it is sent.
const entryBytes = 900

// Readdir lists a directory. In a COPY there is nothing left to do in it. All the way down, what a symlink or a bind leads to is
// told of, and not listed.
func (f *file) Readdir(int) ([]os.FileInfo, error) {
	q := f.q
	if q.method == "COPY" || q.leaves[path.Join("/", f.name)] {
		return nil, nil
	}
	if top := q.top; top != nil && path.Join("/", f.name) == path.Join("/", q.path) {
		q.top = nil
		return top, nil
	}
	return f.list()
}

// list lists a directory, and remembers what it saw for the questions that
// follow about each entry.
func (f *file) list() ([]os.FileInfo, error) {
	q := f.q
	self := q.find(f.name, true)
	infos := []os.FileInfo{}
	var ids []api.ID
	for after := api.Name(""); ; {
		page, err := self.Drive.Children(q.ctx, f.node.ID, after, storage.MaxPage)
		if err != nil {
			return nil, q.unlisted(f.name, err)
		}
		nodes := make(map[api.ID]*api.Node, len(page.Nodes))
		for i := range page.Nodes {
			nodes[page.Nodes[i].ID] = &page.Nodes[i]
		}
		for _, e := range page.Entries {
			at := path.Join("/", f.name, string(e.Name))
			if err := q.share.Grow(entryBytes + 4*len(at)); err != nil { // what is not told of is remembered, too
				return nil, q.unlisted(f.name, err)
			}
			n := nodes[e.Node]
			if n == nil {
				continue // hidden from a guest
			}
			switch n.Type {
			case api.File, api.Directory:
				real := append(append([]api.Name(nil), self.Real...), e.Name)
				if n.Type == api.Directory && n.Nlink == 2 {
					if f := q.find(at, true); f.Node != nil { // it may be a bind's
						n = f.Node
						if q.deep && !f.Drive.Same(self.Drive) {
							q.leaves[at] = true
						}
					}
				} else {
					q.remember(at, found{Reached: storage.Reached{Home: self.Home, Drive: self.Drive, Bound: self.Bound, Real: real, Node: n}})
				}
			default:
				if n = q.find(at, true).Node; n == nil {
					continue // a device, or a symlink that leads nowhere
				}
				if q.deep {
					q.leaves[at] = true
				}
			}
			n.Xattrs = nil
			infos = append(infos, info{string(e.Name), n})
			ids = append(ids, n.ID)
		}
		if !page.More {
			break
		}
		after = page.Entries[len(page.Entries)-1].Name
	}
	sizes, err := self.Drive.PropertySizes(q.ctx, ids)
	if err != nil {
		return nil, q.unlisted(f.name, err)
	}
	q.remark(ids, sizes)
	return infos, nil
}

// unlisted is why a directory can't be listed. Of one that is gone, or hidden by now, there is nothing to tell; of others half
// a list would be wrong, so x/net gets an error that ends it.
func (q *request) unlisted(name string, err error) error {
	switch api.KindOf(err) {
	case api.NotFound, api.NotDirectory, api.Permission:
		return &os.PathError{Op: "readdir", Path: name, Err: os.ErrNotExist}
	}
	q.refuse(err, 0)
	return err
}
