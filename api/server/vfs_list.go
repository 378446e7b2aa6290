package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path"
	"strconv"
	"time"

	"satchel/api"
	"satchel/api/compat/gitignore"
	"satchel/storage"
)

// vfsEntry is a file or directory in a listing.
type vfsEntry struct {
	ID    api.ID    `json:"id"` // of a file the document's, else the node's
	Name  api.Name  `json:"name"`
	Path  api.Name  `json:"path"` // in the mount
	Type  string    `json:"type"` // file, dir, symlink or other
	Size  int64     `json:"size"` // bytes; of a directory all below it, if that was asked for
	Mtime time.Time `json:"mtime"`
	Mime  string    `json:"mime,omitempty"`
	Hash  api.Hash  `json:"hash,omitzero"` // SHA-256, for those who may read it
}

func entryOf(n api.Node, dir api.Name, name api.Name) vfsEntry {
	e := vfsEntry{ID: n.ID, Name: name, Path: dir + name, Type: "other", Mtime: time.Unix(0, n.Mtime).UTC()}
	switch n.Type {
	case api.File:
		e.ID, e.Type, e.Size, e.Mime, e.Hash = n.Document, "file", n.Size, storage.ContentType(string(name)), n.SHA256
	case api.Directory:
		e.Type = "dir"
	case api.Symlink:
		e.Type = "symlink"
	}
	return e
}

// vfsList lists a directory.
func (s *server) vfsList(w http.ResponseWriter, r *http.Request, t *vfsTarget) error {
	q := r.URL.Query()
	glob := q.Get("glob")
	if _, err := path.Match(glob, ""); err != nil {
		return api.Errorf(api.Invalid, "the glob %q is not a pattern", glob)
	}
	withSize, err := flag(q.Get("includeSize"), false)
	if err != nil {
		return err
	}
	mount, _ := s.drives.MountOf(t.mount)
	ignoring, err := flag(q.Get("gitignore"), mount.Type == storage.Local)
	if err != nil {
		return err
	}
	below := t.below() // as it was asked for, over whatever symlinks
	dir, err := t.find(r.Context(), api.PermList)
	if err != nil {
		return err
	}
	if dir.Type != api.Directory {
		return api.Errorf(api.NotDirectory, "this is not a directory")
	}
	var rules gitignore.Rules
	if ignoring {
		if err := t.ignoreRules(r.Context(), &rules); err != nil {
			return err
		}
	}
	// A page of the directory is sent before the next one is read, so that no more than that is held of it.
	out := &vfsListing{w: w, page: []vfsEntry{}, sizes: t.drive.Sizes}
	if !withSize {
		out.sizes = nil
	}
	err = t.each(r.Context(), dir.ID, func(name api.Name, n api.Node) error {
		if glob != "" {
			if ok, _ := path.Match(glob, string(name)); !ok {
				return nil
			}
		}
		if rules.Excludes(api.JoinPath(append(t.path[:len(t.path):len(t.path)], name)), n.Type == api.Directory) {
			return nil
		}
		return out.add(r.Context(), entryOf(n, below, name))
	})
	if err == nil {
		err = out.end(r.Context())
	}
	return out.whole(err)
}

// vfsListing is a JSON array of entries that is sent page by page.
type vfsListing struct {
	w     http.ResponseWriter
	sizes func(context.Context, []api.ID) (map[api.ID]int64, error) // of directories; nil: nobody asked
	page  []vfsEntry
	sent  bool // a page is
}

func (l *vfsListing) add(ctx context.Context, e vfsEntry) error {
	if len(l.page) == storage.MaxPage {
		if err := l.send(ctx); err != nil {
			return err
		}
	}
	l.page = append(l.page, e)
	return nil
}

// send sends what there is, without the array's end.
func (l *vfsListing) send(ctx context.Context) error {
	var dirs []api.ID
	for _, e := range l.page {
		if e.Type == "dir" && l.sizes != nil {
			dirs = append(dirs, e.ID)
		}
	}
	if len(dirs) > 0 {
		sizes, err := l.sizes(ctx, dirs)
		if err != nil {
			return err
		}
		for i, e := range l.page {
			if e.Type == "dir" {
				l.page[i].Size = sizes[e.ID]
			}
		}
	}
	text, err := json.Marshal(l.page)
	if err != nil {
		return err
	}
	if text = text[:len(text)-1]; l.sent {
		text[0] = ','
	} else {
		l.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	l.sent, l.page = true, l.page[:0]
	_, err = l.w.Write(text)
	return err
}

func (l *vfsListing) end(ctx context.Context) error {
	if len(l.page) > 0 || !l.sent {
		if err := l.send(ctx); err != nil {
			return err
		}
	}
	_, err := io.WriteString(l.w, "]\n")
	return err
}

// whole is an error that can still be answered. Where a part is sent already it breaks the connection: half of a list shall
// not look whole.
func (l *vfsListing) whole(err error) error {
	if err != nil && l.sent {
		panic(http.ErrAbortHandler)
	}
	return err
}

// each visits the entries of a directory in the order of their names.
func (t *vfsTarget) each(ctx context.Context, dir api.ID, visit func(api.Name, api.Node) error) error {
	for after := api.Name(""); ; {
		l, err := t.drive.Children(ctx, dir, after, storage.MaxPage)
		if err != nil {
			return err
		}
		nodes := make(map[api.ID]api.Node, len(l.Nodes))
		for _, n := range l.Nodes {
			nodes[n.ID] = n
		}
		for _, e := range l.Entries {
			after = e.Name
			if err := visit(e.Name, nodes[e.Node]); err != nil {
				return err
			}
		}
		if !l.More {
			return nil
		}
	}
}

// maxIgnore is how much of a .gitignore file is read, in bytes.
const maxIgnore = 256 << 10

// ignoreRules reads the .gitignore files on the way to the path, as far as the
// caller may read them.
func (t *vfsTarget) ignoreRules(ctx context.Context, rules *gitignore.Rules) error {
	for i := range len(t.path) + 1 {
		n, err := t.drive.Lookup(ctx, append(t.path[:i:i], ".gitignore"))
		if api.KindOf(err) == api.NotFound || err == nil && n.Type != api.File {
			continue
		}
		if err != nil {
			return err
		}
		text, err := t.text(ctx, n, maxIgnore)
		if api.KindOf(err) == api.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		rules.Add(api.JoinPath(t.path[:i]), text)
	}
	return nil
}

// text is the content of a file, at most limit bytes of it.
func (t *vfsTarget) text(ctx context.Context, n api.Node, limit int64) (string, error) {
	c, err := t.drive.Content(ctx, n.ID, api.ID{})
	if err != nil {
		return "", err
	}
	body, err := c.Open(ctx, 0, min(c.Size, limit))
	if err != nil {
		return "", err
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	return string(b), err
}

// flag is a switch in a query.
func flag(value string, preset bool) (bool, error) {
	if value == "" {
		return preset, nil
	}
	on, err := strconv.ParseBool(value)
	if err != nil {
		return false, api.Errorf(api.Invalid, "%q is neither true nor false", value)
	}
	return on, nil
}

// vfsMounts lists what can be opened.
func (s *server) vfsMounts(w http.ResponseWriter, r *http.Request) {
	c, err := s.visitor(w, r)
	var names []string
	if err == nil {
		names, err = s.drives.MountNames(r.Context(), c)
	}
	if err != nil {
		s.apiError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"success": true, "mounts": names})
}
