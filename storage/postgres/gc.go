package postgres

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"satchel/api"
)

// Keeper works on the rows of all users, to keep the store healthy: garbage
// collection and the check. No request can: it is a connection of its own, as
// satchel_keeper, which only satchel_owner may become. It is not safe for
// concurrent use.
type Keeper struct {
	conn *pgx.Conn
}

// OpenKeeper connects at the URL of satchel_owner, or of a role that may
// become it, and acts as satchel_keeper.
func OpenKeeper(ctx context.Context, ownerURL string) (*Keeper, error) {
	config, err := lasting(ownerURL, "satcheld keeper")
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["jit"] = "off"
	// Who is interrupted ends the statement and not the connection, which has a lock to give back.
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: 10 * time.Second}
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, classify(fmt.Errorf("connect to the database: %w", err))
	}
	registerTypes(conn.TypeMap())
	// The path is set after the role: a user's schema named like a role comes in
	// nobody's way. The temporary tables are of this connection.
	for _, statement := range []string{
		`SET ROLE satchel_keeper`,
		`SET search_path = satchel, pg_temp`,
		`SET work_mem = '64MB'`, // hashes of all chunks of an owner
		`SET temp_buffers = '32MB'`,
		`CREATE TEMPORARY TABLE referenced (sha256 bytea NOT NULL)`,
		bounds,
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			conn.Close(context.WithoutCancel(ctx))
			return nil, classify(fmt.Errorf("%s: %w", statement, err))
		}
	}
	return &Keeper{conn: conn}, nil
}

// lasting is how to connect for as long as there is a lock to hold. A network that goes silent in the middle ends the connection in about a
// minute, at this end as at the other ([bounds]).
func lasting(ownerURL, name string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(ownerURL)
	if err != nil {
		return nil, api.Errorf(api.Invalid, "database URL: %w", err)
	}
	config.RuntimeParams["application_name"] = name
	config.DialFunc = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 3}}).DialContext
	return config, nil
}

// bounds has PostgreSQL find out that who holds a lock has gone, in the middle of a long statement too, and keeps it from ending the
// connection of one who only has nothing to ask for. The first two are not known before version 14.
const bounds = `
	SELECT set_config(b.name, b.setting, false)
	FROM (VALUES ('client_connection_check_interval', '5s'), ('idle_session_timeout', '0'), ('tcp_user_timeout', '60s'),
		('tcp_keepalives_idle', '15'), ('tcp_keepalives_interval', '15'), ('tcp_keepalives_count', '3')) b (name, setting)
	JOIN pg_settings USING (name)`

// Close ends the lock, and the connection. The lock first: PostgreSQL tears a session down after
// its client has gone, which takes minutes with the temporary table of a large drive, and until then whoever comes next
// would hear that another one is at work.
func (k *Keeper) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, _ = k.conn.Exec(ctx, `SELECT pg_advisory_unlock_all()`) // over a broken connection the lock ends with the session
	k.conn.Close(ctx)
}

// Advisory locks of sessions: who works on all users' objects has the first, of
// which a backup has a share; one backup has the second; every server that runs
// has a share of the third.
const (
	keeperLock  = `hashtextextended('satchel.keeper', 0)`
	backupLock  = `hashtextextended('satchel.backup', 0)`
	servingLock = `hashtextextended('satchel.serving', 0)`
)

// TryLock makes this the one keeper that may work on the database, of all
// processes, until Close. It does not wait: false tells that another one does.
func (k *Keeper) TryLock(ctx context.Context) (ok bool, err error) {
	err = k.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(`+keeperLock+`)`).Scan(&ok)
	return ok, classify(err)
}

// Held is an error when the connection is broken: the lock, which lives as long as it, may be another's by then. All that a keeper does to
// rows it does over that connection; what it does elsewhere, it asks this before.
func (k *Keeper) Held(ctx context.Context) error { return classify(k.conn.Ping(ctx)) }

// Lost tells that the connection broke. The keeper can't be used any more.
func (k *Keeper) Lost() bool { return k.conn.IsClosed() }

// Now is the database's clock, which all ages are told by.
func (k *Keeper) Now(ctx context.Context) (now time.Time, err error) {
	err = k.conn.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now)
	return now, classify(err)
}

// inTx runs fn in a transaction. That one begins and ends whether ctx is over or not: a rollback that was not made would
// cost the connection.
func (k *Keeper) inTx(ctx context.Context, options pgx.TxOptions, fn func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(context.WithoutCancel(ctx), k.conn, options, fn)
}

// within runs fn in a transaction, again if the database aborts it to resolve
// a deadlock, so fn must not keep anything of a failed run. Every statement sees
// what was committed before it began.
func (k *Keeper) within(ctx context.Context, fn func(pgx.Tx) error) error {
	var err error
	for range tries {
		if err = k.inTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, fn); err == nil || !aborted(err) {
			break
		}
	}
	return classify(err)
}

// alone runs fn in a transaction that holds a drive, so that nobody changes it meanwhile.
func (k *Keeper) alone(ctx context.Context, drive api.ID, fn func(pgx.Tx) error) error {
	return k.within(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT FROM drives WHERE id = $1 FOR NO KEY UPDATE`, drive); err != nil {
			return err
		}
		return fn(tx)
	})
}

// collect is all rows of a query, whose columns are T's fields in order.
func collect[T any](ctx context.Context, k *Keeper, query string, args ...any) ([]T, error) {
	rows, _ := k.conn.Query(ctx, query, args...)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	return list, classify(err)
}

func (k *Keeper) ids(ctx context.Context, query string, args ...any) ([]api.ID, error) {
	rows, _ := k.conn.Query(ctx, query, args...)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[api.ID])
	return ids, classify(err)
}

// affected is how many rows a statement affected.
func affected(tag pgconn.CommandTag, err error) (int64, error) { return tag.RowsAffected(), err }
