// Package postgres holds all SQL of the server, beside the migrations.
//
// Row-level security decides which rows a transaction sees, by the user that
// [DB.As] binds to it; nothing else in the program can start a transaction
// for a user. A method of [Tx] is one question or one write: it neither
// begins nor ends a transaction, so that callers compose what must be atomic.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"satchel/api"
)

// DB is a pool of connections as `satchel_app`. It is safe for concurrent use.
type DB struct {
	pool   *pool
	listen *pgx.ConnConfig // of the connection that waits for changes, in silence
}

// Open connects to the database at a URL or in libpq's keyword form. The role
// must be one that row-level security binds. An unreachable server is of kind
// [api.Unavailable].
func Open(ctx context.Context, appURL string) (*DB, error) {
	config, err := configure(appURL)
	if err != nil {
		return nil, err
	}
	return open(ctx, config)
}

// mostConns leaves a third of the connections that PostgreSQL has (100, the private one too) to the listener, the store of content in
// the database, gc, fsck, backups and whoever looks by hand.
const mostConns = 64

// configure says how connections are made at a URL.
func configure(appURL string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(appURL)
	if err != nil {
		return nil, api.Errorf(api.Invalid, "database URL: %w", err)
	}
	if !strings.Contains(appURL, "pool_max_conns") {
		// A few who wait for one drive's lock must not keep all others waiting.
		config.MaxConns = int32(min(max(20, 4*runtime.GOMAXPROCS(0)), mostConns))
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	params := config.ConnConfig.RuntimeParams
	params["search_path"] = "satchel, pg_temp"
	params["application_name"] = "satcheld"
	params["jit"] = "off"                                  // compiling costs more than any of our queries
	params["plan_cache_mode"] = "force_generic_plan"       // see replan
	params["statement_timeout"] = "60s"                    // a scan that names no drive is a mistake
	params["lock_timeout"] = lockTimeout.String()          // who waits for a drive's lock has a connection
	params["idle_in_transaction_session_timeout"] = "120s" // no one waits for the client inside a transaction
	config.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		registerTypes(conn.TypeMap())
		return nil
	}
	config.PrepareConn = replan
	return config, nil
}

// planAge is how long a connection keeps the plans of its statements.
var planAge = 5 * time.Second

// replan lets go of a connection's plans when they are old. One plan serves all values of a statement, since the
// statistics do not know what is in a drive that was filled just now: planned for itself, it counts as empty, and any index that
// begins with the drive looks as good as the right one. But plans are made for tables as large as they are then, so those
// of a new server's first seconds must not stay until ANALYZE has been there.
func replan(ctx context.Context, conn *pgx.Conn) (keep bool, err error) {
	const planned = "planned"
	data := conn.PgConn().CustomData()
	if at, ok := data[planned].(time.Time); !ok || time.Since(at) > planAge {
		data[planned] = time.Now()
		if _, err := conn.PgConn().Exec(ctx, "DISCARD PLANS").ReadAll(); err != nil {
			return false, nil // it is broken: another one
		}
	}
	return true, nil
}

func open(ctx context.Context, config *pgxpool.Config) (*DB, error) {
	listen := config.ConnConfig.Copy()
	config.ConnConfig.DialFunc = impatiently(config.ConnConfig.DialFunc, silence)
	connections, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, classify(err)
	}
	db := &DB{pool: &pool{Pool: connections}, listen: listen}
	if err := db.pool.Ping(ctx); err != nil {
		db.Close()
		return nil, classify(fmt.Errorf("connect to the database: %w", err))
	}
	return db, nil
}

// Close waits for running transactions and closes all connections.
func (db *DB) Close() { db.pool.Close() }

// Ping tells whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return classify(db.pool.Ping(ctx)) }

// PoolStats tells how busy the connections are.
type PoolStats struct {
	Open, Used, Max int
	Taken           int64         // how often a connection was
	Waited          time.Duration // in all, for a connection
}

// Stats tells how busy the connections are.
func (db *DB) Stats() PoolStats {
	s := db.pool.Stat()
	return PoolStats{Open: int(s.TotalConns()), Used: int(s.AcquiredConns()), Max: int(s.MaxConns()), Taken: s.AcquireCount(), Waited: s.EmptyAcquireWaitTime()}
}

// Tx is a transaction bound to a user. It is not safe for concurrent use and
// ends with the function that [DB.As] gave it to.
type Tx struct {
	conn  *statements
	user  api.ID
	guest bool   // in another one's drive: see Tx.Guest
	owner api.ID // as whom a guest goes on: see Tx.Act
	then  []func()
}

// Then has fn called when the transaction has been committed, or may have been.
func (tx *Tx) Then(fn func()) { tx.then = append(tx.then, fn) }

// Last says that the next statement, or batch of them, is the last. In a transaction that only reads the end goes out with
// it, which saves a round trip, and one that asks nothing else is one round trip in all; a statement after it is an error.
//
// A lone statement that is all of a transaction runs in READ COMMITTED, and sees one snapshot only if no function that it
// calls, in a policy too, is VOLATILE: each query of such a function takes a snapshot of its own. One that does must not be the last
// alone.
func (tx *Tx) Last() {
	tx.conn.last = tx.conn.begin == beginReadOnly
}

// As runs fn in a transaction as the user; the zero id sets none, and says so:
// then only what is public and functions made for strangers return anything. Every statement sees what
// was committed before it began (READ COMMITTED), which the lock of a drive
// turns into a sequence of commits.
//
// If the database aborts the transaction to resolve a deadlock or a
// serialization failure it is run again, so fn may run more than once and must
// not keep anything of a failed run. Any error of fn rolls back and is returned.
func (db *DB) As(ctx context.Context, user api.ID, fn func(context.Context, *Tx) error) error {
	return db.transact(ctx, beginReadWrite, actor{user: user}, fn)
}

// AsReadOnly is As for reading only: all statements see one snapshot.
func (db *DB) AsReadOnly(ctx context.Context, user api.ID, fn func(context.Context, *Tx) error) error {
	return db.transact(ctx, beginReadOnly, actor{user: user}, fn)
}

// ByLink is AsReadOnly for a stranger who comes by a link, with its token: he
// sees what it opens.
func (db *DB) ByLink(ctx context.Context, token string, fn func(context.Context, *Tx) error) error {
	return db.transact(ctx, beginReadOnly, actor{link: token}, fn)
}

// The isolation is named, since a database may have another default.
const (
	beginReadWrite = "BEGIN ISOLATION LEVEL READ COMMITTED"
	beginReadOnly  = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
)

// An actor is who a transaction is run as: a user, a stranger with a link, or
// just a stranger.
type actor struct {
	user api.ID
	link string
}

// setting is the user as the database has it: empty for strangers.
func (a actor) setting() string {
	if a.user.IsZero() {
		return ""
	}
	return a.user.String()
}

// tries bounds how often a transaction is run again.
const tries = 10

func (db *DB) transact(ctx context.Context, begin string, who actor, fn func(context.Context, *Tx) error) error {
	pause := &backoff.ExponentialBackOff{InitialInterval: 2 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: 200 * time.Millisecond}
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := db.once(ctx, begin, who, fn)
		if err != nil && !aborted(err) && !errors.Is(err, errStale) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pause), backoff.WithMaxTries(tries))
	if permanent, ok := errors.AsType[*backoff.PermanentError](err); ok {
		err = permanent.Err
	}
	return classify(err)
}

func (db *DB) once(ctx context.Context, begin string, who actor, fn func(context.Context, *Tx) error) error {
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	// The pool discards a connection that is released inside a transaction, so
	// a panic or a failed rollback can't hand one user's transaction to another.
	defer conn.Release()

	statements := &statements{conn: conn.Conn(), begin: begin, who: who, origin: originOf(ctx)}
	tx := &Tx{conn: statements, user: who.user}
	err = fn(ctx, tx)
	if statements.stale {
		return fmt.Errorf("%w: %w", errStale, err)
	}
	err = statements.end(ctx, err)
	if err == nil || errors.Is(err, ErrUncertain) {
		for _, then := range tx.then {
			then()
		}
	}
	return err
}

// errStale is of a connection that broke while it lay in the pool, as after a
// restart of the database. Nothing was done over it.
var errStale = errors.New("begin on a broken connection")

// SQLSTATEs that the program tells apart.
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	diskFull             = "53100"
	lockNotAvailable     = "55P03" // after lock_timeout
	internalError        = "XX000"
	uniqueViolation      = "23505"
	invalidPassword      = "28P01"
)

// writers is the functions of PostgreSQL that write what a used-up quota of the file system refuses: blocks
// of tables and indexes, the state of transactions, and temporary files. PostgreSQL has no SQLSTATE for that
// (EDQUOT), so it is an internal error, with no other mark than where it was raised.
var writers = map[string]bool{
	"mdextend": true, "mdzeroextend": true,
	"mdwrite": true, "mdwritev": true, // before and from PostgreSQL 17
	"SlruReportIOError": true,
	"BufFileDumpBuffer": true,
}

func aborted(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == serializationFailure || pg.Code == deadlockDetected)
}

// Contended tells whether an error is of other transactions and not of the database, which has undone this one: they held a lock
// that it wanted for too long, or it was broken off for them time and again.
func Contended(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == lockNotAvailable || aborted(pg))
}

// ErrUncertain is of a transaction of which nobody knows whether it was committed: its COMMIT was sent, and not answered. No other error
// leaves anything of its transaction.
var ErrUncertain = errors.New("nobody knows what came of it")

// answered tells whether an error is the database's answer to a statement, after which it goes on.
func answered(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code[:2] != "08" && pg.Code[:2] != "57"
}

// classify gives errors of the database and of the way to it a kind. Errors
// that have one, and faults of ours, pass unchanged.
func classify(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*api.Error](err); ok {
		return err
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code[:2] {
		case "08", "57", "40": // connection, operator intervention or timeout, gave up retrying
			return api.Errorf(api.Unavailable, "%w", err)
		case "53": // resources
			if pg.Code == diskFull {
				return api.Errorf(api.NoSpace, "%w", err)
			}
			return api.Errorf(api.Unavailable, "%w", err)
		case "58": // the system under PostgreSQL: its disk can't be read or written
			return api.Errorf(api.Unavailable, "%w", err)
		}
		if pg.Code == lockNotAvailable {
			return errBusy(err)
		}
		if pg.Code == internalError && writers[pg.Routine] {
			return api.Errorf(api.NoSpace, "%w", err)
		}
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	_, unreachable := errors.AsType[*pgconn.ConnectError](err)
	_, broken := errors.AsType[net.Error](err)
	if unreachable || broken || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err) {
		return api.Errorf(api.Unavailable, "%w", err)
	}
	return err
}
