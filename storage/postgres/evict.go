package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"satchel/api"
)

// Evictable is a version that may give way where a quota is short: no file has it, but one in the trash may.
type Evictable struct {
	Version api.ID
	Since   int64 // when it ceased to be current, as far as that is known, or was made: µs
	Size    int64 // bytes
}

// Of a version v: whether it may give way, and since when.
const (
	evictable = `v.size > 0 AND NOT EXISTS (SELECT FROM nodes n WHERE n.drive = $1 AND n.version = v.id AND n.nlink > 0 OFFSET 0)`
	ofThePast = `coalesce((SELECT t.at ` + inTheTrash + `), (SELECT max(p.at) FROM past_nodes p WHERE p.drive = $1 AND p.version = v.id), v.created)`

	inTheTrash = `
		FROM nodes n CROSS JOIN LATERAL (SELECT node, at FROM trash t WHERE t.drive = $1 AND t.node = n.id OFFSET 0) t
		WHERE n.drive = $1 AND n.version = v.id ORDER BY t.at, t.node LIMIT 1`
)

// evictablePage is how many versions are looked at at once.
var evictablePage = 10_000

// Evictable looks at the drive's next versions after one of them, and tells which of them may give way. More is false when they were the last ones.
func (tx *Tx) Evictable(ctx context.Context, drive, after api.ID) (found []Evictable, last api.ID, more bool, err error) {
	rows, _ := tx.conn.Query(ctx, `
		SELECT v.id, v.size, CASE WHEN `+evictable+` THEN `+ofThePast+` END
		FROM (SELECT id, size, created FROM versions WHERE drive = $1 AND id > $2 ORDER BY id LIMIT $3) v
		ORDER BY v.id`, drive, pgtype.UUID{Bytes: after, Valid: true}, evictablePage)
	n := 0
	err = eachEvictable(rows, func(e Evictable, is bool) {
		n++
		last = e.Version
		if is {
			found = append(found, e)
		}
	})
	return found, last, n == evictablePage, err
}

// Replaced is what may give way of the versions that the drive's last changes replaced. Where its files nearly fill the quota that is
// all that there is, and it takes no look at all the others.
func (tx *Tx) Replaced(ctx context.Context, drive api.ID) (found []Evictable, err error) {
	rows, _ := tx.conn.Query(ctx, `
		SELECT v.id, v.size, `+ofThePast+`
		FROM (
			SELECT DISTINCT p.version
			FROM (
				SELECT DISTINCT x.id
				FROM (SELECT node, other FROM changes WHERE drive = $1 ORDER BY seq DESC LIMIT 1000) c
				CROSS JOIN LATERAL (VALUES (c.node), (c.other)) x (id)) c
			CROSS JOIN LATERAL (
				SELECT version FROM past_nodes p WHERE p.drive = $1 AND p.id = c.id ORDER BY p.until DESC LIMIT 100) p) k
		CROSS JOIN LATERAL (SELECT id, size, created FROM versions v WHERE v.drive = $1 AND v.id = k.version OFFSET 0) v
		WHERE `+evictable, drive)
	err = eachEvictable(rows, func(e Evictable, _ bool) { found = append(found, e) })
	return found, err
}

func eachEvictable(rows pgx.Rows, fn func(e Evictable, is bool)) error {
	var e Evictable
	var since *time.Time
	_, err := pgx.ForEachRow(rows, []any{&e.Version, &e.Size, &since}, func() error {
		if since != nil {
			e.Since = since.UnixMicro()
		}
		fn(e, since != nil)
		return nil
	})
	return err
}

// Evict removes versions that may give way, in this order, until what the drive has stored is down to a number of bytes: those that may, still,
// and since then. With one in the trash go the file that has it, and its history. Enough tells that it is down to that. The transaction locks the drive.
func (tx *Tx) Evict(ctx context.Context, drive, owner api.ID, some []Evictable, stored int64) (gone Expired, enough bool, err error) {
	locked, err := tx.Lock(ctx, drive, owner, Author{}, nil)
	if err != nil {
		return gone, false, err
	}
	need := locked.Drive.Stored - stored
	if need <= 0 {
		return gone, true, nil
	}
	rows, _ := tx.conn.Query(ctx, `
		SELECT v.id, v.size, (SELECT t.node `+inTheTrash+`)
		FROM unnest($2::uuid[], $3::timestamptz[]) WITH ORDINALITY k (id, since, nth)
		CROSS JOIN LATERAL (SELECT id, size, created FROM versions v WHERE v.drive = $1 AND v.id = k.id OFFSET 0) v
		WHERE `+evictable+` AND `+ofThePast+` = k.since
		ORDER BY k.nth`, drive,
		column(some, func(e *Evictable) api.ID { return e.Version }),
		column(some, func(e *Evictable) time.Time { return time.UnixMicro(e.Since) }))
	var versions, nodes []api.ID
	var version, node api.ID
	var size, found int64
	if _, err := pgx.ForEachRow(rows, []any{&version, &size, &node}, func() error {
		switch {
		case found >= need:
			return nil
		case node.IsZero():
			versions = append(versions, version)
		default:
			nodes = append(nodes, node)
		}
		found += size
		return nil
	}); err != nil {
		return gone, false, err
	}
	gone.Versions, gone.Trashed = len(versions), len(nodes)
	if gone.Bytes, err = tx.forget(ctx, drive, versions); err != nil {
		return gone, false, err
	}
	purged, err := tx.Purge(ctx, drive, nodes)
	gone.Bytes += purged
	return gone, gone.Bytes >= need, err
}
