package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// Link lets whoever has its token read a node and what is below it.
type Link struct {
	ID       api.ID
	Node     api.ID
	Path     api.Name // from the drive's root; empty in what strangers are told
	Token    string
	Password string     // its Argon2id hash; "": none is asked for
	Expires  *time.Time // nil: never
	Created  time.Time
}

// AddLink makes a link into a drive of the transaction's user; others have
// [api.Permission].
func (tx *Tx) AddLink(ctx context.Context, drive api.ID, l Link) error {
	var password *string
	if l.Password != "" {
		password = &l.Password
	}
	_, err := tx.conn.Exec(ctx, `SELECT add_link($1, $2, $3, $4, $5, $6)`, l.ID, drive, l.Node, l.Token, password, l.Expires)
	return refused(err)
}

// Links lists the links to a node of the user's drive that are not over, the
// newest first; the zero node means all of the drive.
func (tx *Tx) Links(ctx context.Context, drive, node api.ID) ([]Link, error) {
	rows, _ := tx.conn.Query(ctx, `
		SELECT l.id, l.node, l.token, coalesce(l.password, ''), l.expires, l.created
		FROM links l JOIN nodes n ON n.drive = l.drive AND n.id = l.node AND n.nlink > 0
		WHERE l.drive = $1 AND ($2::uuid IS NULL OR l.node = $2) AND (l.expires IS NULL OR l.expires > now())
		ORDER BY l.created DESC, l.id`, drive, node)
	links, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l Link, err error) {
		err = row.Scan(&l.ID, &l.Node, &l.Token, &l.Password, &l.Expires, &l.Created)
		return l, err
	})
	for i := range links {
		if err == nil {
			links[i].Path, err = tx.PathOfNode(ctx, drive, links[i].Node)
		}
	}
	return links, err
}

// RemoveLink ends a link of the user's, or is [api.NotFound].
func (tx *Tx) RemoveLink(ctx context.Context, drive, id api.ID) error {
	tag, err := tx.conn.Exec(ctx, `DELETE FROM links WHERE drive = $1 AND id = $2`, drive, id)
	if err == nil && tag.RowsAffected() == 0 {
		err = api.Errorf(api.NotFound, "there is no such link")
	}
	return err
}

// ExpireLinks forgets the links into a drive that were over before a time.
func (tx *Tx) ExpireLinks(ctx context.Context, drive api.ID, before time.Time) error {
	_, err := tx.conn.Exec(ctx, `DELETE FROM links WHERE drive = $1 AND expires < $2`, drive, before)
	return err
}

// LinkTarget is what a token opens.
type LinkTarget struct {
	Link   api.ID
	Drive  api.ID
	Node   api.ID
	Owner  api.ID
	Sharer string // the owner's name

	Name     api.Name // of the node; empty for a drive's root
	Password string   // the hash of the one that is asked for; "": none
	Expires  *time.Time
}

// LinkTarget is what a token opens, for anyone. One that opens nothing, or no more, is
// [api.NotFound].
func (tx *Tx) LinkTarget(ctx context.Context, token string) (LinkTarget, error) {
	rows, _ := tx.conn.Query(ctx, `SELECT * FROM link_target($1)`, token)
	t, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[LinkTarget])
	if errors.Is(err, pgx.ErrNoRows) {
		err = api.Errorf(api.NotFound, "this link is over, or never was one")
	}
	return t, err
}

// PersonAt is the editor with an e-mail address, or [api.NotFound].
func (tx *Tx) PersonAt(ctx context.Context, email string) (p Person, err error) {
	err = tx.conn.QueryRow(ctx, `SELECT id, name FROM person_at($1)`, email).Scan(&p.ID, &p.Name)
	if errors.Is(err, pgx.ErrNoRows) || invalidText(err) {
		err = api.Errorf(api.NotFound, "there is no user with this address here")
	}
	return p, err
}

// Shared is something that another one shares with the user.
type Shared struct {
	Drive, Node, Owner api.ID
	Sharer             string // the owner's name, as he calls himself
	Address            string // his; "" if he did not share it with the user by name
	Name               api.Name
	Type               api.Type
	Size               int64 // bytes
	Mtime              int64 // ns
	Permissions        api.Permissions
}

// SharedWithMe lists what others share with the user, or with everyone who has an account.
func (tx *Tx) SharedWithMe(ctx context.Context) ([]Shared, error) {
	rows, _ := tx.conn.Query(ctx, `SELECT drive, node, owner, sharer, coalesce(address, ''), name, type, size, mtime, permissions FROM theirs()`)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Shared, err error) {
		var permissions int32
		err = row.Scan(&s.Drive, &s.Node, &s.Owner, &s.Sharer, &s.Address, &s.Name, &s.Type, &s.Size, &s.Mtime, &permissions)
		s.Permissions = api.Permissions(permissions)
		return s, err
	})
}
