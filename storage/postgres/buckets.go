package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"satchel/api"
)

// Bucket is a directory with a global name.
type Bucket struct {
	Name    string
	Drive   api.ID
	Node    api.ID
	Owner   api.ID
	Created time.Time
}

// Rule is one statement of a bucket's policy: principals are "*", ids of users,
// addresses in lower case or access keys; actions and resources are patterns of SQL's LIKE.
type Rule struct {
	Effect     string   `json:"effect"`
	Principals []string `json:"principals"`
	Actions    []string `json:"actions"`
	Resources  []string `json:"resources"`
}

// Buckets lists the transaction's user's buckets by name.
func (tx *Tx) Buckets(ctx context.Context) ([]Bucket, error) {
	rows, _ := tx.conn.Query(ctx, `
		SELECT b.name, b.drive, b.node, b.owner, b.created
		FROM buckets b JOIN nodes n ON n.drive = b.drive AND n.id = b.node AND n.nlink > 0
		WHERE b.owner = $1
		ORDER BY b.name`, tx.user)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Bucket])
}

// BucketFor is a bucket if the transaction's user may do an action with it, or
// with the object of a key in it. A missing one is [api.NotFound]; one with which
// he may not is [api.Permission].
func (tx *Tx) BucketFor(ctx context.Context, name, action, key string) (Bucket, error) {
	b := Bucket{Name: name}
	err := tx.conn.QueryRow(ctx, `SELECT drive, node, owner FROM bucket_access($1, $2, $3)`, name, action, key).Scan(&b.Drive, &b.Node, &b.Owner)
	switch {
	case errors.Is(err, pgx.ErrNoRows) || invalidText(err):
		return b, api.Errorf(api.NotFound, "there is no bucket %q", name)
	case err == nil && b.Node.IsZero():
		return b, api.Errorf(api.Permission, "the bucket's policy does not allow this")
	}
	return b, err
}

// AddBucket gives a directory a bucket's name. A taken name, or a directory
// that is a bucket already, is [api.Exists].
func (tx *Tx) AddBucket(ctx context.Context, b Bucket) error {
	if _, err := tx.conn.Exec(ctx, `SELECT free_bucket($1)`, b.Name); err != nil {
		return err
	}
	_, err := tx.conn.Exec(ctx, `INSERT INTO buckets (name, drive, node, owner) VALUES ($1, $2, $3, $4)`, b.Name, b.Drive, b.Node, b.Owner)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "23505" {
		return api.Errorf(api.Exists, "the bucket's name %q is taken", b.Name)
	}
	return err
}

// RemoveBucket takes the name from a bucket.
func (tx *Tx) RemoveBucket(ctx context.Context, name string) error {
	_, err := tx.conn.Exec(ctx, `DELETE FROM buckets WHERE name = $1`, name)
	return err
}

// BucketPolicy is the policy of a bucket, nil if it has none. If the user is
// neither its owner nor an admin it is [api.NotFound].
func (tx *Tx) BucketPolicy(ctx context.Context, name string) (policy json.RawMessage, err error) {
	err = tx.conn.QueryRow(ctx, `SELECT policy FROM bucket_policy($1)`, name).Scan(&policy)
	if errors.Is(err, pgx.ErrNoRows) || invalidText(err) {
		err = api.Errorf(api.NotFound, "there is no bucket %q", name)
	}
	return policy, err
}

// noPrincipal is what satchel.keep_principals refuses with.
const noPrincipal = "SA002"

// SetBucketPolicy replaces the policy of a bucket of the user's; nil removes
// it. The rules keep the accounts that their principals are now; a principal that is nobody is
// [api.Invalid].
func (tx *Tx) SetBucketPolicy(ctx context.Context, name string, policy json.RawMessage, rules []Rule) error {
	tag, err := tx.conn.Exec(ctx, `UPDATE buckets SET policy = $2, rules = $3 WHERE name = $1`, name, policy, nonNil(rules))
	if err == nil && tag.RowsAffected() == 0 {
		err = api.Errorf(api.NotFound, "there is no bucket %q", name)
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == noPrincipal {
		err = api.Errorf(api.Invalid, "%s", pg.Message)
	}
	return err
}

// Path is the names that lead from a drive's root to a live directory.
func (tx *Tx) Path(ctx context.Context, drive, dir api.ID) ([]api.Name, error) {
	rows, _ := tx.conn.Query(ctx, `
		WITH RECURSIVE up (depth, id, name) AS (
			SELECT 0, e.parent, e.name FROM entries e WHERE e.drive = $1 AND e.node = $2
			UNION ALL
			SELECT u.depth + 1, e.parent, e.name
			FROM up u
			CROSS JOIN LATERAL (SELECT parent, name FROM entries WHERE drive = $1 AND node = u.id OFFSET 0) e
		)
		SELECT name FROM up ORDER BY depth DESC`, drive, dir)
	return pgx.CollectRows(rows, pgx.RowTo[api.Name])
}
