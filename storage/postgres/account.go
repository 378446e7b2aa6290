package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"satchel/api"
)

// SessionKind tells what holds a session's secret.
type SessionKind string

const (
	DeviceSession  SessionKind = "device"  // a client: does not expire
	BrowserSession SessionKind = "browser" // a cookie
	AppSession     SessionKind = "app"     // a program that sends it as a password
)

// Account is who may log in, with what a login is checked against: its hash as it was when somebody proved to be its user, in
// whatever way.
type Account struct {
	ID           api.ID
	Email        string
	Name         string
	Role         string // editor or admin
	PasswordHash string
}

// Session is a live login and its user, as they are now.
type Session struct {
	ID    api.ID
	Kind  SessionKind
	Name  string // the device's, for people
	User  api.ID
	Email string
	// UserName is the person's.
	UserName string
	Role     string
}

// NewSession is a session to be made. Idle and Lifetime of 0 mean no limit.
type NewSession struct {
	ID       api.ID
	Kind     SessionKind
	Name     string
	Secret   api.Hash      // the SHA-256 of the secret
	Idle     time.Duration // without use
	Lifetime time.Duration // in all
}

// Proof is why the user may make what ends with his sessions. It is one of both.
type Proof struct {
	PasswordHash string // as it was when he proved to be the account's user, and still is
	Session      api.ID // of his, through which he asks, and which is live
}

// errNoSession is the answer for all sessions that aren't live, so that it
// tells a guesser nothing.
func errNoSession() error {
	return api.Errorf(api.Unauthenticated, "this login has ended: log in again")
}

// LoginAccount is the account of an e-mail address, in any case. A disabled
// one is [api.NotFound], as is a missing one.
func (db *DB) LoginAccount(ctx context.Context, email string) (Account, error) {
	var a Account
	err := db.pool.QueryRow(ctx, `SELECT id, email, name, role, password_hash FROM satchel.login_account($1)`, email).
		Scan(&a.ID, &a.Email, &a.Name, &a.Role, &a.PasswordHash)
	if errors.Is(err, pgx.ErrNoRows) || invalidText(err) {
		return Account{}, api.Errorf(api.NotFound, "there is no such account")
	}
	return a, classify(err)
}

// SessionByID is the live session of an id that a valid token names. It is one
// statement, since every request asks it. All others are [api.Unauthenticated].
func (db *DB) SessionByID(ctx context.Context, id api.ID) (Session, error) {
	return session(ctx, db.pool, `SELECT session, kind, device, user_id, email, name, role FROM satchel.session_by_id($1)`, id)
}

// SessionBySecret is the live session of a secret with this SHA-256. All
// others are [api.Unauthenticated].
func (db *DB) SessionBySecret(ctx context.Context, secret api.Hash, kind SessionKind) (Session, error) {
	return session(ctx, db.pool, sessionBySecret, secret[:], string(kind))
}

const sessionBySecret = `SELECT session, kind, device, user_id, email, name, role FROM satchel.session_by_secret($1, $2)`

// errUnused rolls a transaction back after which nothing shall have happened.
var errUnused = errors.New("the session is not used")

// SessionUnused is SessionBySecret for what is no use of the session: its time without use goes on. The function of the
// database notes every use, so what it noted is rolled back.
func (db *DB) SessionUnused(ctx context.Context, secret api.Hash, kind SessionKind) (s Session, err error) {
	err = db.As(ctx, api.ID{}, func(ctx context.Context, tx *Tx) error {
		if s, err = session(ctx, tx.conn, sessionBySecret, secret[:], string(kind)); err != nil {
			return err
		}
		return errUnused
	})
	if errors.Is(err, errUnused) {
		err = nil
	}
	return s, err
}

// session asks the pool or a transaction for one.
func session(ctx context.Context, q interface {
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
}, query string, args ...any) (Session, error) {
	var s Session
	err := q.QueryRow(ctx, query, args...).Scan(&s.ID, &s.Kind, &s.Name, &s.User, &s.Email, &s.UserName, &s.Role)
	if errors.Is(err, pgx.ErrNoRows) {
		return Session{}, errNoSession()
	}
	return s, classify(err)
}

// AddSession makes a session of the user. If its proof is good no more, it is [api.Unauthenticated].
func (tx *Tx) AddSession(ctx context.Context, s NewSession, by Proof) error {
	var idle *time.Duration
	var expires *time.Time
	if s.Idle > 0 {
		idle = &s.Idle
	}
	if s.Lifetime > 0 {
		t := time.Now().Add(s.Lifetime)
		expires = &t
	}
	var begun bool
	err := tx.conn.QueryRow(ctx, `SELECT satchel.begin_session($1, $2, $3, $4, $5, $6, $7, $8)`,
		s.ID, string(s.Kind), s.Name, s.Secret[:], idle, expires, by.PasswordHash, by.Session).Scan(&begun)
	if err == nil && !begun {
		err = errNoSession()
	}
	return err
}

// RevokeSession ends a session of the user at once. One that is not live is
// [api.NotFound].
func (tx *Tx) RevokeSession(ctx context.Context, id api.ID) error {
	tag, err := tx.conn.Exec(ctx, `UPDATE satchel.sessions SET revoked = now() WHERE id = $1 AND revoked IS NULL`, id)
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return api.Errorf(api.NotFound, "there is no such device")
	}
	return nil
}

const sessionEnded = `SELECT EXISTS (SELECT FROM satchel.sessions WHERE id = $1 AND revoked IS NOT NULL)`

// SessionEnded tells whether a session of the user's was ended.
func (tx *Tx) SessionEnded(ctx context.Context, id api.ID) (over bool, err error) {
	err = tx.conn.QueryRow(ctx, sessionEnded, id).Scan(&over)
	return over, err
}

// Sessions lists the user's live sessions of a kind, the last seen first.
func (tx *Tx) Sessions(ctx context.Context, kind SessionKind) ([]api.Device, error) {
	rows, err := tx.conn.Query(ctx, `
		SELECT id, name, created, seen
		FROM satchel.sessions
		WHERE user_id = $1 AND kind = $2 AND revoked IS NULL AND (expires IS NULL OR expires > now())
		  AND (idle IS NULL OR seen > now() - idle)
		ORDER BY seen DESC, id`, tx.user, string(kind))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (api.Device, error) {
		var d api.Device
		err := row.Scan(&d.ID, &d.Name, &d.Created, &d.Seen)
		return d, err
	})
}

// LastUse is when a session was last used, zero if it never was: it is seen for the first time when it is made.
func LastUse(created, seen time.Time) time.Time {
	if seen.Equal(created) {
		return time.Time{}
	}
	return seen
}

// CleanSessions removes the rows of sessions that ended long ago, and tells
// how many.
func (db *DB) CleanSessions(ctx context.Context) (int64, error) {
	var n int64
	err := db.pool.QueryRow(ctx, `SELECT satchel.clean_sessions()`).Scan(&n)
	return n, classify(err)
}

// SigningKey is a key that signs tokens, sealed.
type SigningKey struct {
	ID      string
	Sealed  []byte
	Created time.Time
	Retired time.Time // its tokens are refused from then on; zero = still signing
}

const signingKeysQuery = `
	SELECT kid, sealed, created, coalesce(retired, '0001-01-01 00:00:00+00')
	FROM satchel.signing_keys
	WHERE retired IS NULL OR retired > now()
	ORDER BY created DESC, kid`

// SigningKeys lists the keys that verify tokens now, the newest first.
func (db *DB) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	keys, err := everyRow[SigningKey](ctx, db.pool, signingKeysQuery)
	return keys, classify(err)
}

// AddSigningKey adds a key and retires the others, unless one is younger than maxAge.
func (db *DB) AddSigningKey(ctx context.Context, id string, sealed []byte, maxAge time.Duration) error {
	_, err := db.pool.Exec(ctx, `SELECT satchel.add_signing_key($1, $2, $3)`, id, sealed, maxAge)
	return classify(err)
}

// Served tells whether a server runs on the database, and has got as far as to
// [DB.Listen].
func (db *DB) Served(ctx context.Context) (served bool, err error) {
	// A lock's key of eight bytes is in two columns of four. A try for the lock would be in the way of who else tries.
	err = db.pool.QueryRow(ctx, `
		SELECT EXISTS (
			SELECT FROM pg_locks
			WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
			  AND classid::bigint << 32 | objid::bigint = `+servingLock+` AND objsubid = 1 AND mode = 'ShareLock' AND granted)`).Scan(&served)
	return served, classify(err)
}

// invalidText tells whether PostgreSQL refused a text that it can't store: a
// NUL, or bytes that are not UTF-8. No account has such a name.
func invalidText(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "22021"
}
