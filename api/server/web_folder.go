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
	"satchel/api/serve"
	"satchel/api/web"
	"satchel/storage"
	"satchel/storage/postgres"
)

// folderPage is how many entries a page of a folder has.
const folderPage = 200

// maxFolderPage is how many a script may want that shows more of them already.
const maxFolderPage = 10_000

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
	var dir api.Node
	if err == nil {
		dir, err = here.Lookup(r.Context(), rest)
	}
	switch {
	case api.KindOf(err) == api.NotFound && len(path) > 0:
		return back(w, r, "/browse/?missing")
	case err != nil:
		return err
	case dir.Type != api.Directory:
		return back(w, r, fileURL(path)) // which knows what else it may be
	}
	query, sort := strings.TrimSpace(r.URL.Query().Get("q")), r.URL.Query().Get("sort")
	l := &folderList{Share: s.pageShare(r, id.User)}
	defer l.Close()
	if query == "" {
		err = here.ReadBrief(r.Context(), dir.ID, l)
	} else {
		l.all, err = found(r.Context(), here, dir.ID, path, query)
	}
	all := l.all
	bySize := strings.TrimPrefix(sort, "-") == "size"
	if err == nil && bySize {
		err = measure(r.Context(), here, all)
	}
	if err != nil {
		return err
	}
	about, err := here.About(r.Context(), rest)
	if err != nil {
		return err
	}
	if query == "" || sort != "" { // else the best is first
		sortEntries(all, sort)
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("from"))
	from = min(max(from, 0), len(all))
	count, _ := strconv.Atoi(r.URL.Query().Get("count"))
	next := from + min(max(count, folderPage), maxFolderPage)
	shown := all[from:min(next, len(all))]
	if !bySize {
		if err := measure(r.Context(), here, shown); err != nil {
			return err
		}
	}
	v := web.Folder{
		Page: pageOf(id, "Files", "files"), Crumbs: crumbs(path), Sorts: sorts(sort, query), Total: len(all), Query: query, Cut: len(all) == maxShown,
		Entries: dress(shown, path), Zip: pathURL("/api/vfs/compress/home/", path), Share: pathURL("/share/", path),
		Usage: web.Usage{Used: info.Used, Stored: info.Stored, Quota: info.Quota, Files: info.Files}, Fresh: info.Files == 0 && len(path) == 0,
		Epoch: info.Epoch, Seq: info.Seq, Address: s.shownAddress(r), Email: id.Email,
	}
	if here.Same(d) {
		if err := s.nameSharers(r.Context(), id, v.Entries); err != nil {
			return err
		}
	}
	if r.URL.Query().Has("out") {
		v.Alert = "That is not among your files any more. Whoever shares it still has it; as long as he does, it is on the page Shared."
	}
	if r.URL.Query().Has("missing") {
		v.Alert = "There is no such folder, or not any more. These are all your files."
	}
	if v.Deleted, err = justDeleted(r, d); err != nil {
		return err
	}
	for i := range all {
		if all[i].conflict() {
			v.Conflicts++
		}
	}
	if about.Public {
		v.Shared = "Everybody can read what is in this folder."
	}
	if len(path) > 0 {
		v.At, v.Path, v.Title = webText(path), webText(path)+"/", path[len(path)-1].Escape()
	}
	if next < len(all) {
		v.More = "?" + folderQuery(sort, query, strconv.Itoa(next))
	}
	l.Begin() // who is slow to take the page holds no more than that
	s.render(w, r, http.StatusOK, v)
	return nil
}

// justDeleted is what a form that leads to a folder has moved to the trash, if it is still there.
func justDeleted(r *http.Request, d *storage.Drive) (*web.Trashed, error) {
	node, err := api.ParseID(r.URL.Query().Get("deleted"))
	if err != nil {
		return nil, nil // nothing was
	}
	page, err := d.Trash(r.Context(), 0, 0)
	if err != nil {
		return nil, err
	}
	for _, t := range page.Items {
		if t.Node == node {
			return &web.Trashed{Node: t.Node, Path: t.Path.Escape(), Folder: t.Type == api.Directory}, nil
		}
	}
	return nil, nil
}

// listed is an entry that may be shown: of a large folder most are not, and are only put in order.
type listed struct {
	postgres.Brief
	shown, key string     // its name as it is shown, and in lower case
	dressed    *web.Entry // what a search found is that already
}

func (e *listed) folder() bool { return e.Type == api.Directory }

func (e *listed) conflict() bool { return e.Type == api.File && storage.IsConflict(e.Name) }

// dress makes of entries all that is shown; path is where their folder shows.
func dress(all []listed, path []api.Name) []web.Entry {
	shown := make([]web.Entry, len(all))
	for i, e := range all {
		if e.dressed != nil {
			shown[i] = *e.dressed
			continue
		}
		n := api.Node{ID: e.ID, Version: e.Version, Type: e.Type, Size: e.Size, Mtime: e.Mtime, Target: e.Target}
		shown[i] = line(&n, append(slices.Clip(path), e.Name))
	}
	return shown
}

// folderList is a whole directory. Close gives its room back.
type folderList struct {
	all []listed
	serve.Share
}

// Begin makes the list empty.
func (l *folderList) Begin() {
	l.Close()
	l.all = nil
}

// listedBytes is what an entry holds but for its texts: the slice grows by copying, so that for a moment there are nearly two.
const listedBytes = 350

// Add adds an entry.
func (l *folderList) Add(b postgres.Brief) error {
	e := listed{Brief: b, shown: b.Name.Escape()}
	e.key = strings.ToLower(e.shown)
	l.all = append(l.all, e)
	return l.Grow(listedBytes + 3*len(b.Name) + len(b.Target))
}

// maxSized is how many folders' sizes a page asks for.
const maxSized = 1000

// measure tells how much is in the folders among entries.
func measure(ctx context.Context, d *storage.Drive, all []listed) error {
	var dirs []api.ID
	for _, e := range all {
		if e.folder() && e.dressed == nil && len(dirs) < maxSized {
			dirs = append(dirs, e.ID)
		}
	}
	if len(dirs) == 0 {
		return nil
	}
	sizes, err := d.Sizes(ctx, dirs)
	for i := range all {
		if e := &all[i]; e.folder() && e.dressed == nil {
			e.Size = sizes[e.ID]
		}
	}
	return err
}

// line is a node as a list has it; path is where it shows.
func line(n *api.Node, path []api.Name) web.Entry {
	name := path[len(path)-1]
	row := web.Entry{Name: name.Escape(), Path: webText(path), Size: n.Size, Modified: time.Unix(0, n.Mtime), URL: fileURL(path), Icon: "file"}
	switch n.Type {
	case api.Directory:
		row.Folder, row.URL, row.Icon = true, browseURL(path), "folder"
	case api.Symlink:
		row.Kind = "link to " + n.Target.Escape()
	case api.FIFO, api.Socket, api.BlockDevice, api.CharDevice:
		row.Kind = "special"
	default:
		row.Conflict = storage.IsConflict(name)
		mediaType := storage.ContentType(string(name))
		if kind := preview(mediaType, 1); kind != "" {
			row.Icon = kind
		} else if strings.HasPrefix(mediaType, "text/") {
			row.Icon = "text"
		}
		if storage.Pictured(string(name), n.Size) {
			row.Thumb = pathURL("/thumb/", path) + "?v=" + n.Version.String()
		}
	}
	return row
}

// maxShown is how many things a search shows.
const maxShown = 200

// found is what a search finds below a directory, the best first.
func found(ctx context.Context, d *storage.Drive, dir api.ID, path []api.Name, query string) ([]listed, error) {
	results, err := d.Search(ctx, dir, query, query, maxShown)
	if err != nil {
		return nil, err
	}
	all := make([]listed, 0, len(results))
	for _, f := range results {
		below, err := api.ParsePath(string(f.Path))
		if err != nil || len(below) == 0 {
			continue // a name that no path can have
		}
		row := line(&f.Node, append(slices.Clip(path), below...))
		row.In = webText(below[:len(below)-1])
		b := postgres.Brief{Name: below[len(below)-1], Type: f.Node.Type, Size: f.Node.Size, Mtime: f.Node.Mtime}
		all = append(all, listed{Brief: b, shown: row.Name, key: strings.ToLower(row.Name), dressed: &row})
	}
	return all, nil
}

// folderQuery is the query of a folder's page.
func folderQuery(sort, query, from string) string {
	q := url.Values{}
	for name, value := range map[string]string{"sort": sort, "q": query, "from": from} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q.Encode()
}

var columns = []struct{ label, word string }{{"Name", "name"}, {"Size", "size"}, {"Changed", "changed"}}

// sortEntries puts folders first; a leading "-" turns the order round.
func sortEntries(all []listed, by string) {
	word, down := strings.CutPrefix(by, "-")
	slices.SortStableFunc(all, func(a, b listed) int {
		if a.folder() != b.folder() {
			if a.folder() {
				return -1
			}
			return 1
		}
		c := 0
		switch word {
		case "size":
			c = cmp.Compare(a.Size, b.Size)
		case "changed":
			c = cmp.Compare(a.Mtime, b.Mtime)
		default:
			c = cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.shown, b.shown))
		}
		if down {
			c = -c
		}
		return c
	})
}

func sorts(by, query string) (all []web.Sort) {
	word, down := strings.CutPrefix(by, "-")
	for i, c := range columns {
		s := web.Sort{Label: c.label, URL: "?" + folderQuery(c.word, query, ""), Number: c.word != "name"}
		if word == c.word || word == "" && i == 0 && query == "" {
			s.Active, s.URL = "ascending", "?"+folderQuery("-"+c.word, query, "")
			if down {
				s.Active, s.URL = "descending", "?"+folderQuery(c.word, query, "")
			}
		}
		all = append(all, s)
	}
	return all
}
