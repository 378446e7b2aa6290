package server

import (
	"archive/zip"
	"context"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"satchel/api"
)

// How many archives one user may begin in a minute; the first ones at once.
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
	name := api.Name(t.mount)
	if path := t.shown(); len(path) > 0 {
		name = path[len(path)-1]
	}
	return s.archive(w, r, t.caller.User, string(name)+".zip", func(z *zip.Writer) error {
		if n.Type == api.Directory {
			return t.zipDir(r.Context(), z, n.ID, "")
		}
		return t.zipNode(r.Context(), z, n, zipName(name))
	})
}

// archive streams a ZIP archive that fill fills. A user may begin some a minute.
func (s *server) archive(w http.ResponseWriter, r *http.Request, user api.ID, name string, fill func(*zip.Writer) error) error {
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", contentDisposition("attachment", name))
	if r.Method == http.MethodHead { // which begins none
		return nil
	}
	if err := s.archives.Take(user, address(r)); err != nil {
		h.Del("Content-Disposition")
		return err
	}
	w.WriteHeader(http.StatusOK)
	z := zip.NewWriter(w)
	err := fill(z)
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
		return t.zipNode(ctx, z, n, prefix+zipName(name))
	})
}

// zipName is what a node is called in an archive: its name, in UTF-8. Names have no slash, but where a backslash is
// one, as on Windows, some could lead out of the directory that the archive is unpacked in.
func zipName(name api.Name) string {
	s := name.Escape()
	if parts := strings.Split(s, `\`); len(parts) > 1 && (parts[0] == "" || strings.HasSuffix(parts[0], ":") || slices.Contains(parts, "..")) {
		return strings.ReplaceAll(strings.Join(parts, "_"), ":", "_")
	}
	return s
}

// zipNode writes a node under a name, which never begins with a slash or has .. in it.
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
