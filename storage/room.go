package storage

import (
	"context"
	"io"

	"satchel/api"
	"satchel/storage/postgres"
)

// room is how large the content of one file may become.
type room struct {
	quota int64 // the owner's, for people
	bytes int64 // of the file; negative: no limit
}

// Room tells whether content of a size can be stored at a path within the
// owner's quota: [api.Quota] otherwise. It is for callers who know the size before
// the first byte; a commit decides for itself.
func (d *Drive) Room(ctx context.Context, path []api.Name, size int64) error {
	_, err := d.roomFor(ctx, path, size)
	return err
}

func (d *Drive) roomFor(ctx context.Context, path []api.Name, size int64) (limit room, err error) {
	limit, err = d.room(ctx, path)
	if err == nil && limit.bytes >= 0 && size > limit.bytes {
		err = limit.exceeded()
	}
	return limit, err
}

// Space is how much the drive's files have, and how much more the owner's quota
// lets them have, in bytes; free is negative if there is no limit.
func (d *Drive) Space(ctx context.Context) (used, free int64, err error) {
	info, err := d.Info(ctx)
	if err != nil {
		return 0, 0, err
	}
	left, err := d.room(ctx, nil)
	return info.Used, left.bytes, err
}

// mayStore refuses a guest's content before it is read: he must be able to
// change something where the path leads, as far as it does.
func (d *Drive) mayStore(ctx context.Context, tx *postgres.Tx, path []api.Name) error {
	deepest := d.root
	if len(path) > 0 {
		walked, err := tx.Walk(ctx, d.id, d.root, path)
		if err != nil {
			return err
		}
		if len(walked) > 0 {
			deepest = walked[len(walked)-1].ID
		}
	}
	held, err := tx.Permissions(ctx, d.id, deepest)
	if err == nil && held&(api.PermWrite|api.PermMkdir) == 0 {
		err = api.Errorf(api.Permission, "you may not do this here")
	}
	return err
}

// room is the limit of what replaces the file at a path, if there is one.
func (d *Drive) room(ctx context.Context, path []api.Name) (r room, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		if !d.own() { // the owner's quota is the commit's to see
			r.bytes = -1
			return d.mayStore(ctx, tx, path)
		}
		tx.Last()
		drive, walked, err := tx.DriveAndWalk(ctx, d.id, d.root, path)
		if err != nil || drive.Quota == 0 {
			r.bytes = -1
			return err
		}
		r = room{quota: drive.Quota, bytes: max(0, drive.Quota-drive.Elsewhere-drive.Used)}
		if len(path) > 0 && len(walked) == len(path) && walked[len(path)-1].Type == api.File {
			r.bytes += walked[len(path)-1].Size
		}
		return err
	})
	return r, err
}

func (r room) exceeded() error {
	return api.Errorf(api.Quota, "the quota of %d bytes has no room for it", r.quota)
}

// reader fails as soon as more is read than there is room for.
func (r room) reader(body io.Reader) io.Reader {
	if r.bytes < 0 {
		return body
	}
	return &roomReader{room: r, body: body}
}

type roomReader struct {
	room
	body io.Reader
	n    int64 // bytes read; at most one more than there is room for
}

func (r *roomReader) Read(b []byte) (int, error) {
	if r.n > r.bytes {
		return 0, r.exceeded()
	}
	n, err := r.body.Read(b[:min(int64(len(b)), r.bytes-r.n+1)])
	if r.n += int64(n); r.n > r.bytes {
		return n, r.exceeded()
	}
	return n, err
}
