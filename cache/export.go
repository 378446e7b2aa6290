package cache

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"satchel/api"
)

// Exported is what [Drive.Export] did.
type Exported struct {
	Files  int      `json:"files"`            // files, folders and symlinks written
	Bytes  int64    `json:"bytes"`            // of content
	Others []string `json:"others,omitempty"` // changes that are no content, as "rename a → b": only the drive can have them
}

// OpenForExport opens a cache that no mount uses, without a server and without a login, for
// [Drive.Export] and [Drive.Close] only. What the cache keeps stays as it is. The error is of kind NotFound when
// there is no cache in dir, and Exists when a mount uses it.
func OpenForExport(cfg Config) (*Drive, error) {
	has := func(name string) bool {
		_, err := cfg.seam.fs().Stat(filepath.Join(cfg.Dir, name))
		return !errors.Is(err, os.ErrNotExist)
	}
	if !has(replicaDir) && !has(oldDir) {
		return nil, api.Errorf(api.NotFound, "%s is no cache of a drive", cfg.Dir)
	}
	cfg.Remote, cfg.keepLife = noRemote{}, true
	d, err := Open(cfg)
	if err != nil {
		return nil, err
	}
	if err := d.doubtUnread(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// noRemote is a server that can't be reached. Only Info is asked without [Drive.Start].
type noRemote struct{ Remote }

func (noRemote) Info(context.Context) (api.DriveInfo, error) { return api.DriveInfo{}, errOffline }

// An export is one piece of work that the server lacks.
type export struct {
	n       *node
	id      api.ID // n's, when it was found
	path    string // in the drive
	typ     byte
	target  string // of a symlink
	mode    uint32
	mtime   int64
	content bool     // a file has some
	base    api.Hash // of what the server has, if it is a change of a file
}

// Export copies all content that the server lacks into a folder, which must be empty or not there: files
// under the paths that they have in the drive, with their modes and times, and folders and symlinks that were made.
// It needs no server. Where one name belongs to two, the second gets a number, as "letter (2).txt".
// Files that are written meanwhile are copied as they are, and those that are removed or sent meanwhile may be left out. What stays on this machine is copied too if it is wanted, and in any case what does only until an ignore file can be read. The error is of kind
// NotEmpty when the folder is not.
func (d *Drive) Export(ctx context.Context, dir string, staying bool) (Exported, error) {
	var x Exported
	if err := emptyDir(dir); err != nil {
		return x, err
	}
	all, others, err := d.unsent(staying)
	if err != nil {
		return x, err
	}
	x.Others = others
	for i := range all {
		n, written, err := d.writeOut(ctx, &all[i], dir)
		if err != nil && ctx.Err() == nil {
			return x, api.Errorf(kindOf(err), "export %q: %w", all[i].path, err)
		}
		if ctx.Err() != nil {
			return x, api.Errorf(api.Cancelled, "export given up after %d files", x.Files)
		}
		x.Bytes += n
		if written {
			x.Files++
		}
	}
	return x, syncTree(dir)
}

// emptyDir makes a folder, or makes sure that it is empty.
func emptyDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return api.Errorf(kindOf(err), "make the folder: %w", err)
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return api.Errorf(kindOf(err), "read the folder: %w", err)
	}
	if len(names) > 0 {
		return api.Errorf(api.NotEmpty, "%s is not empty (it has %q): name a new or an empty folder", dir, names[0].Name())
	}
	return nil
}

// unsentContent tells whether the server lacks content of a hot node, and is to have it; locked.
func (d *Drive) unsentContent(n *node) bool {
	if n.dead || n.slot == 0 || d.stays(n) {
		return false
	}
	// Else the server has it, and only the proof is missing.
	return n.hot.entry != nil || d.syn.flight != nil && n.hot.sent != nil && n.hot.sent.version.ID != n.version
}

// UnsentFiles are the paths of the files whose content the server does not have as it is here.
func (d *Drive) UnsentFiles() (paths []api.Name) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range d.syn.hots {
		if d.unsentContent(n) {
			paths = append(paths, api.Name(d.wholePath(n.up, n.name)))
		}
	}
	return paths
}

// exported is a node as it is exported; locked.
func (d *Drive) exported(n *node) export {
	return export{n: n, id: n.id, path: d.wholePath(n.up, n.name), typ: n.typ, target: n.target, mode: n.mode, mtime: n.mtime, content: n.isFile() && n.slot != 0}
}

// openExport opens the content of a file that is exported, nil if there is none any more. As long as it is open, its slot is not given to others.
func (d *Drive) openExport(e *export) (*os.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := e.n
	if d.byID[n.id] != n { // it was let go; a conflict copy is the same node by another id
		var err error
		if n, err = d.load(e.id); err != nil {
			return nil, err
		}
	}
	if n == nil || n.dead || n.slot == 0 {
		return nil, nil
	}
	defer d.letGo(n)
	f, err := os.Open(d.slotPath(n.slot))
	if err != nil {
		return nil, fmt.Errorf("open its content: %w", err)
	}
	d.pull(n)
	e.mtime = n.mtime
	return f, nil
}

// writeOut writes a piece of work below dir and tells whether there was something to write.
func (d *Drive) writeOut(ctx context.Context, e *export, dir string) (n int64, written bool, err error) {
	if !e.content {
		return e.write(ctx, dir, nil)
	}
	content, err := d.openExport(e)
	if err != nil || content == nil {
		return 0, false, err
	}
	defer content.Close()
	return e.write(ctx, dir, content)
}

// unsent is what the server lacks, folders before what is in them, and what can't be
// exported; with what stays on this machine if it is wanted.
func (d *Drive) unsent(staying bool) (all []export, others []string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range d.syn.hots {
		if !d.unsentContent(n) {
			continue
		}
		e := d.exported(n)
		if n.flags&flagAcked != 0 {
			e.base = n.sha
		}
		all = append(all, e)
	}
	for _, j := range d.journal.order {
		if j.gone || j.stays && !staying && !d.inDoubt(j) || j.m.Op == api.OpWrite || !j.stays && j.m.Op == api.OpCreate && j.m.Attr.Type == api.File {
			continue
		}
		n, err := d.load(j.m.Node)
		if err != nil {
			return nil, nil, err
		}
		if j.m.Op == api.OpCreate && n != nil && !n.dead && (n.isDir() || n.isFile() || n.typ == 'l') {
			all = append(all, d.exported(n))
		} else if n == nil || n.flags&flagAcked != 0 || n.dead { // of what is exported the rest is seen
			others = append(others, d.describeOp(&j.m))
		}
		if n != nil {
			d.letGo(n)
		}
	}
	slices.SortStableFunc(all, func(a, b export) int { return strings.Compare(a.path, b.path) })
	return all, others, nil
}

// wholePath is the path of an entry; locked. What can't be found any more is left out.
func (d *Drive) wholePath(up api.ID, name api.Name) string {
	path := string(name)
	for range 4096 { // not for ever in a damaged replica
		if up == d.root.id {
			break
		}
		p, err := d.load(up)
		if err != nil || p == nil {
			break
		}
		path = string(p.name) + "/" + path
		up = p.up
		d.letGo(p)
	}
	return path
}

// describeOp says what a mutation does, for people; locked.
func (d *Drive) describeOp(m *api.Mutation) string {
	from := d.wholePath(m.Parent, m.Name)
	switch m.Op {
	case api.OpRename, api.OpExchange, api.OpLink:
		to := from
		if m.Op == api.OpLink {
			if n, err := d.load(m.Node); err == nil && n != nil {
				from = d.wholePath(n.up, n.name)
			}
		} else {
			to = d.wholePath(m.ToParent, m.ToName)
		}
		return fmt.Sprintf("%s %s → %s", m.Op, from, to)
	case api.OpSetattr:
		if n, err := d.load(m.Node); err == nil && n != nil {
			from = d.wholePath(n.up, n.name)
		}
	}
	return fmt.Sprintf("%s %s", m.Op, from)
}

// write writes a piece of work below dir and tells whether there was something to write: a file that
// turns out to be what the server has is left out, as is one that is not whole when ctx ends.
func (e *export) write(ctx context.Context, dir string, content *os.File) (n int64, written bool, err error) {
	path, err := e.place(dir)
	if err != nil {
		return 0, false, err
	}
	switch e.typ {
	case 'd':
		err = os.Mkdir(path, 0o700)
		if errors.Is(err, os.ErrExist) { // made for what is in it
			err = nil
		}
		return 0, err == nil, err
	case 'l':
		return 0, true, os.Symlink(e.target, path)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	hash := sha256.New()
	if content != nil {
		if n, err = io.Copy(f, io.TeeReader(untilDone{ctx, content}, hash)); err != nil {
			return 0, false, errors.Join(err, os.Remove(path))
		}
	}
	if api.Hash(hash.Sum(nil)) == e.base {
		return 0, false, os.Remove(path)
	}
	if err := f.Chmod(os.FileMode(e.mode & 0o777)); err != nil {
		return n, true, err
	}
	mtime := time.Unix(0, e.mtime)
	return n, true, os.Chtimes(path, mtime, mtime)
}

// untilDone reads until its context ends.
type untilDone struct {
	ctx context.Context
	io.Reader
}

func (r untilDone) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.Reader.Read(p)
}

// place finds the path for a piece of work and makes the folders above it. No
// symlink is followed, and what is there already is left alone.
func (e *export) place(dir string) (string, error) {
	parts := strings.Split(e.path, "/")
	for i, name := range parts {
		last := i == len(parts)-1
		if name == "" || name == "." || name == ".." { // what a server may have called it, no kernel
			name = "_" + name
		}
		for k := 1; ; k++ {
			path := filepath.Join(dir, numbered(name, k))
			info, err := os.Lstat(path)
			switch {
			case errors.Is(err, os.ErrNotExist):
				if !last {
					if err := os.Mkdir(path, 0o700); err != nil {
						return "", err
					}
				}
			case err != nil:
				return "", err
			case !info.IsDir() || last && e.typ != 'd':
				continue // taken by something else
			}
			dir = path
			break
		}
	}
	return dir, nil
}

// numbered is the k-th choice of a name.
func numbered(name string, k int) string {
	if k == 1 {
		return name
	}
	ext := filepath.Ext(name)
	if ext == name { // a dot file
		ext = ""
	}
	tail := fmt.Sprintf(" (%d)%s", k, ext)
	base := strings.TrimSuffix(name, ext)
	if over := len(base) + len(tail) - api.MaxName; over > 0 {
		base = base[:len(base)-over]
	}
	return base + tail
}
