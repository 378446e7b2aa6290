package postgres

import (
	"context"
	"time"

	"satchel/api"
)

// FoundContent is one of the answers of Tx.Contents.
type FoundContent struct {
	Content
	Type api.Type // of the node; "" when it is missing. Content is zero for a version that is, and for what is no file
}

// Contents is Content for many at once, in their order. If they have more
// than limit bytes together the versions come without their chunks.
func (tx *Tx) Contents(ctx context.Context, drive api.ID, wanted []api.ContentRef, limit int64) ([]FoundContent, error) {
	found := make([]FoundContent, len(wanted))
	// CASE and not coalesce: see Tx.Content.
	rows, _ := tx.conn.Query(ctx, `
		SELECT k.ordinal, n.type::text, v.id, coalesce(v.size, 0), v.sha256, v.owner, v.created,
			CASE WHEN sum(v.size) OVER () <= $4 THEN v.manifest END
		FROM unnest($2::uuid[], $3::uuid[]) WITH ORDINALITY k (node, version, ordinal)
		CROSS JOIN LATERAL (SELECT * FROM nodes n WHERE n.drive = $1 AND n.id = k.node OFFSET 0) n
		LEFT JOIN LATERAL (
			SELECT * FROM versions v
			WHERE v.drive = $1 AND v.id = CASE WHEN k.version IS NULL THEN n.version ELSE k.version END
			OFFSET 0) v
			ON v.id = n.version OR v.document = n.document OR v.node = n.id`,
		drive,
		column(wanted, func(w *api.ContentRef) api.ID { return w.Node }),
		column(wanted, func(w *api.ContentRef) api.ID { return w.Version }), limit)
	for rows.Next() {
		var ordinal int
		var f FoundContent
		var manifest []byte
		var modified *time.Time
		err := rows.Scan(&ordinal, &f.Type, &f.Version.ID, &f.Version.Size, &f.Version.SHA256, &f.Owner, &modified, &manifest)
		if err != nil {
			return nil, err
		}
		if modified != nil {
			f.Modified = *modified
		}
		f.Version.Chunks = unpackManifest(manifest)
		found[ordinal-1] = f
	}
	return found, rows.Err()
}
