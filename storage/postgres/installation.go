package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"satchel/api"
)

// Installation is which one this database is of.
type Installation struct {
	ID     api.ID
	Marked bool // it has marked a blob store, so one without a mark is not its own
}

// Installation tells which one this database is of. One that is not of this program's version yet, since a server of the version
// before runs, is [api.Unavailable].
func (k *Keeper) Installation(ctx context.Context) (i Installation, err error) {
	err = k.conn.QueryRow(ctx, `SELECT id, marked FROM installation`).Scan(&i.ID, &i.Marked)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "42P01" {
		return i, api.Errorf(api.Unavailable, "the database is of an earlier release, whose server runs: restart that, or run satcheld migrate")
	}
	return i, classify(err)
}

// NoteMark notes that the installation has marked a blob store.
func (k *Keeper) NoteMark(ctx context.Context) error {
	return k.within(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE installation SET marked = true WHERE NOT marked`)
		return err
	})
}

// HasPacks tells whether any row names content in the blob store.
func (k *Keeper) HasPacks(ctx context.Context) (some bool, err error) {
	err = k.conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM packs)`).Scan(&some)
	return some, classify(err)
}

// NewestPack is the pack that became known last, of those that hold something that is not lost; zero if there is none
// among the last ones.
func (k *Keeper) NewestPack(ctx context.Context) (id api.ID, err error) {
	err = k.conn.QueryRow(ctx, `
		SELECT p.id
		FROM (SELECT owner, id, created FROM packs ORDER BY created DESC, id DESC LIMIT 100) p
		WHERE EXISTS (SELECT FROM chunks c WHERE c.owner = p.owner AND c.pack = p.id AND c.lost IS NULL OFFSET 0)
		ORDER BY p.created DESC, p.id DESC LIMIT 1`).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return api.ID{}, nil
	}
	return id, classify(err)
}

// keep reads which installation it is, before everything is dropped.
func (r *Restore) keep(ctx context.Context) error {
	return r.asKeeper(ctx, func() error {
		return r.tx.QueryRow(ctx, `SELECT id, marked FROM satchel.installation`).Scan(&r.installation.ID, &r.installation.Marked)
	})
}

// identify makes the restored database the one that it was.
func (r *Restore) identify(ctx context.Context) error {
	return r.asKeeper(ctx, func() error {
		_, err := r.tx.Exec(ctx, `UPDATE satchel.installation SET id = $1, marked = $2`, r.installation.ID, r.installation.Marked)
		return err
	})
}

// asKeeper runs fn with the rights of satchel_keeper: row-level security binds the owner too.
func (r *Restore) asKeeper(ctx context.Context, fn func() error) error {
	if _, err := r.tx.Exec(ctx, `SET LOCAL ROLE satchel_keeper`); err != nil {
		return classify(err)
	}
	if err := fn(); err != nil {
		return classify(err)
	}
	_, err := r.tx.Exec(ctx, `SET LOCAL ROLE satchel_owner`)
	return classify(err)
}
