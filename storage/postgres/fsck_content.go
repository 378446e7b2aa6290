package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// Lacking is a version whose chunks are not what its manifest says.
type Lacking struct {
	Version api.ID
	Owner   api.ID
	Missing int64 // chunks without a row
	Wrong   int64 // chunks of another length
	Size    int64 // of the version
	Sum     int64 // of the lengths in the manifest
}

// Lacking lists a drive's versions whose chunks are missing or have other
// lengths, or don't make up the version's size: at most 1000.
func (k *Keeper) Lacking(ctx context.Context, drive api.ID) ([]Lacking, error) {
	// For each chunk one look-up by key; the planner, which takes every
	// manifest for a thousand chunks, would rather read the whole table.
	return collect[Lacking](ctx, k, `
		SELECT v.id, v.owner, x.missing, x.wrong, v.size, x.sum
		FROM versions v
		CROSS JOIN LATERAL (
			SELECT count(*) FILTER (WHERE c.len IS NULL) AS missing,
				count(*) FILTER (WHERE c.len <> m.len) AS wrong,
				coalesce(sum(m.len), 0)::bigint AS sum
			FROM generate_series(0, octet_length(v.manifest) / 36 - 1) g
			CROSS JOIN LATERAL (
				SELECT substring(v.manifest FROM 36 * g + 1 FOR 32) AS sha256,
					(get_byte(v.manifest, 36 * g + 32)::bigint << 24) + (get_byte(v.manifest, 36 * g + 33) << 16)
					+ (get_byte(v.manifest, 36 * g + 34) << 8) + get_byte(v.manifest, 36 * g + 35) AS len
				OFFSET 0) m
			LEFT JOIN LATERAL (SELECT len FROM chunks c WHERE c.owner = v.owner AND c.sha256 = m.sha256 OFFSET 0) c ON true
			OFFSET 0) x
		WHERE v.drive = $1 AND (x.missing > 0 OR x.wrong > 0 OR x.sum <> v.size)
		LIMIT $2`, drive, maxFaults)
}

// CheckedPack is a pack as its row describes it.
type CheckedPack struct {
	ID    api.ID
	Owner api.ID
	Bytes int64
}

// Packs lists all packs.
func (k *Keeper) Packs(ctx context.Context) ([]CheckedPack, error) {
	return collect[CheckedPack](ctx, k, `SELECT id, owner, bytes FROM packs ORDER BY id`)
}

// PackRow is a pack's row as it is now; it may be gone.
func (k *Keeper) PackRow(ctx context.Context, id api.ID) (there bool, err error) {
	err = k.conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM packs WHERE id = $1)`, id).Scan(&there)
	return there, classify(err)
}

// OutsideChunk is a chunk that is not within its pack.
type OutsideChunk struct {
	Owner  api.ID
	SHA256 api.Hash
	Pack   api.ID
}

// OutsideChunks lists chunks that are not within the bytes of their packs,
// behind the magic and a header: at most 1000.
func (k *Keeper) OutsideChunks(ctx context.Context, first int64) ([]OutsideChunk, error) {
	return collect[OutsideChunk](ctx, k, `
		SELECT c.owner, c.sha256, c.pack FROM chunks c JOIN packs p ON p.owner = c.owner AND p.id = c.pack
		WHERE c.off < $1 OR c.off::bigint + c.len > p.bytes LIMIT $2`, first, maxFaults)
}

// MarkLost marks chunks as lost that can't be read in a pack, so that they count
// as missing. Those that have another place by now are left alone.
func (k *Keeper) MarkLost(ctx context.Context, owner, pack api.ID, hashes []api.Hash) error {
	return k.within(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			WITH marked AS (
				UPDATE chunks SET lost = now() WHERE owner = $1 AND pack = $2 AND sha256 = ANY ($3) AND lost IS NULL RETURNING pack)
			UPDATE packs SET damaged = true WHERE owner = $1 AND id IN (SELECT pack FROM marked)`, owner, pack, nonNil(hashes))
		return err
	})
}

// LosePack marks all chunks of a pack as lost.
func (k *Keeper) LosePack(ctx context.Context, id api.ID) error {
	return k.within(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			WITH marked AS (
				UPDATE chunks c SET lost = now() FROM packs p
				WHERE p.id = $1 AND c.owner = p.owner AND c.pack = p.id AND c.lost IS NULL RETURNING p.owner, p.id)
			UPDATE packs SET damaged = true WHERE (owner, id) IN (SELECT owner, id FROM marked)`, id)
		return err
	})
}

// MarkFound takes the marks from a pack's chunks, but for those that are lost.
func (k *Keeper) MarkFound(ctx context.Context, owner, pack api.ID, lost []api.Hash) error {
	return k.within(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			UPDATE chunks SET lost = NULL WHERE owner = $1 AND pack = $2 AND sha256 <> ALL ($3) AND lost IS NOT NULL`, owner, pack, nonNil(lost))
		return err
	})
}

// LostChunk is a chunk that is marked as lost.
type LostChunk struct {
	Owner  api.ID
	SHA256 api.Hash
	Len    int64 // bytes
}

// LostChunks lists all chunks that are marked as lost.
func (k *Keeper) LostChunks(ctx context.Context) ([]LostChunk, error) {
	return collect[LostChunk](ctx, k, `SELECT owner, sha256, len FROM chunks WHERE lost IS NOT NULL ORDER BY owner, sha256`)
}

// Affected is a file that has, or had, content that is damaged.
type Affected struct {
	Drive   api.ID
	Version api.ID
	Node    api.ID
	Path    string // escaped names; empty when no name leads to it
	Current bool   // the version is what the file has now
	Trashed bool
}

// AffectedByVersions lists the files that have or had the versions, by path.
func (k *Keeper) AffectedByVersions(ctx context.Context, owner api.ID, versions []api.ID) ([]Affected, error) {
	return collect[Affected](ctx, k, affected1+` AND v.id = ANY ($2)`+affected2, owner, nonNil(versions), maxFaults)
}

// AffectedByChunks lists the files whose versions name the chunks, by path.
func (k *Keeper) AffectedByChunks(ctx context.Context, owner api.ID, hashes []api.Hash) ([]Affected, error) {
	return collect[Affected](ctx, k, affected1+` AND EXISTS (
		SELECT FROM generate_series(0, octet_length(v.manifest) / 36 - 1) g
		WHERE substring(v.manifest FROM 36 * g + 1 FOR 32) = ANY ($2))`+affected2, owner, nonNil(hashes), maxFaults)
}

const (
	affected1 = `
	SELECT v.drive, v.id, coalesce(n.id, v.node), coalesce(p.path, t.name, ''), coalesce(n.version = v.id, false), t.name IS NOT NULL
	FROM drives d
	JOIN versions v ON v.drive = d.id
	LEFT JOIN nodes n ON n.drive = v.drive AND n.document = v.document
	LEFT JOIN trash t ON t.drive = v.drive AND t.node = n.id
	LEFT JOIN LATERAL (
		WITH RECURSIVE up (id, path) AS (
			(SELECT e.parent, e.name::text FROM entries e WHERE e.drive = v.drive AND e.node = n.id ORDER BY e.parent, e.name LIMIT 1)
			UNION ALL
			SELECT e.parent, e.name || '/' || u.path
			FROM up u CROSS JOIN LATERAL (SELECT parent, name FROM entries WHERE drive = v.drive AND node = u.id LIMIT 1) e
			WHERE length(u.path) < 100000
		)
		SELECT u.path FROM up u WHERE u.id = d.root) p ON true
	WHERE d.owner = $1`
	affected2 = ` ORDER BY 4, v.id LIMIT $3`
)

// UnverifiedVersion is one whose whole SHA-256 only its client claims.
type UnverifiedVersion struct {
	Drive  api.ID
	ID     api.ID
	Owner  api.ID
	Size   int64
	SHA256 api.Hash
}

// Unverified lists versions of several chunks that were not read back yet.
func (k *Keeper) Unverified(ctx context.Context) ([]UnverifiedVersion, error) {
	return collect[UnverifiedVersion](ctx, k, `
		SELECT drive, id, owner, size, sha256 FROM versions WHERE verified IS NULL AND octet_length(manifest) > 36 ORDER BY created`)
}

// VersionChunks is where a version's chunks are, in their order; fewer than
// it has if some are lost.
func (k *Keeper) VersionChunks(ctx context.Context, drive, version api.ID) ([]Extent, error) {
	return collect[Extent](ctx, k, `
		SELECT c.sha256, c.pack, c.off, c.len
		FROM versions v
		CROSS JOIN LATERAL generate_series(0, octet_length(v.manifest) / 36 - 1) g
		CROSS JOIN LATERAL (
			SELECT * FROM chunks c WHERE c.owner = v.owner AND c.sha256 = substring(v.manifest FROM 36 * g + 1 FOR 32) OFFSET 0) c
		WHERE v.drive = $1 AND v.id = $2
		ORDER BY g`, drive, version)
}

// Verified marks a version as one whose SHA-256 was found to be right.
func (k *Keeper) Verified(ctx context.Context, drive, version api.ID) error {
	return k.within(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE versions SET verified = now() WHERE drive = $1 AND id = $2`, drive, version)
		return err
	})
}

// Totals counts what there is to check.
type Totals struct {
	Drives    int64 `json:"drives"`
	Nodes     int64 `json:"nodes"`
	Versions  int64 `json:"versions"`
	Chunks    int64 `json:"chunks"`
	Packs     int64 `json:"packs"`
	PackBytes int64 `json:"pack_bytes"`
}

// Totals counts rows.
func (k *Keeper) Totals(ctx context.Context) (t Totals, err error) {
	err = k.conn.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM drives), (SELECT count(*) FROM nodes), (SELECT count(*) FROM versions),
			(SELECT count(*) FROM chunks), count(*), coalesce(sum(bytes), 0)::bigint FROM packs`).
		Scan(&t.Drives, &t.Nodes, &t.Versions, &t.Chunks, &t.Packs, &t.PackBytes)
	return t, classify(err)
}
