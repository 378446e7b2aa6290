package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// HomeName is the name of every user's home drive.
const HomeName = "home"

// EnsureHome makes the home drive of the transaction's user, with an empty
// root directory. It does nothing when there is one, or another transaction makes it.
func (tx *Tx) EnsureHome(ctx context.Context) error { return tx.ensureDrive(ctx, HomeName) }

// EnsureSystemDrive is EnsureHome for a drive of the system, which must be the
// transaction's user. Admins may list it and grant access to it.
func (tx *Tx) EnsureSystemDrive(ctx context.Context, name string) (Drive, error) {
	if _, err := tx.conn.Exec(ctx, `SELECT ensure_system()`); err != nil {
		return Drive{}, err
	}
	if err := tx.ensureDrive(ctx, name); err != nil {
		return Drive{}, err
	}
	rows, _ := tx.conn.Query(ctx, driveQuery+`WHERE d.owner = $1 AND d.name = $2`, tx.user, name)
	d, err := oneDrive(rows)
	if err == nil {
		_, err = tx.conn.Exec(ctx, `SELECT zone_root($1)`, d.ID)
	}
	return d, err
}

func (tx *Tx) ensureDrive(ctx context.Context, name string) error {
	const query = `
		WITH drive AS (
			INSERT INTO drives (id, owner, name, root) VALUES ($1, $2, $3, $4)
			ON CONFLICT (owner, name) DO NOTHING
			RETURNING id, owner, root
		), node AS (
			INSERT INTO nodes (drive, id, owner, type, mode, uid, gid, nlink, size, mtime, ctime, btime, rev)
			SELECT id, root, owner, 'd', $5, $6, $6, 2, 0, $7, $7, $7, 0 FROM drive
		)
		INSERT INTO dirs (drive, id, owner) SELECT id, root, owner FROM drive`
	_, err := tx.conn.Exec(ctx, query, api.NewID(), tx.user, name, api.NewID(), 0o755, api.Self, time.Now().UnixNano())
	return err
}

// Drive is a drive, its owner, and his quota.
type Drive struct {
	api.DriveInfo
	Owner     api.ID
	Forgotten int64 // changes up to it are known no more
	Since     int64 // the past is known from this change on
	Elsewhere int64 // bytes stored in the owner's other drives
}

const driveQuery = `
	SELECT d.id, d.owner, d.name, d.root, d.epoch, d.seq, d.files, d.bytes, d.stored, d.forgotten, greatest(d.since, d.forgotten),
		coalesce((SELECT quota FROM users u WHERE u.id = d.owner), 0),
		coalesce((SELECT sum(o.stored) FROM drives o WHERE o.owner = d.owner AND o.id <> d.id), 0)::bigint, d.former
	FROM drives d `

func scanDrive(row pgx.CollectableRow) (Drive, error) {
	var d Drive
	err := row.Scan(&d.ID, &d.Owner, &d.Name, &d.Root, &d.Epoch, &d.Seq, &d.Files, &d.Used, &d.Stored, &d.Forgotten, &d.Since, &d.Quota, &d.Elsewhere, &d.Former)
	return d, err
}

// Drive is a drive by its id; one that the user may not see is [api.NotFound].
func (tx *Tx) Drive(ctx context.Context, id api.ID) (Drive, error) {
	if tx.guest {
		return tx.SharedDrive(ctx, id)
	}
	rows, _ := tx.conn.Query(ctx, driveQuery+`WHERE d.id = $1`, id)
	return oneDrive(rows)
}

// DriveAndWalk is [Tx.Drive] and [Tx.Walk] of its owner's in one round trip.
func (tx *Tx) DriveAndWalk(ctx context.Context, id, dir api.ID, path []api.Name) (d Drive, walked []api.Node, err error) {
	var missing error
	var batch pgx.Batch
	batch.Queue(driveQuery+`WHERE d.id = $1`, id).Query(func(rows pgx.Rows) error {
		d, missing = oneDrive(rows)
		return rows.Err()
	})
	batch.Queue(walkQuery, id, dir, nonNil(path)).Query(func(rows pgx.Rows) (err error) {
		walked, err = pgx.CollectRows(rows, scanNode)
		return err
	})
	if err := tx.conn.SendBatch(ctx, &batch).Close(); err != nil {
		return d, nil, err
	}
	return d, walked, missing
}

// Home is the home drive of the transaction's user, or [api.NotFound].
func (tx *Tx) Home(ctx context.Context) (Drive, error) {
	rows, _ := tx.conn.Query(ctx, driveQuery+`WHERE d.owner = $1 AND d.name = $2`, tx.user, HomeName)
	return oneDrive(rows)
}

// room is the part of the owner's quota that is this drive's; 0 = no limit.
func (d *Drive) room() int64 {
	if d.Quota == 0 {
		return 0
	}
	return max(1, d.Quota-d.Elsewhere)
}

// Fitting is how many bytes the drive shall have stored so that it is within the quota for a while. Over tells that it is over the quota, and
// has a past whose going brings it there. Where the files alone are over it nothing is gained by that: nobody can save before or after.
func (d *Drive) Fitting() (stored int64, over bool) {
	quota := d.room()
	return max(quota-quota/50, d.Used), quota > 0 && d.Stored > quota && d.Used <= quota
}

func oneDrive(rows pgx.Rows) (Drive, error) {
	d, err := pgx.CollectExactlyOneRow(rows, scanDrive)
	if errors.Is(err, pgx.ErrNoRows) {
		err = errNoDrive()
	}
	return d, err
}

func errNoDrive() error { return api.Errorf(api.NotFound, "there is no such drive") }

// Drives lists the drives of the transaction's user by name.
func (tx *Tx) Drives(ctx context.Context) ([]Drive, error) {
	rows, _ := tx.conn.Query(ctx, driveQuery+`WHERE d.owner = $1 ORDER BY d.name, d.id`, tx.user)
	return pgx.CollectRows(rows, scanDrive)
}

// WasImported tells whether a system drive's directory was imported whole.
func (tx *Tx) WasImported(ctx context.Context, drive api.ID) (yes bool, err error) {
	err = tx.conn.QueryRow(ctx, `SELECT imported IS NOT NULL FROM drives WHERE id = $1`, drive).Scan(&yes)
	return yes, err
}

// MarkImported notes that it was.
func (tx *Tx) MarkImported(ctx context.Context, drive api.ID) error {
	_, err := tx.conn.Exec(ctx, `UPDATE drives SET imported = now() WHERE id = $1`, drive)
	return err
}
