// Package pg keeps blobs in PostgreSQL, for installations that want one thing
// to back up. An object is rows of 1 MiB; migrations/00003_blobs.sql says how
// they are kept from users' transactions.
//
// Parts are written as they come, each few in a transaction of their own, so
// that an upload over a slow line holds neither a connection nor a snapshot.
// They are an object once [Store.Put] has named them.
package pg

import (
	"context"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"satchel/api"
	"satchel/storage/blob"
)

// Store is a [blob.Store] in a migrated database.
type Store struct {
	db    database
	close func()
	pause time.Duration // longest between tries

	// within is set, and held by each call, when all happens in a transaction
	// of somebody else's, on its one connection.
	within *sync.Mutex
}

// database is a pool of connections, or a transaction.
type database interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

var _ blob.Store = (*Store)(nil)

const (
	partSize = 1 << 20 // bytes; the schema knows it too
	window   = 4       // parts that travel together

	// connections are enough to fill a disk, and the database's other users
	// need some as well.
	connections = 8

	// abandoned is the age from which an upload belongs to no running Put.
	abandoned = 24 * time.Hour
)

// Open connects to the database as `satchel_app`, with connections of its own,
// and removes what broken transfers left there.
func Open(ctx context.Context, appURL string) (*Store, error) {
	return open(ctx, appURL, time.Second, func(*pgxpool.Config) {})
}

func open(ctx context.Context, appURL string, pause time.Duration, adjust func(*pgxpool.Config)) (*Store, error) {
	config, err := pgxpool.ParseConfig(appURL)
	if err != nil {
		return nil, api.Errorf(api.Invalid, "database URL: %w", err)
	}
	config.MaxConns = connections
	params := config.ConnConfig.RuntimeParams
	params["search_path"] = "pg_catalog, pg_temp"
	params["application_name"] = "satcheld blobs"
	params["statement_timeout"] = "60s"
	params["idle_in_transaction_session_timeout"] = "60s"
	adjust(config)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, failed("open the blob store", err)
	}
	s := &Store{db: pool, close: pool.Close, pause: pause}
	if err := s.clean(ctx, abandoned); err != nil {
		pool.Close()
		return nil, failed("open the blob store", err)
	}
	return s, nil
}

// Within is the store inside a transaction whose role is `satchel_auth`: what
// it does is seen when that commits. A restore needs it, which makes the tables anew.
func Within(tx pgx.Tx) *Store {
	return &Store{db: tx, close: func() {}, pause: time.Second, within: new(sync.Mutex)}
}

// Close waits for running calls and closes all connections. Readers that are
// still open fail.
func (s *Store) Close() { s.close() }

func (s *Store) clean(ctx context.Context, age time.Duration) error {
	return s.try(ctx, func(ctx context.Context) error {
		_, err := s.db.Exec(ctx, `SELECT satchel.clean_blob_uploads($1)`, age)
		return err
	})
}

var buffers = sync.Pool{New: func() any { return new([window * partSize]byte) }}

// Put is part of [blob.Store]. A second Put of a key replaces the object.
func (s *Store) Put(ctx context.Context, key string, r io.Reader) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	upload := api.NewID().String()
	size, err := s.fill(ctx, upload, r)
	if err == nil {
		err = s.finish(ctx, key, upload, size)
	}
	if err != nil {
		s.drop(ctx, upload)
		return failed("put blob "+key, err)
	}
	return nil
}

// fill stores what r yields as the parts of an upload.
func (s *Store) fill(ctx context.Context, upload string, r io.Reader) (size int64, err error) {
	buf := buffers.Get().(*[window * partSize]byte)
	defer buffers.Put(buf)
	for part := 0; ; part += window {
		n, err := io.ReadFull(source{blob.Until(ctx, r)}, buf[:])
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return 0, err
		}
		if n > 0 {
			if err := s.sendParts(ctx, upload, part, buf[:n]); err != nil {
				return 0, err
			}
		}
		size += int64(n)
		if err != nil {
			return size, nil
		}
	}
}

// sendParts stores data as parts of an upload, from number part on. They need
// not be on the disk before the transaction that finishes the upload is, which
// comes after them in the log.
func (s *Store) sendParts(ctx context.Context, upload string, part int, data []byte) error {
	return s.try(ctx, func(ctx context.Context) error {
		var b pgx.Batch
		if s.within == nil {
			b.Queue(`BEGIN`)
			b.Queue(`SET LOCAL synchronous_commit = off`)
		}
		for i := 0; i*partSize < len(data); i++ {
			b.Queue(`SELECT satchel.put_blob_part($1, $2, $3)`, upload, part+i, data[i*partSize:min((i+1)*partSize, len(data))])
		}
		if s.within == nil {
			b.Queue(`COMMIT`)
		}
		return s.db.SendBatch(ctx, &b).Close()
	})
}

func (s *Store) finish(ctx context.Context, key, upload string, size int64) error {
	var whole bool
	err := s.try(ctx, func(ctx context.Context) error {
		return s.db.QueryRow(ctx, `SELECT satchel.finish_blob($1, $2, $3)`, key, upload, size).Scan(&whole)
	})
	if err == nil && !whole {
		// Parts that were not yet on the disk, of a database that crashed since.
		err = api.Errorf(api.Unavailable, "parts of the upload are lost: send it again")
	}
	return err
}

// drop removes a failed upload. If it can't, [Open] does later.
func (s *Store) drop(ctx context.Context, upload string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_ = s.try(ctx, func(ctx context.Context) error {
		_, err := s.db.Exec(ctx, `SELECT satchel.drop_blob_upload($1)`, upload)
		return err
	})
}

// Delete is part of [blob.Store].
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	return failed("delete blob "+key, s.try(ctx, func(ctx context.Context) error {
		_, err := s.db.Exec(ctx, `SELECT satchel.delete_blob($1)`, key)
		return err
	}))
}

// page is how many objects are listed at once.
const page = 1000

// List is part of [blob.Store].
func (s *Store) List(ctx context.Context) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		after := ""
		for {
			infos, err := s.list(ctx, after)
			if err != nil {
				yield(blob.Info{}, failed("list blobs", err))
				return
			}
			for _, info := range infos {
				if !yield(info, nil) {
					return
				}
			}
			if len(infos) < page {
				return
			}
			after = infos[page-1].Key
		}
	}
}

func (s *Store) list(ctx context.Context, after string) (infos []blob.Info, err error) {
	err = s.try(ctx, func(ctx context.Context) error {
		rows, err := s.db.Query(ctx, `SELECT key, size, created FROM satchel.list_blobs($1, $2)`, after, page)
		if err != nil {
			return err
		}
		infos, err = pgx.CollectRows(rows, pgx.RowToStructByPos[blob.Info])
		return err
	})
	return infos, err
}

// tries bounds how often a call is made that may succeed the next time. Every
// function of the schema may be called again with the same arguments.
const tries = 5

func (s *Store) try(ctx context.Context, fn func(context.Context) error) error {
	if s.within != nil { // what fails here fails all of the transaction
		s.within.Lock()
		defer s.within.Unlock()
		return fn(ctx)
	}
	pause := &backoff.ExponentialBackOff{InitialInterval: s.pause / 20, RandomizationFactor: 0.5, Multiplier: 3, MaxInterval: s.pause}
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := fn(ctx)
		if err != nil && !transient(err) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pause), backoff.WithMaxTries(tries))
	if permanent, ok := err.(*backoff.PermanentError); ok {
		err = permanent.Err
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w (%v)", ctx.Err(), err)
	}
	return err
}

// source makes every error but the end a [sourceError]: none is taken for what
// [io.ReadFull] says of an end that comes early.
type source struct{ r io.Reader }

func (s source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF {
		err = &sourceError{err}
	}
	return n, err
}
