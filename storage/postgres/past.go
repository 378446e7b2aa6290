package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/storage/tree"
)

// SeqAt is the last change of a drive that began at a time or before, by the
// server's clock; 0 when there is none that is still known.
func (tx *Tx) SeqAt(ctx context.Context, drive api.ID, at time.Time) (seq int64, err error) {
	err = tx.conn.QueryRow(ctx, `
		SELECT coalesce((SELECT seq FROM changes WHERE drive = $1 AND at <= $2 ORDER BY seq DESC LIMIT 1), 0)`, drive, at).Scan(&seq)
	return seq, err
}

// touchedSince is the places and nodes that changes of drive $1 after $2 name.
const touchedSince = `
	touched AS MATERIALIZED (
		SELECT node, other, parent, name, to_parent, to_name FROM changes WHERE drive = $1 AND seq > $2
	), keys (parent, name) AS MATERIALIZED (
		SELECT parent, name FROM touched WHERE parent IS NOT NULL AND name IS NOT NULL
		UNION
		SELECT to_parent, to_name FROM touched WHERE to_parent IS NOT NULL AND to_name IS NOT NULL
		UNION
		SELECT parent, name FROM past_entries WHERE drive = $1 AND died > $2
		UNION
		SELECT e.parent, e.name
		FROM past_nodes p JOIN entries e ON e.drive = $1 AND e.node = p.id
		WHERE p.drive = $1 AND p.until > $2
	), was (parent, name, node) AS MATERIALIZED (
		SELECT k.parent, k.name, coalesce(p.node, e.node)
		FROM keys k
		LEFT JOIN LATERAL (
			SELECT node FROM past_entries p
			WHERE p.drive = $1 AND p.parent = k.parent AND p.name = k.name AND p.died > $2 AND p.born <= $2
			OFFSET 0) p ON true
		LEFT JOIN LATERAL (
			SELECT node FROM entries e
			WHERE e.drive = $1 AND e.parent = k.parent AND e.name = k.name AND e.born <= $2
			OFFSET 0) e ON true
	)`

// Past is how what changed in a drive after a change was at its end, in the
// terms of now: files are the nodes that have their documents now, or new ones.
// Missing is how many files are left out because nothing of their content is kept.
// The drive must be locked, and its past known from that change on. More than limit names that changed are
// [api.TooLarge].
func (tx *Tx) Past(ctx context.Context, drive api.ID, seq int64, limit int, newID func() api.ID) (past tree.Past, missing int, err error) {
	entries := map[tree.Key]api.ID{}
	rows, _ := tx.conn.Query(ctx, `WITH `+touchedSince+` SELECT parent, name, node FROM was LIMIT $3`, drive, seq, limit+1)
	var k tree.Key
	var id api.ID
	if _, err = pgx.ForEachRow(rows, []any{&k.Parent, &k.Name, &id}, func() error {
		entries[k] = id
		return nil
	}); err != nil {
		return past, 0, err
	}
	if len(entries) > limit {
		return past, 0, api.Errorf(api.TooLarge, "more than %d names have changed since, which is too much to be undone at once: "+
			"return to a later point, or bring what you need back from the trash and from the history of files", limit)
	}

	p := pastReader{nodes: map[api.ID]tree.PastNode{}, now: map[api.ID]api.ID{}, newID: newID}
	rows, _ = tx.conn.Query(ctx, `
		WITH `+touchedSince+`, ids (id) AS (
			SELECT node FROM touched UNION SELECT other FROM touched WHERE other IS NOT NULL
			UNION SELECT node FROM was WHERE node IS NOT NULL
			UNION SELECT id FROM past_nodes WHERE drive = $1 AND until > $2
		)
		SELECT i.id, coalesce(n.type::text, CASE WHEN w.version IS NULL THEN 'd' ELSE 'f' END), n.id IS NOT NULL,
			w.mode, w.uid, w.gid, w.mtime, w.xattrs, w.version, w.document,
			v.size, v.sha256, h.id
		FROM ids i
		LEFT JOIN LATERAL (SELECT * FROM nodes n WHERE n.drive = $1 AND n.id = i.id OFFSET 0) n ON true
		CROSS JOIN LATERAL (
			SELECT * FROM (
				(SELECT mode, uid, gid, mtime, xattrs, version, document FROM past_nodes p
				WHERE p.drive = $1 AND p.id = i.id AND p.until > $2 ORDER BY p.until LIMIT 1)
				UNION ALL
				SELECT n.mode, n.uid, n.gid, n.mtime, n.xattrs, n.version, n.document WHERE n.id IS NOT NULL) w
			LIMIT 1) w
		LEFT JOIN LATERAL (SELECT size, sha256 FROM versions v WHERE v.drive = $1 AND v.id = w.version OFFSET 0) v ON true
		LEFT JOIN LATERAL (
			SELECT h.id FROM nodes h WHERE h.drive = $1 AND h.document = w.document OFFSET 0) h ON true
		WHERE i.id IN (SELECT node FROM was WHERE node IS NOT NULL)
		   OR EXISTS (SELECT FROM entries e WHERE e.drive = $1 AND e.node = i.id AND e.born <= $2)
		   OR i.id = (SELECT root FROM drives WHERE id = $1)`, drive, seq)
	for rows.Next() {
		if err := p.scan(rows); err != nil {
			rows.Close()
			return past, 0, err
		}
	}
	if err := rows.Err(); err != nil {
		return past, 0, err
	}
	p.emptied(entries)
	past = tree.Past{Entries: make(map[tree.Key]api.ID, len(entries)), Nodes: p.nodes}
	for k, id := range entries {
		if _, there := p.now[id]; !there && !id.IsZero() {
			p.missing++
		}
		past.Entries[k] = p.now[id]
	}
	return past, p.missing, nil
}

// pastReader turns nodes as they were into nodes of now.
type pastReader struct {
	nodes   map[api.ID]tree.PastNode
	now     map[api.ID]api.ID // by the node that it was; what is lost is not in it
	missing int
	newID   func() api.ID
}

func (p *pastReader) scan(rows pgx.Rows) error {
	var id, version, holder api.ID
	var there bool
	var size *int64
	var hash api.Hash
	var n tree.PastNode
	err := rows.Scan(&id, &n.Type, &there, &n.Mode, &n.UID, &n.GID, &n.Mtime, &n.Xattrs, &version, &n.Document,
		&size, &hash, &holder)
	if err != nil {
		return err
	}
	if size != nil {
		n.Content = &api.Version{ID: version, Size: *size, SHA256: hash}
	}
	now := id
	switch {
	case n.Type != api.File:
		if !there {
			return nil
		}
	case !holder.IsZero():
		if now = holder; n.Content == nil {
			p.missing++
		}
	case n.Content == nil, n.Document.IsZero():
		return nil
	default:
		now = p.newID()
	}
	p.now[id], p.nodes[now] = now, n
	return nil
}

// emptied makes those directories again that were removed from the trash for
// good, and that lead to something that was not.
func (p *pastReader) emptied(entries map[tree.Key]api.ID) {
	at := make(map[api.ID]tree.Key, len(entries))
	for k, id := range entries {
		at[id] = k
	}
	for k, id := range entries {
		for _, there := p.now[id]; there; {
			dir := k.Parent
			_, known := p.now[dir]
			above, touched := at[dir]
			if known || !touched {
				break // it is there, or has never been away
			}
			p.now[dir] = dir
			p.nodes[dir] = tree.PastNode{Type: api.Directory, Mode: 0o755, UID: api.Self, GID: api.Self}
			k = above
		}
	}
}
