package storage

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"satchel/api"
)

// verify recomputes in SQL all that the drive keeps derived.
func (w *world) verify(t testing.TB, drive api.ID) {
	t.Helper()
	if err := w.wrong(t.Context(), drive); err != nil {
		t.Error(err)
	}
}

func (w *world) wrong(ctx context.Context, drive api.ID) (found error) {
	for what, query := range map[string]string{
		"files whose nlink is not their entries'": `
			SELECT count(*) FROM satchel.nodes n
			WHERE drive = $1 AND type <> 'd' AND nlink <> (SELECT count(*) FROM satchel.entries e WHERE e.drive = $1 AND e.node = n.id)`,
		"directories whose counters are wrong": `
			SELECT count(*) FROM satchel.dirs d
			CROSS JOIN LATERAL (
				SELECT count(*) AS files, coalesce(sum(n.size) FILTER (WHERE n.type = 'f'), 0) AS bytes
				FROM satchel.entries e JOIN satchel.nodes n ON n.drive = $1 AND n.id = e.node
				WHERE e.drive = $1 AND e.parent = d.id AND n.type <> 'd') x
			WHERE d.drive = $1 AND (d.files, d.bytes) <> (x.files, x.bytes)`,
		"directories whose nlink is wrong": `
			SELECT count(*) FROM satchel.nodes n JOIN satchel.dirs d ON d.drive = $1 AND d.id = n.id
			WHERE n.drive = $1 AND n.nlink <> 2 + (SELECT count(*) FROM satchel.dirs s WHERE s.drive = $1 AND s.parent = n.id)`,
		"directories that are not where their entry is": `
			SELECT count(*) FROM satchel.dirs d JOIN satchel.drives r ON r.id = $1 AND r.root <> d.id
			WHERE d.drive = $1 AND 1 <> (SELECT count(*) FROM satchel.entries e WHERE e.drive = $1 AND e.node = d.id AND e.parent = d.parent)`,
		"live directories without a row, or rows of dead ones": `
			SELECT count(*) FROM satchel.nodes n
			WHERE drive = $1 AND type = 'd' AND (nlink > 0) <> EXISTS (SELECT FROM satchel.dirs d WHERE d.drive = $1 AND d.id = n.id)`,
		"directories that the root does not reach": `
			SELECT (SELECT count(*) FROM satchel.dirs WHERE drive = $1) - (
				WITH RECURSIVE t (id) AS (
					SELECT root FROM satchel.drives WHERE id = $1
					UNION SELECT d.id FROM t JOIN satchel.dirs d ON d.drive = $1 AND d.parent = t.id)
				SELECT count(*) FROM t)`,
		"live nodes in the trash": `
			SELECT count(*) FROM satchel.trash t JOIN satchel.nodes n ON n.drive = $1 AND n.id = t.node
			WHERE t.drive = $1 AND n.nlink > 0`,
		"drives whose counters are wrong": `
			SELECT count(*) FROM satchel.drives d
			CROSS JOIN (
				SELECT count(*) AS files, coalesce(sum(size), 0) AS bytes, (SELECT coalesce(max(seq), 0) FROM satchel.changes WHERE drive = $1) AS seq
				FROM satchel.nodes WHERE drive = $1 AND type = 'f' AND nlink > 0) x
			WHERE d.id = $1 AND (d.files, d.bytes, d.seq) <> (x.files, x.bytes, x.seq)`,
		"what is stored": `
			SELECT count(*) FROM satchel.drives d, (SELECT coalesce(sum(size), 0) AS stored FROM satchel.versions WHERE drive = $1) x
			WHERE d.id = $1 AND d.stored <> x.stored`,
		"gaps in the order of changes": `
			SELECT coalesce(max(seq), 0) - count(*) FROM satchel.changes WHERE drive = $1`,
		"current content that is not stored": `
			SELECT count(*) FROM satchel.nodes n JOIN satchel.versions v ON v.drive = $1 AND v.id = n.version
			WHERE n.drive = $1 AND n.size > 0 AND NOT EXISTS (
				SELECT FROM satchel.chunks c WHERE c.owner = n.owner AND c.sha256 = substring(v.manifest FOR 32))`,
	} {
		var n int64
		if err := w.admin.QueryRow(ctx, query, drive.String()).Scan(&n); err != nil {
			found = errors.Join(found, fmt.Errorf("%s: %w", what, err))
		} else if n != 0 {
			found = errors.Join(found, fmt.Errorf("%d %s", n, what))
		}
	}
	return found
}
