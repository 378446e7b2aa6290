package server

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"satchel/api"
	"satchel/api/auth"
	"satchel/api/web"
	"satchel/storage"
)

// folderPage is how many entries a page of a folder has.
const folderPage = 300

// webFolder lists a directory, sorted, a page at a time.
func (s *server) webFolder(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	if id.Role == auth.Admin {
		return back(w, r, "/people")
	}
	path, err := webPath(r.PathValue("path"))
	if err != nil {
		return err
	}
	d, err := s.webHome(r, id)
	if err != nil {
		return err
	}
	info, err := d.Info(r.Context())
	if err != nil {
		return err
	}
	here, rest, err := d.Through(r.Context(), path) // a bind leads into another drive
	if err != nil {
		return err
	}
	dir, err := here.Lookup(r.Context(), rest)
	switch {
	case api.KindOf(err) == api.NotFound && len(path) > 0:
		return back(w, r, "/browse/")
	case err != nil:
		return err
	case dir.Type != api.Directory:
		return back(w, r, fileURL(path))
	}
	entries, err := s.entries(r.Context(), here, dir.ID, path)
	if err != nil {
		return err
	}
	about, err := here.About(r.Context(), rest)
	if err != nil {
		return err
	}
	sort := r.URL.Query().Get("sort")
	sortEntries(entries, sort)
	from, _ := strconv.Atoi(r.URL.Query().Get("from"))
	from = min(max(from, 0), len(entries))
	v := web.Folder{
		Page: pageOf(id, "Files", "files"), Crumbs: crumbs(path), Sorts: sorts(sort), Total: len(entries), First: from == 0,
		Entries: entries[from:min(from+folderPage, len(entries))], Zip: pathURL("/api/vfs/compress/home/", path), Public: about.Public,
		Usage: web.Usage{Used: info.Used, Stored: info.Stored, Quota: info.Quota, Files: info.Files},
		Epoch: info.Epoch, Seq: info.Seq, Address: s.shownAddress(r), Email: id.Email,
	}
	if len(path) > 0 {
		v.Path, v.Title = webText(path)+"/", path[len(path)-1].Escape()
	}
	if next := from + folderPage; next < len(entries) {
		v.More = "?" + url.Values{"sort": {sort}, "from": {strconv.Itoa(next)}}.Encode()
	}
	s.render(w, r, http.StatusOK, v)
	return nil
}

// entries reads a whole directory; path is where it shows. Folders show how much is in them.
func (s *server) entries(ctx context.Context, d *storage.Drive, dir api.ID, path []api.Name) ([]web.Entry, error) {
	var all []web.Entry
	var dirs []api.ID
	ids := map[int]api.ID{}
	for after := api.Name(""); ; {
		page, err := d.Children(ctx, dir, after, storage.MaxPage)
		if err != nil {
			return nil, err
		}
		nodes := make(map[api.ID]*api.Node, len(page.Nodes))
		for i := range page.Nodes {
			nodes[page.Nodes[i].ID] = &page.Nodes[i]
		}
		for _, e := range page.Entries {
			n := nodes[e.Node]
			if n == nil {
				continue
			}
			at := append(slices.Clip(path), e.Name)
			row := web.Entry{Name: e.Name.Escape(), Path: webText(at), Size: n.Size, Modified: time.Unix(0, n.Mtime),
				Conflict: strings.Contains(string(e.Name), " (conflict, "), URL: fileURL(at)}
			switch n.Type {
			case api.Directory:
				row.Folder, row.URL = true, browseURL(at)
				ids[len(all)] = n.ID
				dirs = append(dirs, n.ID)
			case api.Symlink:
				row.Kind = "link to " + n.Target.Escape()
			case api.FIFO, api.Socket, api.BlockDevice, api.CharDevice:
				row.Kind = "special"
			}
			all = append(all, row)
		}
		if !page.More || len(page.Entries) == 0 {
			break
		}
		after = page.Entries[len(page.Entries)-1].Name
	}
	if len(dirs) > 0 && len(dirs) <= 1000 {
		sizes, err := d.Sizes(ctx, dirs)
		if err != nil {
			return nil, err
		}
		for i, id := range ids {
			all[i].Size = sizes[id]
		}
	}
	return all, nil
}

var columns = []struct{ label, word string }{{"Name", "name"}, {"Size", "size"}, {"Changed", "changed"}}

// sortEntries puts folders first; a leading "-" turns the order round.
func sortEntries(all []web.Entry, by string) {
	word, down := strings.CutPrefix(by, "-")
	slices.SortStableFunc(all, func(a, b web.Entry) int {
		if a.Folder != b.Folder {
			if a.Folder {
				return -1
			}
			return 1
		}
		c := 0
		switch word {
		case "size":
			c = cmp.Compare(a.Size, b.Size)
		case "changed":
			c = a.Modified.Compare(b.Modified)
		default:
			c = cmp.Or(cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.Name, b.Name))
		}
		if down {
			c = -c
		}
		return c
	})
}

func sorts(by string) (all []web.Sort) {
	word, down := strings.CutPrefix(by, "-")
	for i, c := range columns {
		s := web.Sort{Label: c.label, URL: "?sort=" + c.word, Number: c.word != "name"}
		if word == c.word || word == "" && i == 0 {
			s.Active, s.URL = "ascending", "?sort=-"+c.word
			if down {
				s.Active, s.URL = "descending", "?sort="+c.word
			}
		}
		all = append(all, s)
	}
	return all
}
