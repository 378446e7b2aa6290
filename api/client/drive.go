package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"satchel/api"
)

// Drive is one drive as its device sees it. It is safe for concurrent use.
type Drive struct {
	c     *Client
	which string
	id    atomic.Pointer[string] // what "home" stands for, once known
}

// ID is the drive's id, zero for the home drive before [Drive.Info].
func (d *Drive) ID() (id api.ID) {
	which := d.which
	if known := d.id.Load(); known != nil {
		which = *known
	}
	id, _ = api.ParseID(which)
	return id
}

func (d *Drive) path(parts ...string) string {
	which := url.PathEscape(d.which)
	if id := d.id.Load(); id != nil {
		which = *id
	}
	return "/drives/" + which + strings.Join(parts, "")
}

func (d *Drive) get(ctx context.Context, path string, query url.Values, out any) error {
	return d.c.call(ctx, request{method: http.MethodGet, path: path, query: query}, nil, out)
}

// Info describes the drive. The home drive is made on first use; an admin has
// none ([api.Permission]).
func (d *Drive) Info(ctx context.Context) (api.DriveInfo, error) {
	var info api.DriveInfo
	if err := d.get(ctx, d.path(), nil, &info); err != nil {
		return info, err
	}
	id := info.ID.String()
	d.id.Store(&id)
	return info, nil
}

// Node is a node by its id.
func (d *Drive) Node(ctx context.Context, node api.ID) (api.Node, error) {
	var n api.Node
	err := d.get(ctx, d.path("/nodes/", node.String()), nil, &n)
	return n, err
}

// Lookup is the node at a path of raw bytes; "" is the root. Symlinks are not
// followed.
func (d *Drive) Lookup(ctx context.Context, path string) (api.Node, error) {
	var n api.Node
	err := d.get(ctx, d.path("/lookup"), url.Values{"path": {api.Name(path).Escape()}}, &n)
	return n, err
}

// Children is a page of at most limit entries of a directory, those after a
// name (empty: from the start), with their nodes and the directory's own. A
// limit of 0 is the server's default, 1000. Before the page is read, next (nil: nobody wants to know)
// gets the name after which the next one begins, if there is one.
func (d *Drive) Children(ctx context.Context, dir api.ID, after api.Name, limit int, next func(after api.Name)) (api.Listing, error) {
	query := url.Values{}
	if after != "" {
		query.Set("after", after.Escape())
	}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	var l api.Listing
	resp, err := d.c.send(ctx, request{method: http.MethodGet, path: d.path("/nodes/", dir.String(), "/children"), query: query})
	if err != nil {
		return l, err
	}
	defer resp.Body.Close()
	if name, err := url.QueryUnescape(resp.Header.Get(api.NextHeader)); next != nil && err == nil && name != "" {
		next(api.Unescape(name))
	}
	err = d.c.decode(resp, &l)
	return l, err
}

// Listings is the first pages of at most [api.MaxListings] directories, in their order and from one moment. All of them together have at most
// limit entries (0: the server's maximum, [api.MaxPage]). The last ones are missing where no room was left for them, the first never is.
func (d *Drive) Listings(ctx context.Context, dirs []api.ID, limit int) ([]api.Listed, error) {
	if len(dirs) == 0 {
		return nil, nil
	}
	question := struct {
		Dirs  []api.ID `json:"dirs"`
		Limit int      `json:"limit,omitempty"`
	}{dirs, limit}
	var answer []api.Listed
	if err := d.c.call(ctx, request{method: http.MethodPost, path: d.path("/listings")}, question, &answer); err != nil {
		return nil, err
	}
	if len(answer) == 0 || len(answer) > len(dirs) {
		return nil, api.Errorf(api.Internal, "%s answered for %d of %d directories", d.c.server, len(answer), len(dirs))
	}
	return answer, nil
}

// Commit applies a batch in one transaction, once, however often it is sent.
// [api.MissingChunks] asks to send chunks again and then the same batch.
func (d *Drive) Commit(ctx context.Context, b api.Batch) (api.Committed, error) {
	var done api.Committed
	r := request{method: http.MethodPost, path: d.path("/batches"), limit: d.c.limits.pack}
	if err := d.c.call(ctx, r, b, &done); err != nil {
		return done, err
	}
	if len(done.Outcomes) != len(b.Mutations) {
		return done, api.Errorf(api.Internal, "%s answered %d mutations with %d outcomes", d.c.server, len(b.Mutations), len(done.Outcomes))
	}
	return done, nil
}

// Missing is which of at most 10,000 chunks the drive's owner has not stored
// yet, as far as the caller may know.
func (d *Drive) Missing(ctx context.Context, hashes []api.Hash) ([]api.Hash, error) {
	if len(hashes) == 0 {
		return nil, nil
	}
	var answer struct {
		Missing []api.Hash `json:"missing"`
	}
	r := request{method: http.MethodPost, path: d.path("/missing")}
	err := d.c.call(ctx, r, map[string][]api.Hash{"hashes": hashes}, &answer)
	return answer.Missing, err
}

// PutPack stores a pack's chunks; the server verifies them. The pack must not
// change during the call nor, if that fails, afterwards: the connection may
// still be reading it.
func (d *Drive) PutPack(ctx context.Context, pack []byte) error {
	return d.c.call(ctx, request{
		method: http.MethodPost, path: d.path("/packs"), body: pack, limit: d.c.limits.pack,
		header: http.Header{"Content-Type": {"application/octet-stream"}},
	}, nil, nil)
}

// Content reads n bytes of a version of a file from an offset on; n < 0 reads
// to the end, a zero version is the current one. The context governs the
// reads too. Reads that get next to nothing for 30 s fail as [api.Unavailable], and
// so does content that ends early. The body also has
//
//	Take(n int) (int, error)
//	Put(f *os.File, off int64) (int, error)
//
// Take reads as Read does, up to n bytes, and Put writes what came since the last Put to f from off on, without a copy in between
// where the kernel can. Take returns 0 without an error where Put has to come first.
func (d *Drive) Content(ctx context.Context, node, version api.ID, off, n int64) (io.ReadCloser, error) {
	if n == 0 {
		return http.NoBody, nil
	}
	var conn *wideConn
	r := request{
		method: http.MethodGet, path: d.path("/nodes/", node.String(), "/content"),
		header: http.Header{"Accept-Encoding": {"identity"}},
		conn:   &conn,
	}
	if !version.IsZero() {
		r.query = url.Values{"version": {version.String()}}
	}
	ranged := off > 0 || n > 0
	if n > 0 {
		r.header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	} else if ranged {
		r.header.Set("Range", fmt.Sprintf("bytes=%d-", off))
	}
	resp, err := d.c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	if ranged && !rangeStarts(resp, off) {
		resp.Body.Close()
		return nil, api.Errorf(api.Unavailable, "%s did not send the part of the file that was asked for", d.c.server)
	}
	return newContentBody(resp, conn), nil
}

// rangeStarts tells whether an answer is a part that starts at an offset.
func rangeStarts(resp *http.Response, off int64) bool {
	return resp.StatusCode == http.StatusPartialContent &&
		strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", off))
}

// Binds lists the directories of the drive, the caller's own, that show directories of others, or did so until that ended.
func (d *Drive) Binds(ctx context.Context) ([]api.Bind, error) {
	var binds []api.Bind
	err := d.get(ctx, d.path("/binds"), url.Values{"ended": {"true"}}, &binds)
	return binds, err
}

// Changes waits for what others changed after a cursor, at most for wait (the
// server's bound is 60 s), and answers with an empty State that carries the
// present seq when there was nothing. An unknown cursor is [api.Resync].
func (d *Drive) Changes(ctx context.Context, life, epoch api.ID, after int64, wait time.Duration) (api.Changes, error) {
	query := url.Values{
		"after": {strconv.FormatInt(after, 10)},
		"wait":  {strconv.Itoa(int(wait.Seconds()))},
	}
	if !life.IsZero() {
		query.Set("incarnation", life.String())
	}
	if !epoch.IsZero() {
		query.Set("epoch", epoch.String())
	}
	var ch api.Changes
	r := request{method: http.MethodGet, path: d.path("/changes"), query: query, limit: wait + d.c.limits.answer}
	err := d.c.call(ctx, r, nil, &ch)
	return ch, err
}

// Reconnect closes the connections that nobody uses just now, as after the machine was suspended or its network
// changed: what they lead to may have forgotten them. Those that are used go on, unless they come from an address that
// this machine has no more; calls over these are made anew, or fail with [api.Unavailable].
func (d *Drive) Reconnect() {
	d.c.http.CloseIdleConnections()
	if p, ok := d.c.http.Transport.(interface{ dropStranded() }); ok {
		p.dropStranded()
	}
}
