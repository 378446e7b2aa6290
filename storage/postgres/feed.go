package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/storage/tree"
)

// channel is where commits tell which drive they changed.
const channel = "satchel_changes"

// Listen calls ready once it listens, and then changed with each drive that a
// transaction changed from then on, by any process, until ctx or the
// connection ends. The error is never nil. Both functions must return soon.
func (db *DB) Listen(ctx context.Context, ready func(), changed func(drive api.ID)) error {
	// Not of the pool: a listener keeps its connection for as long as the process runs.
	conn, err := pgx.ConnectConfig(ctx, db.listen)
	if err != nil {
		return classify(fmt.Errorf("connect to the database: %w", err))
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return classify(fmt.Errorf("listen for changes: %w", err))
	}
	// Every server listens for as long as it runs; so a restore finds out.
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock_shared("+servingLock+")"); err != nil {
		return classify(fmt.Errorf("tell that a server runs: %w", err))
	}
	ready()
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return classify(fmt.Errorf("listen for changes: %w", err))
		}
		if id, err := api.ParseID(n.Payload); err == nil {
			changed(id)
		}
	}
}

// Feed is what changed in a drive.
type Feed struct {
	Ended bool // the device's session was ended, and nothing else counts
	Drive Drive

	Touched tree.Touched
	Last    int64 // the number of the last change
	More    bool  // the limit cut them
}

// ChangesAfter names what others than the batches of an incarnation of a device (zero: of any) changed after a
// point of the drive's order: at most limit changes. For a guest it is the drive and the session alone: see [Tx.GuestChanges]. A drive
// that the user may not see is [api.NotFound].
func (tx *Tx) ChangesAfter(ctx context.Context, drive api.ID, but Author, after int64, limit int) (f Feed, err error) {
	var missing error
	var batch pgx.Batch
	batch.Queue(sessionEnded, but.Device).QueryRow(func(row pgx.Row) error { return row.Scan(&f.Ended) })
	query := driveQuery + `WHERE d.id = $1`
	if tx.guest {
		query = sharedDriveByID
	}
	batch.Queue(query, drive).Query(func(rows pgx.Rows) error {
		f.Drive, missing = oneDrive(rows)
		return rows.Err()
	})
	if !tx.guest {
		batch.Queue(`
			SELECT seq, node, parent, name, to_parent, to_name, other
			FROM changes
			WHERE drive = $1 AND seq > $2 AND (device IS DISTINCT FROM $3 OR incarnation IS NULL OR incarnation <> $5)
			ORDER BY seq LIMIT $4`, drive, after, but.Device, limit, but.Incarnation).Query(func(rows pgx.Rows) error { return f.collect(rows, limit) })
	}
	if err := tx.conn.SendBatch(ctx, &batch).Close(); err != nil {
		return f, err
	}
	if f.Ended {
		return f, nil
	}
	return f, missing
}

func (f *Feed) collect(rows pgx.Rows, limit int) error {
	n := 0
	var c tree.Change
	_, err := pgx.ForEachRow(rows, []any{&c.Seq, &c.Node, &c.From.Parent, &c.From.Name, &c.To.Parent, &c.To.Name, &c.Other}, func() error {
		n++
		f.Last = c.Seq
		f.Touched.Nodes = append(f.Touched.Nodes, c.Node, c.From.Parent, c.To.Parent, c.Other)
		f.Touched.Entries = append(f.Touched.Entries, c.From, c.To)
		return nil
	})
	f.Touched, f.More = f.Touched.Unique(), n == limit
	return err
}
