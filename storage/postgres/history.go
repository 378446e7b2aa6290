package postgres

import (
	"context"
	"errors"

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
