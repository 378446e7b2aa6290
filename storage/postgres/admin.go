package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"satchel/api"
)

// What an admin may ask and do. The database decides who is one: for anyone
// else lists are empty, and changes are [api.Permission].

// lastAdmin is our function's own SQLSTATE.
const lastAdmin = "SA001"

// adminError gives what the admin's functions raise its kind.
func adminError(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == lastAdmin {
		return api.Errorf(api.Permission, "this is the last admin who can log in: make another one first")
	}
	return refused(err)
}

// AdminAddUser makes an account. A taken address is [api.Exists].
func (tx *Tx) AdminAddUser(ctx context.Context, u User, passwordHash string) error {
	_, err := tx.conn.Exec(ctx, `SELECT satchel.admin_add_user($1, $2, $3, $4, $5, $6)`, u.ID, u.Email, u.Name, u.Role, u.Quota, passwordHash)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == uniqueViolation {
		return errTaken(u.Email)
	}
	return adminError(err)
}

// AccountChange is what shall be another in an account; nil is as it was.
type AccountChange struct {
	Name         *string
	Role         *string
	Quota        *int64 // bytes; 0 = none
	Disabled     *bool
	PasswordHash *string // enables the account, too
}

// AdminChangeUser changes an account, all of it or nothing. Its sessions end with a
// new role, a new password and when it is disabled. The last admin who can log in stays
// one ([api.Permission]); an unknown account is [api.NotFound].
func (tx *Tx) AdminChangeUser(ctx context.Context, user api.ID, c AccountChange) error {
	var n int64
	err := tx.conn.QueryRow(ctx, `SELECT satchel.admin_change_user($1, $2, $3, $4, $5, $6)`, user, c.Name, c.Role, c.Quota, c.Disabled, c.PasswordHash).Scan(&n)
	if err == nil && n == 0 {
		err = api.Errorf(api.NotFound, "there is no such account")
	}
	return adminError(err)
}

// LiveSession is a session of anybody that is good now.
type LiveSession struct {
	ID      api.ID     `json:"id"`
	User    api.ID     `json:"user"`
	Email   string     `json:"email"`
	Kind    string     `json:"kind"` // device, browser, app or key
	Name    string     `json:"name"`
	Created time.Time  `json:"created"`
	Seen    time.Time  `json:"seen"` // to the minute
	Expires *time.Time `json:"expires,omitempty"`
}

// Logins lists the live sessions of everybody, the last seen first: of one user
// and one kind, where these are not zero.
func (tx *Tx) Logins(ctx context.Context, user api.ID, kind string, limit, offset int) ([]LiveSession, error) {
	rows, _ := tx.conn.Query(ctx, `
		SELECT id, user_id, email, kind, name, created, seen, expires FROM satchel.all_sessions()
		WHERE ($1::uuid IS NULL OR user_id = $1) AND ($2 = '' OR kind = $2)
		ORDER BY seen DESC, id LIMIT $3 OFFSET $4`, user, kind, limit, offset)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[LiveSession])
}

// AdminEndSession ends anybody's session. One that is not live is [api.NotFound].
func (tx *Tx) AdminEndSession(ctx context.Context, id api.ID) error {
	return tx.adminCount(ctx, `SELECT satchel.admin_end_session($1)`, "there is no such session", id)
}

// AdminLiftBans ends the bans of the networks that overlap with one. Without any
// it is [api.NotFound].
func (tx *Tx) AdminLiftBans(ctx context.Context, network netip.Prefix) error {
	return tx.adminCount(ctx, `SELECT satchel.admin_lift_bans($1)`, network.String()+" is not banned", network)
}

// adminCount runs a function that tells how many rows it found.
func (tx *Tx) adminCount(ctx context.Context, query, none string, args ...any) error {
	var n int64
	err := tx.conn.QueryRow(ctx, query, args...).Scan(&n)
	if err == nil && n == 0 {
		err = api.Errorf(api.NotFound, "%s", none)
	}
	return adminError(err)
}

// Metadata is what an admin sees of a file: nothing that leads to content.
type Metadata struct {
	Drive       api.ID    `json:"drive"`
	Node        api.ID    `json:"node"`
	Owner       api.ID    `json:"owner"`
	Email       string    `json:"email"` // of the owner
	DriveName   string    `json:"drive_name"`
	Path        string    `json:"path"`
	Description string    `json:"description"`
	Size        int64     `json:"size"` // bytes
	SHA256      api.Hash  `json:"sha256"`
	Modified    time.Time `json:"modified"` // by the file's own time
	Uploaded    time.Time `json:"uploaded"` // by the server's clock
}

// MetadataQuery says which files are listed; zero values say nothing.
type MetadataQuery struct {
	AfterDrive, AfterNode api.ID // the cursor: the last file that was listed
	Owner                 api.ID
	Name                  string   // part of the file's name, in any case
	Extensions            []string // in lower case, without the dot
	MinSize               int64
	MaxSize               int64
	Since, Until          time.Time // of the file's own time
	Limit                 int
}

// Metadata lists files of all drives in the order of their keys.
func (tx *Tx) Metadata(ctx context.Context, q MetadataQuery) ([]Metadata, error) {
	rows, _ := tx.conn.Query(ctx, `
		SELECT * FROM satchel.admin_files($1, $2, $3, nullif($4, ''), $5, nullif($6::bigint, 0), nullif($7::bigint, 0), $8, $9, $10)`,
		q.AfterDrive, q.AfterNode, q.Owner, pattern(q.Name), q.Extensions, q.MinSize, q.MaxSize, nanos(q.Since), nanos(q.Until), q.Limit)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (m Metadata, err error) {
		var modified int64
		err = row.Scan(&m.Drive, &m.Node, &m.Owner, &m.Email, &m.DriveName, &m.Path, &m.Description, &m.Size, &m.SHA256, &modified, &m.Uploaded)
		m.Modified = time.Unix(0, modified).UTC()
		return m, err
	})
}

// nanos is NULL for the zero time.
func nanos(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	n := t.UnixNano()
	return &n
}

// literal makes text stand for itself in a pattern.
var literal = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// pattern finds text anywhere; "" is no pattern.
func pattern(text string) string {
	if text == "" {
		return ""
	}
	return "%" + literal.Replace(text) + "%"
}

// Day is what one day (UTC) did.
type Day struct {
	Day     time.Time
	Changes int64
	Added   int64 // bytes of new versions
	Removed int64 // bytes of versions that were let go
}

// Days lists the days from one on that something happened on, of one owner or of all.
func (tx *Tx) Days(ctx context.Context, since time.Time, owner api.ID) ([]Day, error) {
	rows, _ := tx.conn.Query(ctx, `
		SELECT day, sum(changes)::bigint, sum(added)::bigint, sum(removed)::bigint
		FROM activity WHERE day >= $1::date AND ($2::uuid IS NULL OR owner = $2) GROUP BY day ORDER BY day`, since.UTC().Format(time.DateOnly), owner)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Day])
}

// ExtensionUse is files by the extension of their names; "" is all without a known one.
type ExtensionUse struct {
	Extension string
	Files     int64
	Bytes     int64
}

// Extensions lists what was counted last, of one owner or of all, and when it was:
// the zero time if never.
func (tx *Tx) Extensions(ctx context.Context, owner api.ID) (use []ExtensionUse, at time.Time, err error) {
	err = tx.conn.QueryRow(ctx, `SELECT coalesce((SELECT at FROM counted WHERE what = 'extensions'), '0001-01-01 00:00:00+00')`).Scan(&at)
	if err != nil {
		return nil, at, err
	}
	rows, _ := tx.conn.Query(ctx, `
		SELECT extension, sum(files)::bigint, sum(bytes)::bigint FROM extensions
		WHERE $1::uuid IS NULL OR owner = $1 GROUP BY extension ORDER BY 3 DESC, 1`, owner)
	use, err = pgx.CollectRows(rows, pgx.RowToStructByPos[ExtensionUse])
	return use, at, err
}

// Runs lists runs of gc and fsck, the newest first.
func (tx *Tx) Runs(ctx context.Context, limit, offset int) ([]Run, error) {
	rows, _ := tx.conn.Query(ctx, `
		SELECT r.id, r.kind, r.deep, r.repair, r.via, r.actor, coalesce(a.email, ''), r.host, r.started, r.touched, r.finished, r.step, r.done, r.total, r.report,
			coalesce(r.failure, '')
		FROM runs r LEFT JOIN satchel.accounts() a ON a.id = r.actor
		ORDER BY r.started DESC, r.id LIMIT $1 OFFSET $2`, limit, offset)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Run])
}

// Run is one of gc or fsck, as whoever runs it tells of it.
type Run struct {
	ID       api.ID          `json:"id"`
	Kind     string          `json:"kind"` // gc or fsck
	Deep     bool            `json:"deep"`
	Repair   bool            `json:"repair"`
	Via      string          `json:"via"` // request, command or server
	User     api.ID          `json:"-"`
	Actor    string          `json:"actor"` // the admin who started it
	Host     string          `json:"host"`
	Started  time.Time       `json:"started"`
	Touched  time.Time       `json:"touched"` // when it last told how far it is
	Finished *time.Time      `json:"finished,omitempty"`
	Step     string          `json:"step"`
	Done     int64           `json:"done"`
	Total    int64           `json:"total"` // 0: nobody knows
	Report   json.RawMessage `json:"report,omitempty"`
	Failure  string          `json:"failure,omitempty"`
}

// silent is how long a run may tell nothing before it counts as dead.
const silent = 2 * time.Minute

// Live tells whether the run goes on.
func (r Run) Live() bool { return r.Finished == nil && time.Since(r.Touched) < silent }
