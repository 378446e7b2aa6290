package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"satchel/api"
)

// Guest tells that the transaction is about another one's drive, of which the
// user has what grants give him. Row-level security decides what that is; the
// way to it is hidden, so that walks and locks go through functions of the
// database.
func (tx *Tx) Guest() { tx.guest = true }

// insufficientPrivilege is what row-level security and our functions say no with.
const insufficientPrivilege = "42501"

// refused gives the database's refusal its kind.
func refused(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == insufficientPrivilege {
		return api.Errorf(api.Permission, "you may not do this here")
	}
	return err
}

const sharedDriveQuery = `
	SELECT id, owner, name, root, epoch, seq, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, former FROM `

const sharedDriveByID = sharedDriveQuery + `shared_drive($1, NULL, NULL)`

// SharedDrive is another one's drive in which the user holds something;
// without its figures, which are its owner's. Else it is [api.NotFound].
func (tx *Tx) SharedDrive(ctx context.Context, id api.ID) (Drive, error) {
	rows, _ := tx.conn.Query(ctx, sharedDriveByID, id)
	return oneDrive(rows)
}

// SharedDriveOf is SharedDrive by the owner and the name.
func (tx *Tx) SharedDriveOf(ctx context.Context, owner api.ID, name string) (Drive, error) {
	rows, _ := tx.conn.Query(ctx, sharedDriveQuery+`shared_drive(NULL, $1, $2)`, owner, name)
	return oneDrive(rows)
}

// SharedBucket is the drive of a bucket, with the bucket's directory for its
// root, if the user owns it or holds something in it. Else it is [api.NotFound].
func (tx *Tx) SharedBucket(ctx context.Context, name string) (Drive, error) {
	rows, _ := tx.conn.Query(ctx, sharedDriveQuery+`(SELECT *, NULL::jsonb AS former FROM shared_bucket($1)) bucket`, name)
	return oneDrive(rows)
}

// walkShared is Walk for a guest. Directories on the way that he may not see
// are zero but for their type; what leads nowhere that he may see is nothing.
func (tx *Tx) walkShared(ctx context.Context, drive, dir api.ID, path []api.Name) ([]api.Node, error) {
	last := tx.conn.last
	tx.conn.last = false // it is the second statement that may be
	rows, _ := tx.conn.Query(ctx, `SELECT depth, id FROM walk_shared($1, $2, $3) ORDER BY depth`, drive, dir, nonNil(path))
	walked := make([]api.Node, 0, len(path))
	var depth int
	var id api.ID
	var ids []api.ID
	if _, err := pgx.ForEachRow(rows, []any{&depth, &id}, func() error {
		for len(walked) < depth {
			walked = append(walked, api.Node{Type: api.Directory})
		}
		walked[depth-1].ID = id
		ids = append(ids, id)
		return nil
	}); err != nil || len(ids) == 0 {
		return nil, err
	}
	tx.conn.last = last
	rows, _ = tx.conn.Query(ctx, `
		SELECT `+nodeColumns+`
		FROM nodes n LEFT JOIN versions v ON v.drive = n.drive AND v.id = n.version
		WHERE n.drive = $1 AND n.id = ANY ($2)`, drive, ids)
	nodes, err := pgx.CollectRows(rows, scanNode)
	if err != nil {
		return nil, err
	}
	for i := range walked {
		for _, n := range nodes {
			if n.ID == walked[i].ID && !n.ID.IsZero() {
				walked[i] = n
			}
		}
	}
	return walked, nil
}

func (tx *Tx) lockShared(ctx context.Context, drive api.ID) (l Locked, err error) {
	rows, _ := tx.conn.Query(ctx, `SELECT *, NULL::jsonb FROM lock_shared($1)`, drive)
	d, err := pgx.CollectExactlyOneRow(rows, scanDrive)
	if errors.Is(err, pgx.ErrNoRows) {
		err = api.Errorf(api.Permission, "you may change nothing here")
	}
	l.Drive = d.working()
	return l, err
}

// Need is one of several permissions on a node: on a directory for what is
// directly in it, on a file for its content.
type Need struct {
	Node  api.ID
	AnyOf api.Permissions
}

// Act lets a guest go on as the drive's owner, to write what he may change,
// if he holds all that he needs; else it is [api.Permission]. It completes the
// lock with the chunks that are there. The drive must be locked.
func (tx *Tx) Act(ctx context.Context, l *Locked, needs []Need, hashes []api.Hash) error {
	var batch pgx.Batch
	batch.Queue(`SELECT act($1, $2, $3)`, l.Drive.ID,
		column(needs, func(n *Need) api.ID { return n.Node }),
		column(needs, func(n *Need) int32 { return int32(n.AnyOf) }))
	l.lockChunks(&batch, l.Drive.Owner, hashes)
	if err := tx.conn.SendBatch(ctx, &batch).Close(); err != nil {
		return refused(err)
	}
	tx.guest, tx.owner = false, l.Drive.Owner
	return nil
}

// SharedChunks is where chunks of versions are that a guest may read.
func (tx *Tx) SharedChunks(ctx context.Context, drive api.ID, versions []api.ID, hashes []api.Hash) (map[api.Hash]Extent, error) {
	rows, _ := tx.conn.Query(ctx, `SELECT sha256, pack, off, len FROM shared_chunks($1, $2, $3)`, drive, versions, nonNil(hashes))
	return collectExtents(rows, len(hashes))
}

// AddSharedPack is [Tx.AddPack] by a guest who may change something in a drive:
// the pack is its owner's. Else it is [api.Permission].
func (tx *Tx) AddSharedPack(ctx context.Context, drive api.ID, p Pack) error {
	var now time.Time
	err := tx.conn.QueryRow(ctx, `SELECT clock_timestamp() FROM add_shared_pack($1, $2, $3, $4, $5, $6)`, drive, p.ID, p.Bytes,
		column(p.Chunks, func(e *Extent) api.Hash { return e.Hash }),
		column(p.Chunks, func(e *Extent) int32 { return int32(e.Off) }),
		column(p.Chunks, func(e *Extent) int32 { return int32(e.Len) })).Scan(&now)
	if err != nil {
		return refused(err)
	}
	return inTime(now, p)
}

// SpareShared keeps chunks that a guest sent to a drive for another grace period.
func (tx *Tx) SpareShared(ctx context.Context, drive api.ID, hashes []api.Hash) error {
	_, err := tx.conn.Exec(ctx, `SELECT spare_shared($1, $2)`, drive, hashes)
	return err
}

// Permissions is what the user may do at a live node; 0 when he does not see it.
func (tx *Tx) Permissions(ctx context.Context, drive, node api.ID) (p api.Permissions, err error) {
	err = tx.conn.QueryRow(ctx, `SELECT permissions_on($1, $2)`, drive, node).Scan(&p)
	return p, err
}

// NodeGrant is a grant and the node that its path leads to.
type NodeGrant struct {
	api.Grant
	Node api.ID
}

// Grants lists a drive's grants by path. It is empty for all but those who
// decide about them.
func (tx *Tx) Grants(ctx context.Context, drive api.ID) ([]NodeGrant, error) {
	rows, _ := tx.conn.Query(ctx, `SELECT node, path, principal, permissions FROM grants_of($1)`, drive)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (g NodeGrant, err error) {
		err = row.Scan(&g.Node, &g.Path, &g.UserID, &g.Permissions)
		return g, err
	})
}

// AddressGrant takes down by what address the owner of a drive named the user to whom a grant on a node is. A missing
// grant, or one to the user of another address, is [api.NotFound].
func (tx *Tx) AddressGrant(ctx context.Context, drive, node, user api.ID, address string) error {
	var done bool
	err := tx.conn.QueryRow(ctx, `SELECT address_grant($1, $2, $3, $4)`, drive, node, user, address).Scan(&done)
	if err == nil && !done {
		err = api.Errorf(api.NotFound, "there is no grant to the user of this address")
	}
	return refused(err)
}

// GrantAddress is to whom a grant is.
type GrantAddress struct {
	Node      api.ID
	Principal string
	Address   string
}

// GrantAddresses lists the grants of a drive that were made by a user's address. It is empty for all but those who
// decide about them.
func (tx *Tx) GrantAddresses(ctx context.Context, drive api.ID) ([]GrantAddress, error) {
	rows, _ := tx.conn.Query(ctx, `SELECT node, principal, address FROM grant_addresses($1)`, drive)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[GrantAddress])
}

// DecidesGrants tells whether the user may grant and revoke in a drive.
func (tx *Tx) DecidesGrants(ctx context.Context, drive api.ID) (yes bool, err error) {
	err = tx.conn.QueryRow(ctx, `SELECT grants_are_mine($1)`, drive).Scan(&yes)
	return yes, err
}

// Grant adds permissions of a principal on a node. A missing node or user is
// [api.NotFound]; one who does not decide about the drive has [api.Permission].
func (tx *Tx) Grant(ctx context.Context, drive, node api.ID, principal string, p api.Permissions) error {
	var done bool
	err := tx.conn.QueryRow(ctx, `SELECT grant_access($1, $2, $3, $4)`, drive, node, principal, int(p)).Scan(&done)
	if err == nil && !done {
		err = api.Errorf(api.NotFound, "there is no such user, or nothing at the path")
	}
	return refused(err)
}

// Revoke takes permissions of a principal on a node away. A grant that is not
// there is [api.NotFound].
func (tx *Tx) Revoke(ctx context.Context, drive, node api.ID, principal string, p api.Permissions) error {
	var done bool
	err := tx.conn.QueryRow(ctx, `SELECT revoke_access($1, $2, $3, $4)`, drive, node, principal, int(p)).Scan(&done)
	if err == nil && !done {
		err = api.Errorf(api.NotFound, "there is no such grant")
	}
	return refused(err)
}
