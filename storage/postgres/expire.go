package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"satchel/api"
)

// Expired tells what was removed of drives' pasts.
type Expired struct {
	Versions int   // of files that live on
	Trashed  int   // things in the trash
	Bytes    int64 // sizes of all versions that went
}

// Add adds up.
func (e *Expired) Add(o Expired) {
	e.Versions += o.Versions
	e.Trashed += o.Trashed
	e.Bytes += o.Bytes
}

// liveDevice is how recently a device must have been seen for what it may be
// working on to be kept.
const liveDevice = 30 * 24 * time.Hour

// Limits are how far back the past of a drive is kept, as its retention is at a moment.
type Limits struct {
	Daily, All, Trash time.Time

	since int64 // the last change before All
	moved bool  // the past is known from before it on
}

// Limits is what a retention of a drive comes to at a time.
func (tx *Tx) Limits(ctx context.Context, drive, owner api.ID, now time.Time, all, daily, trash time.Duration) (l Limits, err error) {
	// What was current when the device that was away longest looked last may
	// be what it works on.
	err = tx.conn.QueryRow(ctx, `
		SELECT $2::timestamptz - $6::interval, least($2::timestamptz - $3::interval, seen), least($2::timestamptz - $4::interval, seen)
		FROM (SELECT min(seen) AS seen FROM sessions
			WHERE user_id = $1 AND kind = 'device' AND revoked IS NULL AND seen > $2::timestamptz - $5::interval) s`,
		owner, now, all, trash, liveDevice, daily).Scan(&l.Daily, &l.All, &l.Trash)
	if err != nil {
		return l, err
	}
	// The order of changes is that of their times, but for transactions that
	// waited for each other.
	var known int64
	err = tx.conn.QueryRow(ctx, `
		SELECT d.since, coalesce((SELECT seq - 1 FROM changes WHERE drive = $1 AND seq > greatest(d.since, d.forgotten) AND at >= $2 ORDER BY seq LIMIT 1), d.seq)
		FROM drives d WHERE d.id = $1`, drive, l.All).Scan(&known, &l.since)
	l.moved = l.since > known
	return l, err
}

// CutPast has nobody return to a point before the limits any more. What only that was for goes by [Tx.ForgetPast].
func (tx *Tx) CutPast(ctx context.Context, drive api.ID, l Limits) error {
	if !l.moved {
		return nil
	}
	_, err := tx.conn.Exec(ctx, `UPDATE drives SET since = greatest(since, $2) WHERE id = $1`, drive, l.since)
	return err
}

// PastRows is a kind of the rows of a drive's past.
type PastRows struct {
	table, key, died string
	after            string // the key of the row after which to go on, as parameters
	start            []any  // a key before all others
}

// What entries and nodes were.
var (
	PastEntries = PastRows{"past_entries", "parent, name, died", "died", "$4, $5, $6", []any{[16]byte{}, "", int64(0)}}
	PastNodes   = PastRows{"past_nodes", "id, until", "until", "$4, $5", []any{[16]byte{}, int64(0)}}
)

// ForgetPast looks at the next rows of the past, at most limit, after the one with a key (nil: from the first on), and removes
// those that lead no farther back than the limits. Last is the key of the last one; nil when there were none. Nobody asks for what goes,
// so the drive need not be locked.
func (tx *Tx) ForgetPast(ctx context.Context, drive api.ID, kind PastRows, l Limits, after []any, limit int) (last []any, err error) {
	if after == nil {
		after = kind.start
	}
	rows, _ := tx.conn.Query(ctx, `
		WITH page AS MATERIALIZED (
			SELECT ctid AS row, `+kind.key+` FROM `+kind.table+`
			WHERE drive = $1 AND (`+kind.key+`) > (`+kind.after+`)
			ORDER BY `+kind.key+` LIMIT $3
		), gone AS (
			DELETE FROM `+kind.table+` WHERE ctid = ANY (ARRAY(SELECT row FROM page WHERE `+kind.died+` <= $2))
		)
		SELECT `+kind.key+` FROM page ORDER BY (`+kind.key+`) DESC LIMIT 1`,
		slices.Concat([]any{drive, l.since, limit}, after)...)
	last, err = pgx.CollectOneRow(rows, pgx.CollectableRow.Values)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return last, err
}

// Ageing is a kind of a drive's rows that go when they are beyond its limits.
type Ageing struct {
	table, key string
	due        string // of a row r, with the limits l. OFFSET 0: each is looked up by itself, however many the planner takes them for
	remove     func(ctx context.Context, tx *Tx, drive api.ID, keys []api.ID) (Expired, error)
}

// Remains, trash and versions, in the order in which they go.
var (
	// AgeingRemains is nodes whose documents moved on to others, when nothing of their past is left.
	AgeingRemains = Ageing{"nodes", "id", `r.nlink = 0
		AND NOT EXISTS (SELECT FROM trash t WHERE t.drive = $1 AND t.node = r.id OFFSET 0)
		AND NOT EXISTS (SELECT FROM past_nodes p WHERE p.drive = $1 AND p.id = r.id OFFSET 0)`,
		func(ctx context.Context, tx *Tx, drive api.ID, nodes []api.ID) (gone Expired, err error) {
			_, err = tx.conn.Exec(ctx, `DELETE FROM nodes WHERE drive = $1 AND id = ANY ($2)`, drive, nodes)
			return gone, err
		}}

	// AgeingTrash is what was deleted.
	AgeingTrash = Ageing{"trash", "node", `r.at < l.trash`,
		func(ctx context.Context, tx *Tx, drive api.ID, nodes []api.ID) (gone Expired, err error) {
			gone.Trashed = len(nodes)
			gone.Bytes, err = tx.Purge(ctx, drive, nodes)
			return gone, err
		}}

	// AgeingVersions is the versions that nothing refers to and that are older than daily, or older than all and not
	// the last one of their day.
	AgeingVersions = Ageing{"versions", "id", `r.created < l.before
		AND NOT EXISTS (SELECT FROM nodes n WHERE n.drive = $1 AND n.version = r.id OFFSET 0)
		AND NOT EXISTS (SELECT FROM past_nodes p WHERE p.drive = $1 AND p.version = r.id OFFSET 0)
		AND (r.created < l.daily OR EXISTS (
			SELECT FROM versions w
			WHERE w.drive = $1 AND w.document = r.document AND (w.created, w.id) > (r.created, r.id)
			  AND (w.created AT TIME ZONE 'UTC')::date = (r.created AT TIME ZONE 'UTC')::date OFFSET 0))`,
		func(ctx context.Context, tx *Tx, drive api.ID, versions []api.ID) (gone Expired, err error) {
			gone.Versions = len(versions)
			gone.Bytes, err = tx.forget(ctx, drive, versions)
			return gone, err
		}}
)

// ageingPage is how many rows are looked at at once.
const ageingPage = 10_000

const limitsGiven = `WITH l (daily, before, trash) AS (VALUES ($2::timestamptz, $3::timestamptz, $4::timestamptz)) `

// Due looks at the next rows of a kind after one of them, and tells which of them are beyond the limits. More
// is false when they were the last ones.
func (tx *Tx) Due(ctx context.Context, drive api.ID, kind Ageing, l Limits, after api.ID) (due []api.ID, last api.ID, more bool, err error) {
	rows, _ := tx.conn.Query(ctx, limitsGiven+`
		SELECT r.`+kind.key+`, `+kind.due+`
		FROM l CROSS JOIN (SELECT * FROM `+kind.table+` WHERE drive = $1 AND `+kind.key+` > $5 ORDER BY `+kind.key+` LIMIT $6) r
		ORDER BY r.`+kind.key, drive, l.Daily, l.All, l.Trash, pgtype.UUID{Bytes: after, Valid: true}, ageingPage)
	n, is := 0, false
	_, err = pgx.ForEachRow(rows, []any{&last, &is}, func() error {
		if n++; is {
			due = append(due, last)
		}
		return nil
	})
	return due, last, n == ageingPage, err
}

// Expire removes those of a kind's rows that are beyond the limits, still. The transaction locks the drive.
func (tx *Tx) Expire(ctx context.Context, drive, owner api.ID, kind Ageing, l Limits, due []api.ID) (gone Expired, err error) {
	if _, err := tx.Lock(ctx, drive, owner, Author{}, nil); err != nil {
		return gone, err
	}
	rows, _ := tx.conn.Query(ctx, limitsGiven+`
		SELECT k
		FROM l CROSS JOIN unnest($5::uuid[]) k
		CROSS JOIN LATERAL (SELECT * FROM `+kind.table+` WHERE drive = $1 AND `+kind.key+` = k OFFSET 0) r
		WHERE `+kind.due, drive, l.Daily, l.All, l.Trash, due)
	still, err := pgx.CollectRows(rows, pgx.RowTo[api.ID])
	if err != nil || len(still) == 0 {
		return gone, err
	}
	return kind.remove(ctx, tx, drive, still)
}
