package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"satchel/api"
)

// About is what is said about a live node.
type About struct {
	Node     api.ID
	Document api.ID // of a file
	Type     api.Type
	Size     int64 // bytes
	SHA256   api.Hash
	Created  time.Time       // of the document
	Metadata json.RawMessage // an object
	Public   bool            // anyone may read it
}

// About tells what is said about a node that the user may see; a missing or
// hidden one is [api.NotFound].
func (tx *Tx) About(ctx context.Context, drive, node api.ID) (a About, err error) {
	var created int64
	err = tx.conn.QueryRow(ctx, `
		SELECT n.id, n.document, n.type::text, n.size, v.sha256, n.created, coalesce(m.metadata, '{}'), is_public(n.drive, n.id)
		FROM nodes n
		LEFT JOIN versions v ON v.drive = n.drive AND v.id = n.version
		LEFT JOIN documents m ON m.drive = n.drive AND m.id = coalesce(n.document, n.id)
		WHERE n.drive = $1 AND n.id = $2 AND n.nlink > 0`, drive, node).
		Scan(&a.Node, &a.Document, &a.Type, &a.Size, &a.SHA256, &created, &a.Metadata, &a.Public)
	if errors.Is(err, pgx.ErrNoRows) {
		err = api.Errorf(api.NotFound, "there is no such file or directory")
	}
	a.Created = time.Unix(0, created)
	return a, err
}

// SetMetadata sets what an owner says about a document, a JSON object. What
// PostgreSQL can't keep of it is [api.Invalid].
func (tx *Tx) SetMetadata(ctx context.Context, drive, owner, doc api.ID, metadata json.RawMessage) error {
	_, err := tx.conn.Exec(ctx, `
		INSERT INTO documents (drive, owner, id, metadata) VALUES ($1, $2, $3, $4::text::jsonb)
		ON CONFLICT (drive, id) DO UPDATE SET metadata = excluded.metadata`, drive, owner, doc, string(metadata))
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code[:2] == "22" { // a NUL in a text, a number beyond all bounds
		return api.Errorf(api.Invalid, "the metadata can't be kept: %s", pg.Message)
	}
	return err
}
