package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// Property is what a WebDAV client said about a node.
type Property struct {
	Node        api.ID
	Space, Name string // of the XML element
	Lang        string // xml:lang
	Value       string // XML
}

// MaxProperties is how many properties a node may have.
const MaxProperties = 1000

// Properties is what was said about some nodes.
func (tx *Tx) Properties(ctx context.Context, drive api.ID, nodes []api.ID) ([]Property, error) {
	rows, _ := tx.conn.Query(ctx, `
		SELECT p.node, p.space, p.name, p.lang, p.value
		FROM (SELECT DISTINCT unnest($2::uuid[])) k (node)
		CROSS JOIN LATERAL (SELECT * FROM properties WHERE drive = $1 AND node = k.node OFFSET 0) p
		ORDER BY p.node, p.space, p.name`, drive, nonNil(nodes))
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Property])
}

// Said is how much was said about a node.
type Said struct {
	Number int
	Bytes  int64 // of names and values
}

// PropertySizes is how much was said about some nodes; those of which nothing was are missing.
func (tx *Tx) PropertySizes(ctx context.Context, drive api.ID, nodes []api.ID) (map[api.ID]Said, error) {
	sizes := map[api.ID]Said{}
	rows, _ := tx.conn.Query(ctx, `
		SELECT p.node, count(*), sum(octet_length(p.space) + octet_length(p.name) + octet_length(p.lang) + octet_length(p.value))
		FROM (SELECT DISTINCT unnest($2::uuid[])) k (node)
		CROSS JOIN LATERAL (SELECT * FROM properties WHERE drive = $1 AND node = k.node OFFSET 0) p
		GROUP BY p.node`, drive, nonNil(nodes))
	var id api.ID
	var s Said
	_, err := pgx.ForEachRow(rows, []any{&id, &s.Number, &s.Bytes}, func() error {
		sizes[id] = s
		return nil
	})
	return sizes, err
}

// SetProperty sets a property of a live node.
func (tx *Tx) SetProperty(ctx context.Context, drive, owner api.ID, p Property) error {
	if strings.ContainsRune(p.Space+p.Name+p.Lang+p.Value, 0) {
		return api.Errorf(api.Invalid, "a property can't have a NUL")
	}
	_, err := tx.conn.Exec(ctx, `
		INSERT INTO properties (drive, owner, node, space, name, lang, value) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (drive, node, space, name) DO UPDATE SET lang = excluded.lang, value = excluded.value`,
		drive, owner, p.Node, p.Space, p.Name, p.Lang, p.Value)
	return err
}

// RemoveProperty removes a property, if there is one of that name.
func (tx *Tx) RemoveProperty(ctx context.Context, drive, node api.ID, space, name string) error {
	_, err := tx.conn.Exec(ctx, `DELETE FROM properties WHERE drive = $1 AND node = $2 AND space = $3 AND name = $4`, drive, node, space, name)
	return err
}

// CopyProperties makes the properties of copies those of what they are of.
func (tx *Tx) CopyProperties(ctx context.Context, drive, owner api.ID, copies []Copied) error {
	from, to := copied(copies)
	var batch pgx.Batch
	batch.Queue(`DELETE FROM properties WHERE drive = $1 AND node = ANY ($3) AND NOT node = ANY ($2)`, drive, from, to)
	batch.Queue(`
		INSERT INTO properties (drive, owner, node, space, name, lang, value)
		SELECT $1, $2, c.made, p.space, p.name, p.lang, p.value
		FROM unnest($3::uuid[], $4::uuid[]) c (of, made)
		JOIN properties p ON p.drive = $1 AND p.node = c.of
		ON CONFLICT DO NOTHING`, drive, owner, from, to)
	return tx.conn.SendBatch(ctx, &batch).Close()
}

func copied(copies []Copied) (from, to []api.ID) {
	return column(copies, func(c *Copied) api.ID { return c.From }), column(copies, func(c *Copied) api.ID { return c.To })
}

// Object is what the S3 API keeps of a version that it wrote.
type Object struct {
	ETag    string            // without quotes: the MD5 of the content in hex, or that of its parts' MD5s and -N
	Headers map[string]string // by lower-case name
	Parts   []int64           // sizes in bytes of the parts that it was sent in, which only [Tx.ObjectParts] reads; none: it was not, or it is not known
}

// SetObjects keeps the objects' parts of versions that this transaction writes.
func (tx *Tx) SetObjects(ctx context.Context, drive, owner api.ID, objects map[api.ID]Object) error {
	if len(objects) == 0 {
		return nil
	}
	var batch pgx.Batch
	for version, o := range objects {
		headers := o.Headers
		if headers == nil {
			headers = map[string]string{}
		}
		batch.Queue(`INSERT INTO objects (drive, owner, version, etag, headers, parts) VALUES ($1, $2, $3, $4, $5, $6)`,
			drive, owner, version, o.ETag, headers, o.Parts)
	}
	return tx.conn.SendBatch(ctx, &batch).Close()
}

// Objects is what is kept of versions, but for their parts; those that the S3 API did not write are missing.
func (tx *Tx) Objects(ctx context.Context, drive api.ID, versions []api.ID) (map[api.ID]Object, error) {
	objects := map[api.ID]Object{}
	rows, _ := tx.conn.Query(ctx, `
		SELECT o.version, o.etag, o.headers
		FROM unnest($2::uuid[]) k
		CROSS JOIN LATERAL (SELECT * FROM objects WHERE drive = $1 AND version = k OFFSET 0) o`, drive, nonNil(versions))
	var id api.ID
	var o Object
	_, err := pgx.ForEachRow(rows, []any{&id, &o.ETag, &o.Headers}, func() error {
		objects[id] = o
		o.Headers = nil
		return nil
	})
	return objects, err
}

// ObjectParts are the sizes in bytes of the parts that a version was sent in, in their order; none if it was not sent in parts, or
// they are not known.
func (tx *Tx) ObjectParts(ctx context.Context, drive, version api.ID) (sizes []int64, err error) {
	err = tx.conn.QueryRow(ctx, `SELECT parts FROM objects WHERE drive = $1 AND version = $2`, drive, version).Scan(&sizes)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return sizes, err
}

// CopyObjects makes what is kept of copied versions that of the versions that
// they are of. The copies are written by this transaction.
func (tx *Tx) CopyObjects(ctx context.Context, drive, owner api.ID, copies []Copied) error {
	from, to := copied(copies)
	_, err := tx.conn.Exec(ctx, `
		INSERT INTO objects (drive, owner, version, etag, headers, parts)
		SELECT $1, $2, c.made, o.etag, o.headers, o.parts
		FROM unnest($3::uuid[], $4::uuid[]) c (of, made)
		JOIN objects o ON o.drive = $1 AND o.version = c.of`, drive, owner, from, to)
	return err
}
