package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// statements is the connection of one transaction. What begins the transaction goes out with its first statement, and
// where only is read what ends it with the one that is said to be the last ([Tx.Last]): so a transaction of one
// question is one round trip, and one that asks nothing is none.
type statements struct {
	conn   *pgx.Conn
	begin  string // the statement that begins the transaction
	who    actor
	origin origin

	begun bool // or, if last, all of it was sent
	last  bool // the next statement is the last; only where begin is beginReadOnly
	over  bool // the last one was sent
	stale bool // the connection was broken before anything was begun
}

// bind is the first statement of every transaction: it says who the user is.
const bind = `SELECT set_config('satchel.user_id', $1, true), set_config('satchel.anonymous', $2, true), set_config('satchel.link', $3, true),
	set_config('satchel.via', $4, true), set_config('satchel.address', $5, true)`

// around queues what must come before the statements of a batch, and after them; before is how many the former are.
func (s *statements) around(inner []*pgx.QueuedQuery) (_ *pgx.Batch, before int, err error) {
	if s.over {
		return nil, 0, errors.New("a statement after the transaction's last")
	}
	var b pgx.Batch
	// PostgreSQL makes a transaction of what is sent at once. Where that is one statement beside the binding it is a snapshot, too.
	alone := s.last && !s.begun && len(inner) == 1
	if !s.begun {
		query := bind
		if alone {
			query += `, set_config('transaction_read_only', 'on', true)`
		} else {
			b.Queue(s.begin)
		}
		anonymous := ""
		if s.who.user.IsZero() {
			anonymous = "on"
		}
		b.Queue(query, s.who.setting(), anonymous, s.who.link, s.origin.via(), s.origin.address())
	}
	before = b.Len()
	b.QueuedQueries = append(b.QueuedQueries, inner...)
	if s.last && !alone {
		b.Queue("COMMIT")
	}
	return &b, before, nil
}

// send sends statements with what belongs around them, and reads the answers to what comes before.
func (s *statements) send(ctx context.Context, inner []*pgx.QueuedQuery) (pgx.BatchResults, error) {
	b, before, err := s.around(inner)
	if err != nil {
		return nil, err
	}
	first := !s.begun
	results := s.conn.SendBatch(ctx, b)
	s.begun, s.over = true, s.last
	for range before {
		if _, err := results.Exec(); err != nil {
			results.Close()
			s.stale = first && s.conn.IsClosed() && ctx.Err() == nil
			return nil, err
		}
	}
	return results, nil
}

// plain tells whether a statement needs nothing around it.
func (s *statements) plain() bool { return s.begun && !s.last }

func one(query string, args []any) []*pgx.QueuedQuery {
	return []*pgx.QueuedQuery{{SQL: query, Arguments: args}}
}

// Query is [pgx.Conn.Query].
func (s *statements) Query(ctx context.Context, query string, args ...any) (pgx.Rows, error) {
	if s.plain() {
		return s.conn.Query(ctx, query, args...)
	}
	results, err := s.send(ctx, one(query, args))
	if err != nil {
		return &rows{err: err}, err
	}
	inner, err := results.Query()
	return &rows{Rows: inner, results: results}, err
}

// QueryRow is [pgx.Conn.QueryRow].
func (s *statements) QueryRow(ctx context.Context, query string, args ...any) pgx.Row {
	if s.plain() {
		return s.conn.QueryRow(ctx, query, args...)
	}
	all, _ := s.Query(ctx, query, args...)
	return firstRow{all}
}

// Exec is [pgx.Conn.Exec].
func (s *statements) Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error) {
	if s.plain() {
		return s.conn.Exec(ctx, query, args...)
	}
	results, err := s.send(ctx, one(query, args))
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := results.Exec()
	return tag, errors.Join(err, results.Close())
}

// SendBatch is [pgx.Conn.SendBatch].
func (s *statements) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if s.plain() || b.Len() == 0 {
		return s.conn.SendBatch(ctx, b)
	}
	results, err := s.send(ctx, b.QueuedQueries)
	if err != nil {
		return failedBatch{err}
	}
	return results
}

// end ends the transaction, if it is not over: err is what came of the function that it was for.
func (s *statements) end(ctx context.Context, err error) error {
	sent := !s.begun || s.over // there is nothing to be committed
	if sent && s.conn.PgConn().TxStatus() == 'I' {
		return err
	}
	if err != nil || sent {
		// The caller's context may be over, and the connection is worth keeping.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		s.conn.Exec(ctx, "ROLLBACK")
		return err
	}
	tag, err := s.conn.Exec(ctx, "COMMIT")
	if answered(err) && !s.conn.IsClosed() {
		return fmt.Errorf("commit: %w", err)
	}
	if err != nil {
		return fmt.Errorf("commit: %w: %w", ErrUncertain, err)
	}
	if tag.String() != "COMMIT" {
		return errors.New("commit: an earlier statement had failed, so the transaction was rolled back")
	}
	return nil
}

// rows is the rows of one statement among others. The others' answers are read, and their errors found, when it is closed.
type rows struct {
	pgx.Rows // nil if nothing was sent
	results  pgx.BatchResults
	err      error
}

func (r *rows) Close() {
	if r.Rows == nil || r.results == nil {
		return
	}
	r.Rows.Close()
	r.err = r.Rows.Err()
	if err := r.results.Close(); r.err == nil {
		r.err = err
	}
	r.results = nil
}

func (r *rows) Err() error {
	if r.err == nil && r.Rows != nil {
		return r.Rows.Err()
	}
	return r.err
}

func (r *rows) Next() bool {
	if r.Rows != nil && r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

func (r *rows) Scan(dest ...any) error {
	if r.Rows == nil {
		return r.err
	}
	err := r.Rows.Scan(dest...)
	if err != nil {
		r.Close()
	}
	return err
}

func (r *rows) CommandTag() (tag pgconn.CommandTag) {
	if r.Rows != nil {
		tag = r.Rows.CommandTag()
	}
	return tag
}

// firstRow is what [pgx.Conn.QueryRow] gives.
type firstRow struct{ rows pgx.Rows }

func (r firstRow) Scan(dest ...any) error {
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

// failedBatch is the answers to a batch that could not be sent.
type failedBatch struct{ err error }

func (f failedBatch) Exec() (pgconn.CommandTag, error) { return pgconn.CommandTag{}, f.err }
func (f failedBatch) Query() (pgx.Rows, error)         { return &rows{err: f.err}, f.err }
func (f failedBatch) QueryRow() pgx.Row                { return firstRow{&rows{err: f.err}} }
func (f failedBatch) Close() error                     { return f.err }
func (f failedBatch) Tx() pgx.Tx                       { return nil }
