package s3

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"satchel/api"
	"satchel/storage"
)

// maxKey is the longest key in bytes, as with S3.
const maxKey = 1024

// keyPath is the path of a key, and whether the key ends with a slash, as a
// directory's does. A key that no path gives back is refused.
func keyPath(key string) (path []api.Name, dir bool, err error) {
	if len(key) > maxKey {
		return nil, false, refuse(http.StatusBadRequest, "KeyTooLongError", "a key has at most %d bytes", maxKey)
	}
	name, dir := strings.CutSuffix(key, "/")
	path, err = api.ParsePath(name)
	if err == nil && (len(path) == 0 || api.JoinPath(path) != name) {
		err = api.Errorf(api.Invalid, "names in it are empty")
	}
	if err != nil {
		return nil, dir, refuse(http.StatusConflict, "InvalidObjectKey", "the key %.100q can't be a path in a tree: %w", key, err)
	}
	return path, dir, nil
}

// lister walks a bucket's keys in their byte order.
type lister struct {
	ctx    context.Context
	bucket *storage.Bucket
	prefix string
	after  string // only keys after it
	group  bool   // directories beyond the prefix are told, and not walked
	page   int

	// found gets each key; false ends the walk. A directory that is told has no node.
	found func(key string, n *api.Node) bool
	ended bool
}

// walk begins at the directory that the prefix leads to.
func (l *lister) walk() error {
	base := l.prefix[:strings.LastIndexByte(l.prefix, '/')+1]
	if base == "" {
		return l.dir(l.bucket.Root(), "")
	}
	path, _, err := keyPath(base)
	if err != nil {
		return nil // no key begins so
	}
	n, err := l.bucket.Lookup(l.ctx, path)
	switch {
	case api.KindOf(err) == api.NotFound, err == nil && n.Type != api.Directory:
		return nil
	case err != nil:
		return err
	}
	return l.whole(&n, base)
}

// whole lists a directory; one with nothing in it is a key itself.
func (l *lister) whole(n *api.Node, base string) error {
	if n.Nlink == 2 {
		page, err := l.bucket.Children(l.ctx, n.ID, "", 1)
		if err != nil {
			return err
		}
		if len(page.Entries) == 0 {
			l.tell(base, n)
			return nil
		}
	}
	return l.dir(n.ID, base)
}

func (l *lister) tell(key string, n *api.Node) {
	if !l.ended && key > l.after && strings.HasPrefix(key, l.prefix) {
		l.ended = !l.found(key, n)
	}
}

// held is a directory whose key, with its slash, comes later than its name.
type held struct {
	key  string
	node *api.Node
}

// dir lists what is in a directory whose keys begin with base. Entries come in
// the order of their names; a directory d is held back until no name before
// "d/" can follow.
func (l *lister) dir(id api.ID, base string) error {
	from, pending, err := l.start(base)
	if err != nil {
		return err
	}
	for {
		page, err := l.bucket.Children(l.ctx, id, from, l.page)
		if err != nil {
			return err
		}
		nodes := make(map[api.ID]*api.Node, len(page.Nodes))
		for i := range page.Nodes {
			nodes[page.Nodes[i].ID] = &page.Nodes[i]
		}
		for _, e := range page.Entries {
			key := base + string(e.Name)
			if pending, err = l.release(pending, key); err != nil || l.ended || l.beyond(key) {
				return err
			}
			switch n := nodes[e.Node]; n.Type {
			case api.File:
				l.tell(key, n)
			case api.Directory:
				pending = append(pending, held{key + "/", n})
				slices.SortFunc(pending, func(a, b held) int { return strings.Compare(a.key, b.key) })
			}
		}
		if !page.More || l.ended {
			break
		}
		from = page.Entries[len(page.Entries)-1].Name
	}
	_, err = l.release(pending, "")
	return err
}

// beyond tells whether neither a key nor any after it has the prefix.
func (l *lister) beyond(key string) bool {
	return key > l.prefix && !strings.HasPrefix(key, l.prefix) && !strings.HasPrefix(l.prefix, key)
}

// start is the name after which to look in a directory, and the directories
// before it whose keys come after: of "a.b" that is "a", since "a/" does.
func (l *lister) start(base string) (from api.Name, pending []held, err error) {
	rest, ok := strings.CutPrefix(max(l.after, l.prefix), base)
	if !ok || rest == "" {
		return "", nil, nil
	}
	name, _, _ := strings.Cut(rest, "/")
	for i := 1; i <= min(len(name), api.MaxName, maxKey-len(base)); i++ { // no key has a longer name there
		if i < len(name) && name[i] >= '/' {
			continue
		}
		path, _, err := keyPath(base + name[:i])
		if err != nil {
			continue
		}
		n, err := l.bucket.Lookup(l.ctx, path)
		switch {
		case api.KindOf(err) == api.NotFound:
		case err != nil:
			return "", nil, err
		case n.Type == api.Directory:
			pending = append(pending, held{base + name[:i] + "/", &n})
		case i == len(name) && n.Type == api.File:
			l.tell(base+name, &n) // the prefix itself
		}
	}
	slices.SortFunc(pending, func(a, b held) int { return strings.Compare(a.key, b.key) })
	return api.Name(name), pending, nil
}

// release lists the directories held back that come before a key; all of them
// if it is empty.
func (l *lister) release(pending []held, before string) ([]held, error) {
	for len(pending) > 0 && (before == "" || pending[0].key < before) && !l.ended {
		d := pending[0]
		pending = pending[1:]
		inside := strings.HasPrefix(l.prefix, d.key)
		switch {
		case !inside && !strings.HasPrefix(d.key, l.prefix):
			continue // beside the prefix
		case d.key <= l.after && !strings.HasPrefix(l.after, d.key):
			continue // all of it is before
		}
		if l.group && !inside {
			if d.key != l.after && !l.ended { // a key in it may be where the listing goes on
				l.ended = !l.found(d.key, nil)
			}
			continue
		}
		if err := l.whole(d.node, d.key); err != nil {
			return nil, err
		}
	}
	return pending, nil
}
