package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"satchel/api"
)

// Versions lists the versions of a document, the newest first.
func (d *Drive) Versions(ctx context.Context, doc api.ID) ([]api.FileVersion, error) {
	var versions []api.FileVersion
	err := d.get(ctx, d.path("/documents/", doc.String(), "/versions"), nil, &versions)
	return versions, err
}

// RestoreVersion makes a version of a document its current one again; it
// returns the file.
func (d *Drive) RestoreVersion(ctx context.Context, doc, version api.ID) (api.Node, error) {
	var n api.Node
	path := d.path("/documents/", doc.String(), "/versions/", version.String(), "/restore")
	err := d.c.call(ctx, request{method: http.MethodPost, path: path}, nil, &n)
	return n, err
}

// Trash is a page of at most limit deleted things (0: the server's default,
// 100), the last deleted first: those deleted before a change, or all for 0.
func (d *Drive) Trash(ctx context.Context, before int64, limit int) (api.TrashPage, error) {
	query := url.Values{}
	if before > 0 {
		query.Set("before", strconv.FormatInt(before, 10))
	}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	var page api.TrashPage
	err := d.get(ctx, d.path("/trash"), query, &page)
	return page, err
}

// RestoreTrash brings a deleted file or tree back.
func (d *Drive) RestoreTrash(ctx context.Context, node api.ID) (api.Restored, error) {
	var done api.Restored
	r := request{method: http.MethodPost, path: d.path("/trash/restore"), once: true, limit: d.c.limits.pack}
	err := d.c.call(ctx, r, map[string]api.ID{"node": node}, &done)
	return done, err
}

// EmptyTrash removes what is in the trash for good.
func (d *Drive) EmptyTrash(ctx context.Context) (api.Emptied, error) {
	var gone api.Emptied
	err := d.c.call(ctx, request{method: http.MethodDelete, path: d.path("/trash"), limit: d.c.limits.pack}, nil, &gone)
	return gone, err
}

// RestoreAt makes the whole drive what it was at a point in its past. A dry one only tells what that would take.
func (d *Drive) RestoreAt(ctx context.Context, p api.Point, dry bool) (api.Restored, error) {
	at := strconv.FormatInt(p.Seq, 10)
	if !p.Time.IsZero() {
		at = p.Time.Format(time.RFC3339Nano)
	}
	var done api.Restored
	r := request{method: http.MethodPost, path: d.path("/restore"), once: true, limit: d.c.limits.pack}
	err := d.c.call(ctx, r, map[string]any{"at": at, "dry_run": dry}, &done)
	return done, err
}
