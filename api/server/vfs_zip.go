package server

import (
	"archive/zip"
	"context"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"sync"
	"time"

	"satchel/api"
)

// How many archives one user may begin in a minute.
const archivesPerMinute = 3

// vfsCompress streams a directory, or a file, as a ZIP archive. Large files and
// many of them are written as ZIP64 by themselves. Nothing is stored meanwhile.
func (s *server) vfsCompress(w http.ResponseWriter, r *http.Request, t *vfsTarget) error {
	if t.caller.User.IsZero() {
		return api.Errorf(api.Unauthenticated, "log in first")
	}
	n, err := t.find(r.Context(), api.PermRead|api.PermList)
	if err != nil {
		return err
	}
	if wait := s.archives.take(t.caller.User, time.Now()); wait > 0 {
		return &api.Error{Kind: api.RateLimited, Message: "at most 3 archives a minute: wait before the next one", RetryAfter: wait}
	}
	name := api.Name(t.mount)
	if len(t.path) > 0 {
		name = t.path[len(t.path)-1]
	}
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name.Escape() + ".zip"}))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	z := zip.NewWriter(w)
	if n.Type == api.Directory {
		err = t.zipDir(r.Context(), z, n.ID, "")
	} else {
		err = t.zipNode(r.Context(), z, n, name.Escape())
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		if r.Context().Err() == nil {
			s.log.Error("an archive broke off", "err", err)
		}
		panic(http.ErrAbortHandler) // so that the client can't take it for whole
	}
	return nil
}

func (t *vfsTarget) zipDir(ctx context.Context, z *zip.Writer, dir api.ID, prefix string) error {
	return t.each(ctx, dir, func(name api.Name, n api.Node) error {
		return t.zipNode(ctx, z, n, prefix+name.Escape())
	})
}

// zipNode writes a node. Names are UTF-8 and never begin with a slash or have
// .. in them: entries are called as nodes are.
func (t *vfsTarget) zipNode(ctx context.Context, z *zip.Writer, n api.Node, name string) error {
	h := zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Unix(0, n.Mtime)}
	h.SetMode(fs.FileMode(n.Mode & 0o777))
	switch n.Type {
	case api.Directory:
		h.Name, h.Method = name+"/", zip.Store
		h.SetMode(fs.ModeDir | fs.FileMode(n.Mode&0o777))
		if _, err := z.CreateHeader(&h); err != nil {
			return err
		}
		return t.zipDir(ctx, z, n.ID, name+"/")
	case api.File:
	default:
		return nil // links and devices mean nothing elsewhere
	}
	c, err := t.drive.Content(ctx, n.ID, api.ID{})
	if api.KindOf(err) == api.NotFound {
		return nil // removed, or hidden, since it was listed
	}
	if err != nil {
		return err
	}
	body, err := c.Open(ctx, 0, -1)
	if err != nil {
		return err
	}
	defer body.Close()
	f, err := z.CreateHeader(&h)
	if err == nil {
		_, err = io.Copy(f, body)
	}
	return err
}

// perMinute bounds how often each user does something. It is safe for
// concurrent use.
type perMinute struct {
	limit int

	mu   sync.Mutex
	past map[api.ID][]time.Time // of the last minute, per user
}

// take counts one, or tells how long to wait for it.
func (p *perMinute) take(user api.ID, now time.Time) (wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.past == nil {
		p.past = map[api.ID][]time.Time{}
	}
	for id, times := range p.past {
		for len(times) > 0 && now.Sub(times[0]) >= time.Minute {
			times = times[1:]
		}
		if p.past[id] = times; len(times) == 0 {
			delete(p.past, id)
		}
	}
	times := p.past[user]
	if len(times) >= p.limit {
		return times[0].Add(time.Minute).Sub(now)
	}
	p.past[user] = append(times, now)
	return 0
}
