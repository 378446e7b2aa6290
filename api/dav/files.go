package dav

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/webdav"

	"satchel/api"
	"satchel/api/serve"
	"satchel/storage"
)

// found is what a path leads to, or why it leads nowhere.
type found struct {
	storage.Reached
	err error
}

// lockPath is where locks are: in the home drive, wherever the bytes are.
func (f found) lockPath() string {
	return storage.LockPath(append(append([]api.Name(nil), f.Bound...), f.Real...))
}

// find looks a path of the request up. A symlink or a bind at its end is followed,
// unless it is the entry itself that is meant.
func (q *request) find(name string, follow bool) found {
	key := path.Clean("/" + name)
	if !follow {
		key += "\x00"
	}
	if f, ok := q.cache[key]; ok {
		return f
	}
	var f found
	names, err := api.ParsePath(name)
	if err == nil {
		f.Reached, err = q.Drives.Find(q.ctx, q.caller, names, storage.Finding{
			Resolving: storage.Resolving{Fold: q.fold, Follow: follow},
			Content:   q.method == http.MethodGet,
		})
	}
	if f.Home == nil {
		f.Home, f.Drive = q.drive, q.drive
	}
	if f.Node != nil && f.Node.Type != api.File && f.Node.Type != api.Directory && follow {
		f.Node = nil // devices and the like have no place here
		err = api.Errorf(api.NotFound, "this is neither a file nor a directory")
	}
	f.err = err
	q.remember(key, f)
	return f
}

func (q *request) remember(key string, f found) {
	if q.cache == nil {
		q.cache = map[string]found{}
	}
	q.cache[key] = f
}

// pathError is an error in the form in which x/net tells "not there" from others.
func (q *request) pathError(op, name string, err error) error {
	switch api.KindOf(err) {
	case api.NotFound, api.NotDirectory:
		return &os.PathError{Op: op, Path: name, Err: os.ErrNotExist}
	}
	q.refuse(err, 0)
	return &os.PathError{Op: op, Path: name, Err: err}
}

// failed notes why a change was refused. What RFC 4918 says about each method's
// status codes differs from what the kinds say.
func (q *request) failed(op, name string, err error) error {
	status := 0
	switch kind := api.KindOf(err); {
	case kind == api.NotFound && q.method != http.MethodDelete, kind == api.NotDirectory:
		status = http.StatusConflict // what should be above it is missing
	case (kind == api.Exists || kind == api.IsDirectory) && (q.method == "MKCOL" || q.method == http.MethodPut):
		status = http.StatusMethodNotAllowed
	case kind == api.Invalid && (q.method == "COPY" || q.method == "MOVE"):
		status = http.StatusForbidden
	}
	q.refuse(err, status)
	if status == http.StatusConflict {
		err = os.ErrNotExist
	}
	return &os.PathError{Op: op, Path: name, Err: err}
}

// done notes a change.
func (q *request) done() {
	q.cache, q.props, q.said, q.after = nil, nil, nil, nil
}

// entry tells whether a name itself is meant, wherever it leads: what is deleted, or replaced by what comes there.
func (q *request) entry(name string) bool {
	return q.method == http.MethodDelete || (q.method == "COPY" || q.method == "MOVE") && name == q.destination()
}

// respelled is the name that a move gives to what moves if that is the same in another case or Unicode form, so that where it moves to
// leads to itself.
func (q *request) respelled(to found, name string) (api.Name, bool) {
	if q.method != "MOVE" || name != q.destination() || to.Node == nil {
		return "", false
	}
	from := q.find(q.path, false)
	if from.Node == nil || !from.Drive.Same(to.Drive) || !slices.Equal(from.Real, to.Real) {
		return "", false
	}
	names, err := api.ParsePath(name)
	if err != nil || len(names) == 0 || len(to.Real) == 0 {
		return "", false
	}
	last := names[len(names)-1]
	return last, last != to.Real[len(to.Real)-1]
}

// Stat is part of [webdav.FileSystem].
func (q *request) Stat(_ context.Context, name string) (os.FileInfo, error) {
	f := q.find(name, !q.entry(name))
	if f.err != nil {
		return nil, q.pathError("stat", name, f.err)
	}
	if _, other := q.respelled(f, name); f.Node == nil || other { // what moves is not in its own way
		return nil, &os.PathError{Op: "stat", Path: name, Err: os.ErrNotExist}
	}
	return info{path.Base(path.Clean("/" + name)), f.Node}, nil
}

// Mkdir is part of [webdav.FileSystem]. In a COPY it copies the whole directory.
func (q *request) Mkdir(_ context.Context, name string, _ os.FileMode) error {
	f := q.find(name, !q.entry(name))
	err := f.err
	switch {
	case err != nil:
	case q.method == "COPY":
		err = q.copyTo(f)
	default:
		_, err = q.held(f.Drive).Mkdir(q.ctx, f.Real, false)
	}
	if err != nil {
		return q.failed("mkdir", name, err)
	}
	q.done()
	return nil
}

// OpenFile is part of [webdav.FileSystem].
func (q *request) OpenFile(ctx context.Context, name string, flag int, _ os.FileMode) (webdav.File, error) {
	if flag&os.O_CREATE != 0 {
		f := q.find(name, !q.entry(name))
		if f.err != nil {
			return nil, q.failed("open", name, f.err)
		}
		return &upload{q: q, name: name, to: f}, nil
	}
	i, err := q.Stat(ctx, name)
	if err != nil {
		return nil, err
	}
	return &file{q: q, name: name, info: i.(info)}, nil
}

// RemoveAll is part of [webdav.FileSystem]. In a COPY or MOVE it is the first
// step of a replacement that [request.Mkdir] and [request.Rename] do in one.
func (q *request) RemoveAll(_ context.Context, name string) error {
	if q.method != http.MethodDelete {
		return nil
	}
	f := q.find(name, false)
	err := f.err
	if err == nil {
		err = q.held(f.Drive).Remove(q.ctx, f.Real)
	}
	if err != nil {
		return q.failed("remove", name, err)
	}
	q.removed = append(f.Bound[:len(f.Bound):len(f.Bound)], f.Real...)
	q.done()
	return nil
}

// Rename is part of [webdav.FileSystem].
func (q *request) Rename(_ context.Context, from, to string) error {
	source, target := q.find(from, false), q.find(to, false)
	err := source.err
	if err == nil {
		err = target.err
	}
	if err != nil {
		return q.failed("rename", from, err)
	}
	if source.Node == nil {
		q.refuse(api.Errorf(api.NotFound, "there is no such file or directory"), 0)
		return &os.PathError{Op: "rename", Path: from, Err: os.ErrNotExist}
	}
	real := target.Real
	if name, ok := q.respelled(target, to); ok {
		real = append(slices.Clone(real[:len(real)-1]), name)
	}
	if !source.Drive.Same(target.Drive) {
		return q.failed("rename", from, errBetween())
	}
	_, err = q.held(source.Drive).Move(q.ctx, source.Real, real, storage.MoveOptions{Replace: q.r.Header.Get("Overwrite") != "F"})
	if err != nil {
		return q.failed("rename", from, err)
	}
	q.removed = append(source.Bound[:len(source.Bound):len(source.Bound)], source.Real...)
	q.done()
	return nil
}

// copyTo copies what the request names, in one step and without its bytes.
func (q *request) copyTo(to found) error {
	source := q.find(q.path, true)
	if source.err != nil {
		return source.err
	}
	if !source.Drive.Same(to.Drive) {
		return errBetween()
	}
	_, err := q.held(to.Drive).Copy(q.ctx, source.Real, to.Real, storage.CopyOptions{
		MoveOptions: storage.MoveOptions{Replace: q.r.Header.Get("Overwrite") != "F"},
		Shallow:     q.r.Header.Get("Depth") == "0",
	})
	return err
}

// errBetween is of what would go into or out of a bound directory: that is
// another drive, with other chunks, and perhaps another owner.
func errBetween() error {
	return api.Errorf(api.Permission, "this is in another drive: get it and put it there")
}

// beforeCopy refuses what x/net would look at locks for first: a copy or move to another server, or of nothing.
func (q *request) beforeCopy() error {
	if u, err := url.Parse(q.r.Header.Get("Destination")); err == nil && u.Path != "" && u.Path != q.Prefix && !strings.HasPrefix(u.Path, q.Prefix+"/") {
		q.refuse(api.Errorf(api.Invalid, "the Destination is not below %s/", q.Prefix), http.StatusBadGateway) // RFC 4918 section 9.9.4
		return q.err
	}
	f := q.find(q.path, q.method == "COPY")
	if f.err == nil && f.Node == nil {
		f.err = api.Errorf(api.NotFound, "there is no such file or directory")
	}
	if api.KindOf(f.err) == api.NotDirectory {
		f.err = api.Errorf(api.NotFound, "%w", f.err)
	}
	return cmp.Or(f.err, q.beforeChange())
}

// upload is a file that is written: by PUT from the request's body, by COPY
// from another file.
type upload struct {
	q    *request
	name string
	to   found

	stored *api.Node // what PUT made
}

// ReadFrom is what io.Copy calls with the whole of it.
func (u *upload) ReadFrom(body io.Reader) (n int64, err error) {
	q := u.q
	if q.method == "COPY" {
		if err := q.copyTo(u.to); err != nil {
			return 0, q.failed("copy", u.name, err)
		}
		q.done()
		return 0, nil
	}
	count := &counting{r: body}
	node, created, err := q.held(u.to.Drive).Put(q.ctx, u.to.Real, count, storage.PutOptions{
		NoParents: true, Mtime: q.sentMtime(), Size: max(0, q.r.ContentLength),
	})
	if err != nil {
		return count.n, q.failed("write", u.name, err)
	}
	q.created = created
	q.done()
	u.stored = &node
	return count.n, nil
}

type counting struct {
	r io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (u *upload) Close() error { return nil }

func (u *upload) Stat() (os.FileInfo, error) {
	if u.stored != nil {
		return info{path.Base(path.Clean("/" + u.name)), u.stored}, nil
	}
	return u.q.Stat(u.q.ctx, u.name)
}

// x/net writes files by ReadFrom alone.
func (u *upload) Write([]byte) (int, error)          { return 0, os.ErrInvalid }
func (u *upload) Read([]byte) (int, error)           { return 0, os.ErrInvalid }
func (u *upload) Seek(int64, int) (int64, error)     { return 0, os.ErrInvalid }
func (u *upload) Readdir(int) ([]os.FileInfo, error) { return nil, os.ErrInvalid }

// beforePut refuses what can be refused before the body is sent.
func (q *request) beforePut() error {
	if err := serve.Whole(q.r.Header); err != nil {
		return err
	}
	if strings.HasSuffix(q.path, "/") {
		return api.Errorf(api.Invalid, "the path %q names a directory", q.path)
	}
	// io.Copy shall ask the upload to read, not an empty body to write itself.
	q.r.Body = struct{ io.ReadCloser }{q.r.Body}
	f := q.find(q.path, true)
	if f.err != nil {
		return nil // x/net finds it too, and says so in its order
	}
	if err := q.preconditions().Hold(present(f.Node)); err != nil {
		return err
	}
	if n := len(f.Real); f.Node == nil && n > 1 {
		if _, above, err := f.Drive.Resolve(q.ctx, f.Real[:n-1], storage.Resolving{}); err != nil || above == nil {
			q.refuse(api.Errorf(api.NotFound, "there is no directory to put it in"), http.StatusConflict)
			return q.err
		}
	}
	return nil
}

// sentMtime is the time of the file that ownCloud's clients, and rclone's
// remote for them, send with a PUT: seconds since 1970. 0 if there is none.
func (q *request) sentMtime() int64 {
	s, err := strconv.ParseFloat(q.r.Header.Get("X-OC-Mtime"), 64)
	if err != nil || s <= 0 || s > 1<<33 {
		return 0
	}
	return int64(s * float64(time.Second))
}
