package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// Fault is a row of a drive that is not what other rows say it must be.
type Fault struct {
	Node   api.ID // or a version's node
	Detail string
}

// rule is one thing that is derived from others, or must be true of them.
// Both statements have the drive as $1.
type rule struct {
	words  string // what is wrong with the rows that find finds
	find   string // gives a node (or NULL) and a detail
	repair string // mends what find finds; empty where rows do not say how
}

// placing rules say where nodes are. They are mended first, in this order; then
// what is nowhere gets a place, and then all is counted.
var placing = []rule{
	{"live directory without its row in dirs", `
		SELECT n.id, '' FROM nodes n
		WHERE n.drive = $1 AND n.type = 'd' AND n.nlink > 0 AND NOT EXISTS (SELECT FROM dirs d WHERE d.drive = $1 AND d.id = n.id)`, `
		INSERT INTO dirs (drive, owner, id, parent)
		SELECT n.drive, n.owner, n.id, (SELECT e.parent FROM entries e WHERE e.drive = $1 AND e.node = n.id ORDER BY e.parent, e.name LIMIT 1)
		FROM nodes n
		WHERE n.drive = $1 AND n.type = 'd' AND n.nlink > 0 AND NOT EXISTS (SELECT FROM dirs d WHERE d.drive = $1 AND d.id = n.id)`},
	{"row in dirs of a directory that was deleted", `
		SELECT d.id, '' FROM dirs d JOIN nodes n ON n.drive = $1 AND n.id = d.id
		WHERE d.drive = $1 AND n.nlink = 0 AND ` + unused, `
		DELETE FROM dirs d USING nodes n WHERE n.drive = $1 AND n.id = d.id AND d.drive = $1 AND n.nlink = 0 AND ` + unused},
	{"directory with more than one name", `
		SELECT e.node, count(*) || ' names' FROM entries e JOIN dirs d ON d.drive = $1 AND d.id = e.node
		WHERE e.drive = $1 GROUP BY e.node HAVING count(*) > 1`, `
		DELETE FROM entries x USING (
			SELECT e.parent, e.name, row_number() OVER (PARTITION BY e.node ORDER BY (e.parent = d.parent) DESC, e.parent, e.name) AS nth
			FROM entries e JOIN dirs d ON d.drive = $1 AND d.id = e.node WHERE e.drive = $1) s
		WHERE s.nth > 1 AND x.drive = $1 AND x.parent = s.parent AND x.name = s.name`},
	{"directory that is not where its entry is", `
		SELECT d.id, '' FROM dirs d JOIN entries e ON e.drive = $1 AND e.node = d.id
		WHERE d.drive = $1 AND d.parent IS DISTINCT FROM e.parent`, `
		UPDATE dirs d SET parent = e.parent FROM entries e
		WHERE d.drive = $1 AND e.drive = $1 AND e.node = d.id AND d.parent IS DISTINCT FROM e.parent`},
	{"node in the trash that counts as live", `
		SELECT n.id, '' FROM nodes n JOIN trash t ON t.drive = $1 AND t.node = n.id
		WHERE n.drive = $1 AND n.nlink > 0 AND n.type <> 'd' AND NOT EXISTS (SELECT FROM entries e WHERE e.drive = $1 AND e.node = n.id)`, `
		UPDATE nodes n SET nlink = 0 FROM trash t
		WHERE t.drive = $1 AND t.node = n.id AND n.drive = $1 AND n.nlink > 0 AND n.type <> 'd'
		  AND NOT EXISTS (SELECT FROM entries e WHERE e.drive = $1 AND e.node = n.id)`},
}

// counting rules say what is derived from where nodes are.
var counting = []rule{
	{"file or other node whose link count is not that of its entries", `
		SELECT n.id, 'nlink ' || n.nlink || ', entries ' || coalesce(e.n, 0)
		FROM nodes n LEFT JOIN (SELECT node, count(*) AS n FROM entries WHERE drive = $1 GROUP BY node) e ON e.node = n.id
		WHERE n.drive = $1 AND n.type <> 'd' AND n.nlink <> coalesce(e.n, 0) AND e.n > 0`, `
		UPDATE nodes x SET nlink = e.n FROM (SELECT node, count(*) AS n FROM entries WHERE drive = $1 GROUP BY node) e
		WHERE x.drive = $1 AND x.id = e.node AND x.type <> 'd' AND x.nlink <> e.n`},
	{"directory whose link count is not 2 and its subdirectories", `
		SELECT n.id, 'nlink ' || n.nlink || ', subdirectories ' || coalesce(s.n, 0)
		FROM nodes n JOIN dirs d ON d.drive = $1 AND d.id = n.id
		LEFT JOIN (SELECT parent, count(*) AS n FROM dirs WHERE drive = $1 GROUP BY parent) s ON s.parent = n.id
		WHERE n.drive = $1 AND n.nlink <> 2 + coalesce(s.n, 0)`, `
		UPDATE nodes n SET nlink = 2 + (SELECT count(*) FROM dirs s WHERE s.drive = $1 AND s.parent = n.id)
		FROM dirs d
		WHERE n.drive = $1 AND d.drive = $1 AND d.id = n.id
		  AND n.nlink <> 2 + (SELECT count(*) FROM dirs s WHERE s.drive = $1 AND s.parent = n.id)`},
	{"directory whose counters are not those of its entries", `
		SELECT d.id, 'files ' || d.files || ' bytes ' || d.bytes || ', entries say ' || coalesce(x.files, 0) || ' and ' || coalesce(x.bytes, 0)
		FROM dirs d LEFT JOIN (` + inDirectory + `) x ON x.parent = d.id
		WHERE d.drive = $1 AND (d.files, d.bytes) <> (coalesce(x.files, 0), coalesce(x.bytes, 0))`, `
		UPDATE dirs d SET files = coalesce(x.files, 0), bytes = coalesce(x.bytes, 0)
		FROM dirs y LEFT JOIN (` + inDirectory + `) x ON x.parent = y.id
		WHERE d.drive = $1 AND y.drive = $1 AND y.id = d.id AND (d.files, d.bytes) <> (coalesce(x.files, 0), coalesce(x.bytes, 0))`},
	{"node in the trash that has a name", `
		SELECT t.node, '' FROM trash t JOIN nodes n ON n.drive = $1 AND n.id = t.node WHERE t.drive = $1 AND n.nlink > 0`, `
		DELETE FROM trash t USING nodes n WHERE t.drive = $1 AND n.drive = $1 AND n.id = t.node AND n.nlink > 0`},
	{"drive whose counters are not those of its files", `
		SELECT NULL::uuid, 'files ' || d.files || ' bytes ' || d.bytes || ', nodes say ' || x.files || ' and ' || x.bytes
		FROM drives d CROSS JOIN (` + inDrive + `) x WHERE d.id = $1 AND (d.files, d.bytes) <> (x.files, x.bytes)`, `
		UPDATE drives d SET files = x.files, bytes = x.bytes FROM (` + inDrive + `) x
		WHERE d.id = $1 AND (d.files, d.bytes) <> (x.files, x.bytes)`},
	{"drive whose count of stored bytes is not that of its versions", `
		SELECT NULL::uuid, 'stored ' || d.stored || ', versions say ' || x.bytes
		FROM drives d CROSS JOIN (` + inVersions + `) x WHERE d.id = $1 AND d.stored <> x.bytes`, `
		UPDATE drives d SET stored = x.bytes FROM (` + inVersions + `) x WHERE d.id = $1 AND d.stored <> x.bytes`},
	{"drive whose order is behind its changes", `
		SELECT NULL::uuid, 'seq ' || d.seq || ', changes up to ' || x.seq
		FROM drives d CROSS JOIN (SELECT max(seq) AS seq FROM changes WHERE drive = $1) x WHERE d.id = $1 AND d.seq < x.seq`, `
		UPDATE drives d SET seq = x.seq FROM (SELECT max(seq) AS seq FROM changes WHERE drive = $1) x WHERE d.id = $1 AND d.seq < x.seq`},
	{"gap in the order of changes", `
		SELECT NULL::uuid, 'before ' || c.seq FROM (
			SELECT seq, lag(seq) OVER (ORDER BY seq) AS before FROM changes WHERE drive = $1 AND seq > (SELECT forgotten FROM drives WHERE id = $1)) c
		WHERE c.seq <> c.before + 1`, ``},
	{"file without content, or whose size is not that of its version", `
		SELECT n.id, 'size ' || n.size || coalesce(', version ' || v.size, ', no version')
		FROM nodes n LEFT JOIN versions v ON v.drive = $1 AND v.id = n.version
		WHERE n.drive = $1 AND n.type = 'f' AND n.nlink > 0 AND n.size IS DISTINCT FROM v.size`, ``},
	{"version whose SHA-256 is not that of its one chunk", `
		SELECT v.node, 'version ' || v.id FROM versions v
		WHERE v.drive = $1 AND octet_length(v.manifest) = 36 AND v.sha256 <> substring(v.manifest FOR 32)`, ``},
	{"version whose list of chunks is malformed", `
		SELECT v.node, 'version ' || v.id FROM versions v WHERE v.drive = $1 AND octet_length(v.manifest) % 36 <> 0`, ``},
}

const (
	unused = `
		NOT EXISTS (SELECT FROM entries e WHERE e.drive = $1 AND e.node = d.id)
		AND NOT EXISTS (SELECT FROM entries e WHERE e.drive = $1 AND e.parent = d.id)
		AND NOT EXISTS (SELECT FROM dirs s WHERE s.drive = $1 AND s.parent = d.id)
		AND NOT EXISTS (SELECT FROM drives r WHERE r.id = $1 AND r.root = d.id)`
	inDirectory = `
		SELECT e.parent, count(*) AS files, coalesce(sum(n.size) FILTER (WHERE n.type = 'f'), 0)::bigint AS bytes
		FROM entries e JOIN nodes n ON n.drive = $1 AND n.id = e.node
		WHERE e.drive = $1 AND n.type <> 'd' GROUP BY e.parent`
	inDrive = `
		SELECT count(*) AS files, coalesce(sum(size), 0)::bigint AS bytes FROM nodes WHERE drive = $1 AND type = 'f' AND nlink > 0`
	inVersions = `
		SELECT coalesce(sum(size), 0)::bigint AS bytes FROM versions WHERE drive = $1`
)

// Finding is a rule that rows of a drive break.
type Finding struct {
	Words  string
	Faults []Fault
}

// maxFaults is how many rows are named for one rule.
const maxFaults = 1000

// CheckTree holds a drive's rows to the rules, in one snapshot.
func (k *Keeper) CheckTree(ctx context.Context, drive api.ID) (findings []Finding, err error) {
	err = k.inTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		for _, r := range slices.Concat(placing, []rule{nowhere}, counting) {
			rows, _ := tx.Query(ctx, r.find+` LIMIT $2`, drive, maxFaults)
			faults, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Fault])
			if err != nil {
				return fmt.Errorf("look for a %s: %w", r.words, err)
			}
			if len(faults) > 0 {
				findings = append(findings, Finding{Words: r.words, Faults: faults})
			}
		}
		return nil
	})
	return findings, classify(err)
}

// RepairTree mends what follows from other rows. What no name leads to any
// more gets one in the directory Recovered. Nothing that anyone stored is
// removed. The drive gets another epoch, so that devices list it again.
func (k *Keeper) RepairTree(ctx context.Context, drive api.ID) error {
	return k.alone(ctx, drive, func(tx pgx.Tx) error {
		mend := func(rules []rule) error {
			for _, r := range rules {
				if r.repair == "" {
					continue
				}
				if _, err := tx.Exec(ctx, r.repair, drive); err != nil {
					return fmt.Errorf("mend a %s: %w", r.words, err)
				}
			}
			return nil
		}
		if err := mend(placing); err != nil {
			return err
		}
		if err := (&rescue{tx: tx, drive: drive}).run(ctx); err != nil {
			return fmt.Errorf("find a place for what has none: %w", err)
		}
		if err := mend(counting); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE drives SET epoch = gen_random_uuid(), former = former || jsonb_build_object('epoch', epoch, 'seq', 0) WHERE id = $1`, drive)
		if err == nil {
			_, err = tx.Exec(ctx, `SELECT pg_notify('`+channel+`', $1)`, drive.String())
		}
		return err
	})
}
