package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/storage/tree"
)

// Holder is the node that has a document: a live one, or one in the trash. A
// document that has neither is [api.NotFound].
func (tx *Tx) Holder(ctx context.Context, drive, doc api.ID) (node api.ID, err error) {
	err = tx.conn.QueryRow(ctx, `
		SELECT n.id FROM nodes n
		WHERE n.drive = $1 AND n.document = $2
		  AND (n.nlink > 0 OR EXISTS (SELECT FROM trash t WHERE t.drive = $1 AND t.node = n.id))`, drive, doc).Scan(&node)
	if errors.Is(err, pgx.ErrNoRows) {
		err = api.Errorf(api.NotFound, "there is no such file")
	}
	return node, err
}

// ofDocument is the versions v of a document $2: those that were written to
// it, and its current one, which it may share with the file that it is a copy of.
const ofDocument = `
	v.drive = $1 AND (v.document = $2 OR v.id = (SELECT n.version FROM nodes n WHERE n.drive = $1 AND n.document = $2))`

// Versions lists the versions of a document, the newest first.
func (tx *Tx) Versions(ctx context.Context, drive, doc api.ID) ([]api.FileVersion, error) {
	rows, _ := tx.conn.Query(ctx, `
		SELECT v.id, v.size, v.sha256, v.created, v.device, coalesce(s.name, ''),
			coalesce(v.id = (SELECT n.version FROM nodes n WHERE n.drive = $1 AND n.document = $2 AND n.nlink > 0), false)
		FROM versions v LEFT JOIN sessions s ON s.id = v.device
		WHERE `+ofDocument+`
		ORDER BY v.created DESC, v.id DESC`, drive, doc)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (v api.FileVersion, err error) {
		err = row.Scan(&v.ID, &v.Size, &v.SHA256, &v.Time, &v.Device, &v.DeviceName, &v.Current)
		return v, err
	})
}

// DocumentVersion is one of a document's versions, without its chunks; one
// that is not there is [api.NotFound].
func (tx *Tx) DocumentVersion(ctx context.Context, drive, doc, id api.ID) (v tree.Version, err error) {
	err = tx.conn.QueryRow(ctx, `
		SELECT v.id, v.size, v.sha256, v.node, v.document, v.time FROM versions v
		WHERE v.id = $3 AND `+ofDocument, drive, doc, id).
		Scan(&v.ID, &v.Size, &v.SHA256, &v.Node, &v.Document, &v.Time)
	if errors.Is(err, pgx.ErrNoRows) {
		err = api.Errorf(api.NotFound, "the file has no such version, or it is not kept any more")
	}
	return v, err
}

// OwnedDrive names a drive and its owner.
type OwnedDrive struct{ Drive, Owner api.ID }

// AllDrives is the drives of all users. It finds none in a user's transaction.
func (tx *Tx) AllDrives(ctx context.Context) ([]OwnedDrive, error) {
	rows, _ := tx.conn.Query(ctx, `SELECT drive, owner FROM all_drives()`)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[OwnedDrive])
}

// Expired tells what was removed of drives' pasts.
type Expired struct {
	Versions int   // of files that live on
	Trashed  int   // things in the trash
	Bytes    int64 // sizes of all versions that went
}

// Add adds up.
func (e *Expired) Add(o Expired) {
	e.Versions += o.Versions
	e.Trashed += o.Trashed
	e.Bytes += o.Bytes
}

// liveDevice is how recently a device must have been seen for what it may be
// working on to be kept.
const liveDevice = 30 * 24 * time.Hour

// Expire removes what is older than the retention of a drive: the transaction
// locks it.
func (tx *Tx) Expire(ctx context.Context, drive, owner api.ID, all, daily, trash time.Duration) (gone Expired, err error) {
	locked, err := tx.Lock(ctx, drive, owner, Author{}, nil)
	if err != nil {
		return gone, err
	}
	// What was current when the device that was away longest looked last may
	// be what it works on.
	var now, allBefore, trashBefore time.Time
	err = tx.conn.QueryRow(ctx, `
		SELECT now(), least(now() - $2::interval, seen), least(now() - $3::interval, seen)
		FROM (SELECT min(seen) AS seen FROM sessions
			WHERE user_id = $1 AND kind = 'device' AND revoked IS NULL AND seen > now() - $4::interval) s`,
		owner, all, trash, liveDevice).Scan(&now, &allBefore, &trashBefore)
	if err != nil {
		return gone, err
	}
	// The order of changes is that of their times, but for transactions that
	// waited for each other.
	var since int64
	err = tx.conn.QueryRow(ctx, `
		SELECT coalesce((SELECT seq - 1 FROM changes WHERE drive = $1 AND seq > $2 AND at >= $3 ORDER BY seq LIMIT 1), $4)`,
		drive, locked.Drive.Since, allBefore, locked.Drive.Seq).Scan(&since)
	if err != nil {
		return gone, err
	}
	var batch pgx.Batch
	batch.Queue(`DELETE FROM past_entries WHERE drive = $1 AND died <= $2`, drive, since)
	batch.Queue(`DELETE FROM past_nodes WHERE drive = $1 AND until <= $2`, drive, since)
	batch.Queue(`UPDATE drives SET since = greatest(since, $2) WHERE id = $1`, drive, since)
	var nodes []api.ID
	batch.Queue(`SELECT node FROM trash WHERE drive = $1 AND at < $2`, drive, trashBefore).Query(func(rows pgx.Rows) (err error) {
		nodes, err = pgx.CollectRows(rows, pgx.RowTo[api.ID])
		return err
	})
	// Nodes whose documents moved on to others, when nothing of their past is left.
	batch.Queue(`
		DELETE FROM nodes n WHERE n.drive = $1 AND n.nlink = 0
		  AND NOT EXISTS (SELECT FROM trash t WHERE t.drive = $1 AND t.node = n.id)
		  AND NOT EXISTS (SELECT FROM past_nodes p WHERE p.drive = $1 AND p.id = n.id)`, drive)
	if err := tx.conn.SendBatch(ctx, &batch).Close(); err != nil {
		return gone, err
	}
	if gone.Bytes, err = tx.Purge(ctx, drive, nodes); err != nil {
		return gone, err
	}
	gone.Trashed = len(nodes)
	old, err := tx.superfluous(ctx, drive, now.Add(-daily), allBefore)
	if err != nil {
		return gone, err
	}
	bytes, err := tx.forget(ctx, drive, old)
	gone.Versions, gone.Bytes = len(old), gone.Bytes+bytes
	return gone, err
}

// superfluous is the versions that nothing refers to and that are older than
// daily, or older than all and not the last one of their day.
func (tx *Tx) superfluous(ctx context.Context, drive api.ID, daily, all time.Time) ([]api.ID, error) {
	rows, _ := tx.conn.Query(ctx, `
		SELECT v.id FROM versions v
		WHERE v.drive = $1 AND v.created < $3
		  AND NOT EXISTS (SELECT FROM nodes n WHERE n.drive = $1 AND n.version = v.id)
		  AND NOT EXISTS (SELECT FROM past_nodes p WHERE p.drive = $1 AND p.version = v.id)
		  AND (v.created < $2 OR EXISTS (
			SELECT FROM versions w
			WHERE w.drive = $1 AND w.document = v.document AND (w.created, w.id) > (v.created, v.id)
			  AND (w.created AT TIME ZONE 'UTC')::date = (v.created AT TIME ZONE 'UTC')::date))`, drive, daily, all)
	return pgx.CollectRows(rows, pgx.RowTo[api.ID])
}

// forget removes versions that no node refers to which can come back, and the
// remains of nodes that had them. The result is their size.
func (tx *Tx) forget(ctx context.Context, drive api.ID, versions []api.ID) (bytes int64, err error) {
	if len(versions) == 0 {
		return 0, nil
	}
	var batch pgx.Batch
	batch.Queue(`DELETE FROM nodes WHERE drive = $1 AND version = ANY ($2) AND nlink = 0`, drive, versions)
	batch.Queue(`
		WITH gone AS (DELETE FROM versions WHERE drive = $1 AND id = ANY ($2) RETURNING size)
		UPDATE drives SET stored = stored - (SELECT coalesce(sum(size), 0) FROM gone) WHERE id = $1
		RETURNING (SELECT coalesce(sum(size), 0)::bigint FROM gone)`, drive, versions).
		QueryRow(func(row pgx.Row) error { return row.Scan(&bytes) })
	return bytes, tx.conn.SendBatch(ctx, &batch).Close()
}
