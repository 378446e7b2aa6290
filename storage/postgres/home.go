package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// HomeWalk is what a path of a home drive leads to, as far as it can be told at once.
type HomeWalk struct {
	Drive api.ID
	Nodes []api.Node // on the way: the root, then one for each name that is there
	Bound bool       // a directory of one of the names is the place of a bind

	// Content is the content of the last node, if all names are there, it is a file, and it was asked for. Extents is where
	// its first chunks are.
	Content Content
	Extents map[api.Hash]Extent
}

// extentsAtOnce is for how many chunks [Tx.HomeWalk] tells where they are.
const extentsAtOnce = 64

// HomeWalk is [Tx.Home], [Tx.Walk], [Tx.BindsAt] and, with content, [Tx.Content] and [Tx.FindChunks] in one question, which most
// requests for a path are. It follows no symlink, and no bind. Without a home drive it is [api.NotFound].
func (tx *Tx) HomeWalk(ctx context.Context, path []api.Name, content bool) (h HomeWalk, err error) {
	// OFFSET 0 as in Walk. Chunks are found only where their manifest is wanted.
	rows, _ := tx.conn.Query(ctx, `
		WITH RECURSIVE home AS MATERIALIZED (
			SELECT id, root FROM drives WHERE owner = $1 AND name = $2
		), walk (depth, id) AS (
			SELECT 0, root FROM home
			UNION ALL
			SELECT w.depth + 1, e.node
			FROM walk w
			CROSS JOIN LATERAL (
				SELECT node FROM entries
				WHERE drive = (SELECT id FROM home) AND parent = w.id AND name = ($3::text[])[w.depth + 1] COLLATE "C"
				OFFSET 0) e
			WHERE w.depth < cardinality($3::text[])
		)
		SELECT h.id, `+nodeColumns+`,
			w.depth > 0 AND n.type = 'd' AND EXISTS (SELECT FROM binds b WHERE b.drive = h.id AND b.node = n.id),
			m.manifest, v.created, x.hashes, x.packs, x.offsets, x.lengths
		FROM home h
		CROSS JOIN walk w
		CROSS JOIN LATERAL (SELECT * FROM nodes n WHERE n.drive = (SELECT id FROM home) AND n.id = w.id OFFSET 0) n
		LEFT JOIN LATERAL (SELECT * FROM versions v WHERE v.drive = (SELECT id FROM home) AND v.id = n.version OFFSET 0) v ON true
		CROSS JOIN LATERAL (SELECT CASE WHEN $4 AND n.type = 'f' AND w.depth = cardinality($3::text[]) THEN v.manifest END AS manifest) m
		LEFT JOIN LATERAL (
			SELECT array_agg(c.sha256) AS hashes, array_agg(c.pack) AS packs, array_agg(c.off) AS offsets, array_agg(c.len) AS lengths
			FROM generate_series(0, least(coalesce(length(m.manifest), 0) / $5, $6) - 1) i
			CROSS JOIN LATERAL (SELECT * FROM chunks c WHERE c.owner = $1 AND c.sha256 = substring(m.manifest FROM i * $5 + 1 FOR 32) OFFSET 0) c
		) x ON true
		ORDER BY w.depth`, tx.user, HomeName, nonNil(path), content, manifestRecord, extentsAtOnce)
	var n api.Node
	var bound bool
	var manifest []byte
	var modified *time.Time
	var hashes []api.Hash
	var packs []api.ID
	var offsets, lengths []int64
	_, err = pgx.ForEachRow(rows, append(append([]any{&h.Drive}, nodeTargets(&n)...), &bound, &manifest, &modified, &hashes, &packs, &offsets, &lengths), func() error {
		h.Nodes = append(h.Nodes, n)
		h.Bound = h.Bound || bound
		n = api.Node{}
		return nil
	})
	if err != nil {
		return HomeWalk{}, err
	}
	if len(h.Nodes) == 0 {
		return h, errNoDrive()
	}
	if last := h.Nodes[len(h.Nodes)-1]; manifest != nil {
		h.Content = Content{
			Version: api.Version{ID: last.Version, Size: last.Size, SHA256: last.SHA256, Chunks: unpackManifest(manifest)},
			Owner:   tx.user, Modified: *modified,
		}
		h.Extents = make(map[api.Hash]Extent, len(hashes))
		for i, hash := range hashes {
			h.Extents[hash] = Extent{Hash: hash, Pack: packs[i], Off: offsets[i], Len: lengths[i]}
		}
	}
	return h, nil
}
