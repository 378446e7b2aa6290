package postgres

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"satchel/api"
)

// Who wants a connection waits in a line that has an end: beyond it, and after a while in it, he is told to come back
// later. So a database that does less than it is asked for, or nothing, costs a bounded amount of memory, and as soon as it does
// more again it works for those who still wait for the answer.
const (
	linePerConn  = 32               // how many may wait, for each connection that there may be
	linePatience = 15 * time.Second // for how long
	// silence is how long PostgreSQL may say nothing while it is waited for. Statements end by themselves before that
	// (statement_timeout), so it does not live, and neither does whoever waits for it.
	silence        = 75 * time.Second
	connectTimeout = 30 * time.Second // for connections whose URL says nothing else
	lockTimeout    = 20 * time.Second // for a lock, such as a drive's, by somebody who has a connection
)

// Patience is for how long a transaction waits at most before it has a drive: for a connection, and then for the lock.
const Patience = linePatience + lockTimeout

// pool is the connections and the line of those who want one. Only methods that it has
// itself are for use: those of pgxpool's that query would pass the line.
type pool struct {
	*pgxpool.Pool
	waiting atomic.Int64
}

// errBusy is what those hear who can't wait, or did so for too long; cause may be nil.
func errBusy(cause error) error {
	return &api.Error{Kind: api.Unavailable, Message: "the database has more to do than it can: try again in a moment", RetryAfter: api.Soon(), Err: cause}
}

// Acquire waits for a connection, which the caller must release. A line that is too long, or
// does not move, is [api.Unavailable].
func (p *pool) Acquire(ctx context.Context) (*pgxpool.Conn, error) {
	defer p.waiting.Add(-1)
	if p.waiting.Add(1) > linePerConn*int64(p.Config().MaxConns) {
		return nil, errBusy(nil)
	}
	line, cancel := context.WithTimeout(ctx, linePatience)
	defer cancel()
	conn, err := p.Pool.Acquire(line)
	if err != nil && line.Err() != nil && ctx.Err() == nil {
		return nil, errBusy(nil)
	}
	return conn, err
}

// Ping tells whether the database answers.
func (p *pool) Ping(ctx context.Context) error {
	conn, err := p.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return conn.Ping(ctx)
}

// Exec is one statement without an answer.
func (p *pool) Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error) {
	conn, err := p.Acquire(ctx)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	defer conn.Release()
	return conn.Exec(ctx, query, args...)
}

// QueryRow is one statement with one row; it is run by Scan.
func (p *pool) QueryRow(ctx context.Context, query string, args ...any) pgx.Row {
	return &row{p, ctx, query, args}
}

type row struct {
	pool  *pool
	ctx   context.Context
	query string
	args  []any
}

func (r *row) Scan(dest ...any) error {
	conn, err := r.pool.Acquire(r.ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return conn.QueryRow(r.ctx, r.query, r.args...).Scan(dest...)
}

// everyRow is all rows of one statement.
func everyRow[T any](ctx context.Context, p *pool, query string, args ...any) ([]T, error) {
	conn, err := p.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	rows, _ := conn.Query(ctx, query, args...)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[T])
}

// impatiently makes a connection break where it is read from and nothing comes for so long.
func impatiently(dial pgconn.DialFunc, limit time.Duration) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &impatient{conn, limit}, nil
	}
}

type impatient struct {
	net.Conn
	limit time.Duration
}

// Read does not use the deadline, by which pgx ends reads whose context ends.
func (c *impatient) Read(b []byte) (int, error) {
	timer := time.AfterFunc(c.limit, func() { c.Conn.Close() })
	defer timer.Stop()
	return c.Conn.Read(b)
}
