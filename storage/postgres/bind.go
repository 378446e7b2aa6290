package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// Bind shows a directory of one drive, the source, in another's.
type Bind struct {
	ID          api.ID
	Drive       api.ID
	Node        api.ID // the directory in which it is shown
	Owner       api.ID
	SourceDrive api.ID
	SourceNode  api.ID
	SourceOwner api.ID
	Inherit     bool // whoever holds something at Node holds it at the source
}

const bindColumns = `b.id, b.drive, b.node, b.owner, b.source_drive, b.source_node, b.source_owner, b.inherit`

func scanBind(row pgx.CollectableRow) (b Bind, err error) {
	err = row.Scan(&b.ID, &b.Drive, &b.Node, &b.Owner, &b.SourceDrive, &b.SourceNode, &b.SourceOwner, &b.Inherit)
	return b, err
}

// BindsAt is the binds in directories of a drive, as far as the user sees them.
func (tx *Tx) BindsAt(ctx context.Context, drive api.ID, nodes []api.ID) ([]Bind, error) {
	rows, _ := tx.conn.Query(ctx, `SELECT `+bindColumns+` FROM binds b WHERE b.drive = $1 AND b.node = ANY ($2)`, drive, nonNil(nodes))
	return pgx.CollectRows(rows, scanBind)
}

// Binds is the live binds into the user's drives, and those that show something of his.
func (tx *Tx) Binds(ctx context.Context) ([]Bind, error) {
	rows, _ := tx.conn.Query(ctx, `
		SELECT `+bindColumns+` FROM binds b WHERE $1 IN (b.owner, b.source_owner) ORDER BY b.created, b.id`, tx.user)
	return pgx.CollectRows(rows, scanBind)
}

// PathOfNode is the path of a directory, as far up as the user sees it.
func (tx *Tx) PathOfNode(ctx context.Context, drive, node api.ID) (path api.Name, err error) {
	err = tx.conn.QueryRow(ctx, `
		WITH RECURSIVE up (at, depth, path) AS (
			SELECT $2::uuid, 0, ''::text COLLATE "C"
			UNION ALL
			SELECT e.parent, u.depth + 1, '/' || e.name || u.path
			FROM up u
			CROSS JOIN LATERAL (SELECT parent, name FROM entries WHERE drive = $1 AND node = u.at OFFSET 0) e
		)
		SELECT path FROM up ORDER BY depth DESC LIMIT 1`, drive, node).Scan(&path)
	return path, err
}

// AddBind makes a bind. Who does not decide about the drive, or passes on what
// is not his, has [api.Permission]; a directory that has entries, or a bind, is
// [api.Exists]; one from which the source leads back is [api.Invalid].
func (tx *Tx) AddBind(ctx context.Context, b Bind) error {
	var why *string
	err := tx.conn.QueryRow(ctx, `SELECT make_bind($1, $2, $3, $4, $5, $6)`,
		b.ID, b.Drive, b.Node, b.SourceDrive, b.SourceNode, b.Inherit).Scan(&why)
	if err != nil || why == nil {
		return refused(err)
	}
	switch *why {
	case "cycle":
		return api.Errorf(api.Invalid, "the bind would lead back to itself")
	case "taken":
		return api.Errorf(api.Exists, "a bind needs a directory that is empty and is no drive's root")
	}
	return api.Errorf(api.NotFound, "there is no such directory to be bound")
}

// DropBind ends a bind of the user's, or to something of his. The result is
// where it was; a missing one is [api.NotFound].
func (tx *Tx) DropBind(ctx context.Context, id api.ID) (drive, node api.ID, err error) {
	err = tx.conn.QueryRow(ctx, `SELECT drive, node FROM drop_bind($1)`, id).Scan(&drive, &node)
	if errors.Is(err, pgx.ErrNoRows) {
		err = api.Errorf(api.NotFound, "there is no such bind")
	}
	return drive, node, err
}
