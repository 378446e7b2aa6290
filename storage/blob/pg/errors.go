package pg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"satchel/api"
)

// sourceError is of a reader that was to be stored. It keeps whatever kind it has.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// SQLSTATEs that the store tells apart.
const (
	diskFull      = "53100"
	queryCanceled = "57014" // statement_timeout

	ioError        = "58030" // EIO
	dataCorrupted  = "XX001" // a page whose checksum is wrong; a value of which a piece is missing
	indexCorrupted = "XX002"
)

// damaged tells whether the database can't read what it has stored, now and later.
func damaged(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == ioError || pg.Code == dataCorrupted || pg.Code == indexCorrupted)
}

// transient tells whether the same call may succeed a moment later.
func transient(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return unavailable(pg) && pg.Code != queryCanceled
	}
	return unreachable(err)
}

// unavailable tells whether the database could not do it now: class 08 is the
// connection, 57 an operator's intervention or a timeout, 40 a conflict of
// transactions, 53 want of resources.
func unavailable(err *pgconn.PgError) bool {
	switch err.Code[:2] {
	case "08", "57", "40", "53":
		return err.Code != diskFull
	}
	return false
}

func unreachable(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	_, refused := errors.AsType[*pgconn.ConnectError](err)
	_, broken := errors.AsType[net.Error](err)
	return refused || broken || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err)
}

// failed says what was being done and gives an error its kind.
func failed(what string, err error) error {
	if err == nil {
		return nil
	}
	if source, ok := err.(*sourceError); ok {
		return fmt.Errorf("%s: %w", what, source.err)
	}
	if e, ok := errors.AsType[*api.Error](err); ok {
		return api.Errorf(e.Kind, "%s: %w", what, err)
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case ok && pg.Code == diskFull:
		return api.Errorf(api.NoSpace, "%s: %w", what, err)
	case ok && unavailable(pg), !ok && unreachable(err):
		return api.Errorf(api.Unavailable, "%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
