package postgres

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"satchel/api"
	"satchel/storage/tree"
)

// Write writes the net differences of batches, one after the other: for each at most one statement for each
// table and kind, in an order that keeps every foreign key, and all of all sent at once. What is kept of the past is as if each were a
// transaction of its own: a time at which there was one and not yet the next can be returned to. The drive must be locked by this transaction. It wakes the feeds, and keeps the
// answer, unless it is for no batch, instead of the one before.
func (tx *Tx) Write(ctx context.Context, diffs []tree.Diff, by Author, a Answer) error {
	last := diffs[len(diffs)-1].Drive
	w := writer{drive: last.ID, owner: last.Owner}
	changed := false
	for w.nth = range diffs {
		d := diffs[w.nth]
		w.difference(d, by)
		changed = changed || len(d.Changes) > 0
	}
	if changed {
		w.queue(1, `UPDATE drives SET seq = $3, files = $4, bytes = $5, stored = $6 WHERE id = $1 AND owner = $2`,
			last.Seq, last.Files, last.Bytes, last.Stored)
		w.batch.Queue(`SELECT pg_notify('`+channel+`', $1)`, last.ID.String())
	}
	if err := w.answer(a, by); err != nil {
		return err
	}
	return tx.conn.SendBatch(ctx, &w.batch).Close()
}

func (w *writer) difference(d tree.Diff, by Author) {
	w.seq = d.Drive.Seq
	w.versions(d.Versions, by)
	w.adopted(d.Adopted)
	w.changeNodes(d.Nodes)
	w.newNodes(d.NewNodes)
	if len(d.Adopted) > 0 {
		w.batch.Queue(`SELECT follow_documents($1, $2, $3, $4)`, d.Drive.ID, d.Drive.Seq,
			column(d.Adopted, func(a *tree.Adoption) api.ID { return a.From }), column(d.Adopted, func(a *tree.Adoption) api.ID { return a.To }))
	}
	w.newDirs(d.NewDirs)
	// Before the old names go and directories get other zones, by which check_guest_names sees what a guest could do.
	w.entries(d.NewEntries, `
		INSERT INTO entries (drive, owner, born, parent, name, node)
		SELECT $1, $2, $3, x.* FROM unnest($4::uuid[], $5::text[], $6::uuid[]) x`)
	w.entries(d.Entries, `
		WITH x (drive, parent, name, node) AS MATERIALIZED (
			SELECT $1::uuid, * FROM unnest($4::uuid[], $5::text[], $6::uuid[])
		), past AS (
			INSERT INTO past_entries (drive, owner, parent, name, died, born, node)
			SELECT $1, $2, e.parent, e.name, $3, e.born, e.node
			FROM x CROSS JOIN LATERAL (
				SELECT * FROM entries e WHERE e.drive = $1 AND e.parent = x.parent AND e.name = x.name COLLATE "C" OFFSET 0) e
		)
		UPDATE entries e SET node = x.node, born = $3
		FROM x
		WHERE e.drive = x.drive AND e.owner = $2 AND e.parent = x.parent AND e.name = x.name COLLATE "C"`)
	w.goneEntries(d.GoneEntries)
	w.changeDirs(d.Dirs)
	if len(d.Rezoned) > 0 {
		w.batch.Queue(`SELECT rezone($1, $2)`, d.Drive.ID, d.Rezoned)
	}
	w.gone("dirs", "id", d.GoneDirs)
	w.trashed(d.Trashed)
	w.gone("trash", "node", d.Untrashed)
	w.changes(d.Changes, by)
}

func (w *writer) answer(a Answer, by Author) error {
	if a.Number == 0 {
		return nil
	}
	outcomes, err := json.Marshal(a.Outcomes)
	if err != nil {
		return err
	}
	touched, err := json.Marshal(a.Touched)
	if err != nil {
		return err
	}
	w.queue(1, `
		INSERT INTO batches (drive, owner, device, incarnation, number, outcomes, touched)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (drive, device, incarnation) DO UPDATE
		SET number = excluded.number, outcomes = excluded.outcomes, touched = excluded.touched, at = now()`,
		by.Device, by.Incarnation, a.Number, string(outcomes), string(touched))
	return nil
}

// writer queues statements whose first two parameters are drive and owner. Rows that are changed or removed are joined
// with x, which names their drive too: the planner does not know how much is in a drive that grew just now, and where
// it is given the drive it would rather read all of that than look each key up.
type writer struct {
	batch        pgx.Batch
	drive, owner api.ID
	seq          int64 // of the last change: what is written is true from it on
	nth          int   // of the differences of this transaction
}

// moment is when the nth difference of a transaction, $3, was made: their times have their order.
const moment = `now() + $3::int * interval '1 microsecond'`

// queue adds a statement that must affect n rows; row-level security would
// hide the others silently.
func (w *writer) queue(n int, query string, args ...any) {
	w.batch.Queue(query, append([]any{w.drive, w.owner}, args...)...).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != int64(n) {
			return fmt.Errorf("%s of %d rows affected %d: %.60s", tag, n, tag.RowsAffected(), query)
		}
		return nil
	})
}

// column is one field of all rows.
func column[T, C any](rows []T, field func(*T) C) []C {
	values := make([]C, len(rows))
	for i := range rows {
		values[i] = field(&rows[i])
	}
	return values
}

func (w *writer) versions(rows []tree.Version, by Author) {
	if len(rows) == 0 {
		return
	}
	w.queue(len(rows), `
		INSERT INTO versions (drive, owner, created, device, id, document, node, size, sha256, time, manifest)
		SELECT $1, $2, `+moment+`, $4, x.*
		FROM unnest($5::uuid[], $6::uuid[], $7::uuid[], $8::bigint[], $9::bytea[], $10::bigint[], $11::bytea[]) x`,
		w.nth, by.Device,
		column(rows, func(v *tree.Version) api.ID { return v.ID }),
		column(rows, func(v *tree.Version) api.ID { return v.Document }),
		column(rows, func(v *tree.Version) api.ID { return v.Node }),
		column(rows, func(v *tree.Version) int64 { return v.Size }),
		column(rows, func(v *tree.Version) api.Hash { return v.SHA256 }),
		column(rows, func(v *tree.Version) int64 { return v.Time }),
		column(rows, func(v *tree.Version) []byte { return packManifest(v.Chunks) }))
}

func (w *writer) adopted(rows []tree.Adoption) {
	if len(rows) == 0 {
		return
	}
	w.batch.Queue(`
		UPDATE versions v SET document = x.heir
		FROM (SELECT $1::uuid AS drive, x.* FROM unnest($3::uuid[], $4::uuid[]) x (document, heir) OFFSET 0) x
		WHERE v.drive = x.drive AND v.owner = $2 AND v.document = x.document`, w.drive, w.owner,
		column(rows, func(a *tree.Adoption) api.ID { return a.From }),
		column(rows, func(a *tree.Adoption) api.ID { return a.To }))
}

// A manifest has manifestRecord bytes for each chunk.
const manifestRecord = 32 + 4

func packManifest(chunks []api.Chunk) []byte {
	b := make([]byte, 0, len(chunks)*manifestRecord)
	for _, c := range chunks {
		b = append(b, c.Hash[:]...)
		b = binary.BigEndian.AppendUint32(b, c.Size)
	}
	return b
}

func unpackManifest(b []byte) []api.Chunk {
	chunks := make([]api.Chunk, len(b)/manifestRecord)
	for i := range chunks {
		r := b[i*manifestRecord:]
		chunks[i] = api.Chunk{Hash: api.Hash(r[:32]), Size: binary.BigEndian.Uint32(r[32:])}
	}
	return chunks
}

// changing are the columns that a node's changes write, in the order of changeable.
const changing = `$4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
	$10::uuid[], $11::uuid[], $12::bigint[], $13::int[], $14::int[], $15::text[]`

// pastNodes keeps what nodes n were before x replaces it; $16 is the change
// that does. A directory's times are no part of its past: everything that is
// made in it changes them.
const pastNodes = `
	INSERT INTO past_nodes (drive, owner, id, until, version, document, mtime, uid, gid, mode, xattrs)
	SELECT $1, $2, n.id, $16, n.version, n.document, n.mtime, n.uid, n.gid, n.mode, n.xattrs
	FROM x CROSS JOIN LATERAL (SELECT * FROM nodes n WHERE n.drive = $1 AND n.id = x.id OFFSET 0) n
	WHERE n.type <> 'd' OR (n.mode, n.uid, n.gid, n.xattrs) IS DISTINCT FROM (x.mode, x.uid, x.gid, x.xattrs::jsonb)`

func changeable(rows []tree.Inode) []any {
	return []any{
		column(rows, func(n *tree.Inode) api.ID { return n.ID }),
		column(rows, func(n *tree.Inode) int64 { return n.Size }),
		column(rows, func(n *tree.Inode) int64 { return n.Mtime }),
		column(rows, func(n *tree.Inode) int64 { return n.Ctime }),
		column(rows, func(n *tree.Inode) int64 { return n.Rev }),
		column(rows, func(n *tree.Inode) int64 { return n.UID }),
		column(rows, func(n *tree.Inode) int64 { return n.GID }),
		column(rows, func(n *tree.Inode) api.ID { return n.Version }),
		column(rows, func(n *tree.Inode) api.ID { return n.Document }),
		column(rows, func(n *tree.Inode) int64 { return n.Created }),
		column(rows, func(n *tree.Inode) uint32 { return n.Mode }),
		column(rows, func(n *tree.Inode) uint32 { return n.Nlink }),
		column(rows, xattrs),
	}
}

func xattrs(n *tree.Inode) *string {
	if len(n.Xattrs) == 0 {
		return nil
	}
	b, err := json.Marshal(n.Xattrs)
	if err != nil {
		panic(err) // a map of strings to bytes has no part that can fail
	}
	text := string(b)
	return &text
}

func (w *writer) changeNodes(rows []tree.Inode) {
	if len(rows) == 0 {
		return
	}
	w.queue(len(rows), `
		WITH x (drive, id, size, mtime, ctime, rev, uid, gid, version, document, created, mode, nlink, xattrs) AS MATERIALIZED (
			SELECT $1::uuid, * FROM unnest($3::uuid[], `+changing+`)
		), past AS (`+pastNodes+`)
		UPDATE nodes n SET size = x.size, mtime = x.mtime, ctime = x.ctime, rev = x.rev, uid = x.uid, gid = x.gid,
			version = x.version, document = x.document, created = x.created, mode = x.mode, nlink = x.nlink, xattrs = x.xattrs::jsonb
		FROM x
		WHERE n.drive = x.drive AND n.owner = $2 AND n.id = x.id`, append(changeable(rows), w.seq)...)
}

func (w *writer) newNodes(rows []tree.Inode) {
	if len(rows) == 0 {
		return
	}
	w.queue(len(rows), `
		INSERT INTO nodes (drive, owner, id, size, mtime, ctime, rev, uid, gid, version, document, created, mode, nlink, xattrs,
			btime, rdev, type, target)
		SELECT $1, $2, x.id, size, mtime, ctime, rev, uid, gid, version, document, created, mode, nlink, xattrs::jsonb,
			btime, rdev, type::"char", target
		FROM unnest($3::uuid[], `+changing+`, $16::bigint[], $17::bigint[], $18::text[], $19::text[])
			x (id, size, mtime, ctime, rev, uid, gid, version, document, created, mode, nlink, xattrs, btime, rdev, type, target)`,
		append(changeable(rows),
			column(rows, func(n *tree.Inode) int64 { return n.Btime }),
			column(rows, func(n *tree.Inode) int64 { return int64(n.Rdev) }),
			column(rows, func(n *tree.Inode) string { return string(n.Type) }),
			column(rows, func(n *tree.Inode) *api.Name {
				if n.Type != api.Symlink {
					return nil
				}
				return &n.Target
			}))...)
}

func dirColumns(rows []tree.Inode) []any {
	return []any{
		column(rows, func(n *tree.Inode) api.ID { return n.ID }),
		column(rows, func(n *tree.Inode) api.ID { return n.Dir.Parent }),
		column(rows, func(n *tree.Inode) int64 { return n.Dir.Files }),
		column(rows, func(n *tree.Inode) int64 { return n.Dir.Bytes }),
	}
}

func (w *writer) newDirs(rows []tree.Inode) {
	if len(rows) == 0 {
		return
	}
	w.queue(len(rows), `
		INSERT INTO dirs (drive, owner, id, parent, files, bytes, zone)
		SELECT $1, $2, x.* FROM unnest($3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[], $7::uuid[]) x`,
		append(dirColumns(rows), column(rows, func(n *tree.Inode) api.ID { return n.Dir.Zone }))...)
}

func (w *writer) changeDirs(rows []tree.Inode) {
	if len(rows) == 0 {
		return
	}
	w.queue(len(rows), `
		UPDATE dirs d SET parent = x.parent, files = x.files, bytes = x.bytes
		FROM (SELECT $1::uuid AS drive, x.* FROM unnest($3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[]) x (id, parent, files, bytes) OFFSET 0) x
		WHERE d.drive = x.drive AND d.owner = $2 AND d.id = x.id`, dirColumns(rows)...)
}

func (w *writer) goneEntries(keys []tree.Key) {
	if len(keys) == 0 {
		return
	}
	parents, names := split(keys)
	w.queue(len(keys), `
		WITH gone AS (
			DELETE FROM entries e
			USING (SELECT $1::uuid AS drive, x.* FROM unnest($4::uuid[], $5::text[]) x (parent, name) OFFSET 0) x
			WHERE e.drive = x.drive AND e.owner = $2 AND e.parent = x.parent AND e.name = x.name COLLATE "C"
			RETURNING e.parent, e.name, e.born, e.node
		)
		INSERT INTO past_entries (drive, owner, parent, name, died, born, node)
		SELECT $1, $2, parent, name, $3, born, node FROM gone`, w.seq, parents, names)
}

func (w *writer) entries(rows []tree.Entry, query string) {
	if len(rows) == 0 {
		return
	}
	w.queue(len(rows), query, w.seq,
		column(rows, func(e *tree.Entry) api.ID { return e.Parent }),
		column(rows, func(e *tree.Entry) api.Name { return e.Name }),
		column(rows, func(e *tree.Entry) api.ID { return e.Node }))
}

func (w *writer) gone(table, key string, ids []api.ID) {
	if len(ids) > 0 {
		w.queue(len(ids), `DELETE FROM `+table+` WHERE drive = $1 AND owner = $2 AND `+key+` = ANY ($3)`, ids)
	}
}

func (w *writer) trashed(rows []tree.Inode) {
	if len(rows) == 0 {
		return
	}
	w.queue(len(rows), `
		INSERT INTO trash (drive, owner, node, parent, name, seq, device, time)
		SELECT $1, $2, x.* FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::bigint[], $7::uuid[], $8::bigint[]) x
		ON CONFLICT (drive, node) DO UPDATE SET parent = excluded.parent, name = excluded.name, seq = excluded.seq,
			device = excluded.device, time = excluded.time, at = now()`,
		column(rows, func(n *tree.Inode) api.ID { return n.ID }),
		column(rows, func(n *tree.Inode) api.ID { return n.Trash.Parent }),
		column(rows, func(n *tree.Inode) api.Name { return n.Trash.Name }),
		column(rows, func(n *tree.Inode) int64 { return n.Trash.Seq }),
		column(rows, func(n *tree.Inode) api.ID { return n.Trash.Device }),
		column(rows, func(n *tree.Inode) int64 { return n.Trash.Time }))
}

func (w *writer) changes(rows []tree.Change, by Author) {
	if len(rows) == 0 {
		return
	}
	name := func(n *api.Name) *api.Name {
		if *n == "" {
			return nil
		}
		return n
	}
	own := by.Incarnation // the feed leaves out what the device's cache did itself
	if by.Echo {
		own = api.ID{}
	}
	w.queue(len(rows), `
		INSERT INTO changes (drive, owner, at, device, incarnation, seq, op, node, parent, name, to_parent, to_name, other, time)
		SELECT $1, $2, `+moment+`, $4, $5, x.*
		FROM unnest($6::bigint[], $7::text[], $8::uuid[], $9::uuid[], $10::text[], $11::uuid[], $12::text[], $13::uuid[], $14::bigint[]) x`,
		w.nth, by.Device, own,
		column(rows, func(c *tree.Change) int64 { return c.Seq }),
		column(rows, func(c *tree.Change) string { return string(c.Op) }),
		column(rows, func(c *tree.Change) api.ID { return c.Node }),
		column(rows, func(c *tree.Change) api.ID { return c.From.Parent }),
		column(rows, func(c *tree.Change) *api.Name { return name(&c.From.Name) }),
		column(rows, func(c *tree.Change) api.ID { return c.To.Parent }),
		column(rows, func(c *tree.Change) *api.Name { return name(&c.To.Name) }),
		column(rows, func(c *tree.Change) api.ID { return c.Other }),
		column(rows, func(c *tree.Change) int64 { return c.Time }))
}
