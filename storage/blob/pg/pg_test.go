package pg

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"satchel/api"
	"satchel/storage/blob"
	"satchel/storage/blob/blobtest"
	"satchel/storage/postgres/pgtest"
)

// urlEnv tells a child process its database.
const urlEnv = "SATCHEL_PG_URL"

func TestMain(m *testing.M) {
	blobtest.Child(func(ctx context.Context) (blob.Store, error) { return Open(ctx, os.Getenv(urlEnv)) })
	pgtest.Main(m)
}

func opened(t *testing.T, url string, adjust func(*pgxpool.Config)) *Store {
	t.Helper()
	s, err := open(t.Context(), url, 20*time.Millisecond, adjust)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func asIs(*pgxpool.Config) {}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// parts is how many parts the database has, of objects or not.
func parts(t *testing.T, admin string) (n int) {
	t.Helper()
	if err := connect(t, admin).QueryRow(t.Context(), `SELECT count(*) FROM satchel.blob_parts`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestStore(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store { return opened(t, pgtest.New(t).App, asIs) })
}

// faultyConn breaks at the writes and reads that its fault says.
type faultyConn struct {
	net.Conn
	f *blobtest.Fault
}

func (c *faultyConn) Write(b []byte) (int, error) {
	if err := c.f.Hit(); err != nil {
		n, _ := c.Conn.Write(b[:len(b)/2])
		c.Close()
		return n, &net.OpError{Op: "write", Err: err}
	}
	return c.Conn.Write(b)
}

func (c *faultyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if hit := c.f.Hit(); hit != nil { // the answer was sent, and is lost
		c.Close()
		return 0, &net.OpError{Op: "read", Err: hit}
	}
	return n, err
}

func TestFaults(t *testing.T) {
	db, f := pgtest.New(t), &blobtest.Fault{}
	s := opened(t, db.App, func(c *pgxpool.Config) {
		dial := c.ConnConfig.DialFunc
		c.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &faultyConn{conn, f}, nil
		}
		c.HealthCheckPeriod = time.Hour
	})
	blobtest.Faults(t, s, f)
	// What an outage kept from being removed goes later.
	if err := s.clean(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if n := parts(t, db.Admin); n > 0 {
		t.Errorf("%d parts are left", n)
	}
}

func TestKilled(t *testing.T) {
	db := pgtest.New(t)
	s := opened(t, db.App, asIs)
	blobtest.KilledReading(t, s, urlEnv+"="+db.App)
	if parts(t, db.Admin) == 0 {
		t.Error("the killed process had sent nothing")
	}
	opened(t, db.App, asIs)
	if parts(t, db.Admin) == 0 {
		t.Error("Open removed an upload that is a moment old")
	}
	if err := s.clean(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if n := parts(t, db.Admin); n > 0 {
		t.Errorf("%d parts of the killed process are left", n)
	}
}

// The database ends all connections in the middle, as when it is restarted.
func TestTerminatedConnections(t *testing.T) {
	db := pgtest.New(t)
	s, admin := opened(t, db.App, asIs), connect(t, db.Admin)
	terminate := func() {
		if _, err := admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'satcheld blobs' AND datname = current_database()`); err != nil {
			t.Error(err)
		}
	}
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	if err := s.Put(t.Context(), "ab-0", &tapped{bytes.NewReader(content), terminate}); err != nil {
		t.Fatal(err)
	}
	r, err := s.Get(t.Context(), "ab-0", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got bytes.Buffer
	for {
		terminate()
		b := make([]byte, 3<<20)
		n, err := r.Read(b)
		got.Write(b[:n])
		if err != nil {
			break
		}
	}
	if !bytes.Equal(got.Bytes(), content) {
		t.Errorf("got %d bytes of %d", got.Len(), len(content))
	}
}

// tapped calls fn before each Read of some size.
type tapped struct {
	r  *bytes.Reader
	fn func()
}

func (r *tapped) Read(b []byte) (int, error) {
	r.fn()
	return r.r.Read(b[:min(len(b), 1<<20)])
}

// Lost parts, of whatever cause, are an error that says so, and never a short object. What is before and behind them is read.
func TestLostPart(t *testing.T) {
	for name, lose := range map[string]string{
		"a row is gone": `DELETE FROM satchel.blob_parts WHERE part = 5`,
		"a value can't be read": `
			DO $$ DECLARE toast CONSTANT regclass := (SELECT reltoastrelid FROM pg_class WHERE oid = 'satchel.blob_parts'::regclass);
			BEGIN
				UPDATE pg_class SET relkind = 'r' WHERE oid = toast; -- else nobody may change it
				EXECUTE format('DELETE FROM %s WHERE chunk_id = (SELECT DISTINCT chunk_id FROM %1$s ORDER BY chunk_id OFFSET 5 LIMIT 1)', toast);
				UPDATE pg_class SET relkind = 't' WHERE oid = toast;
			END $$`,
	} {
		t.Run(name, func(t *testing.T) {
			db := pgtest.New(t)
			s, admin := opened(t, db.App, asIs), connect(t, db.Admin)
			content := make([]byte, 8*partSize)
			for i := range content {
				content[i] = byte(i >> 16)
			}
			if err := s.Put(t.Context(), "ab-0", bytes.NewReader(content)); err != nil {
				t.Fatal(err)
			}
			for _, statement := range []string{lose, `VACUUM satchel.blob_parts`} { // deleted pieces of a value can be read until then
				if _, err := admin.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			parts := blob.NewParts(s, "ab-0", int64(len(content)))
			defer parts.Close()
			for off := 0; off < len(content); off += partSize / 2 {
				b := make([]byte, partSize/2)
				err := parts.Read(t.Context(), b, int64(off))
				if lost := off/partSize == 5; blob.Gone(err) != lost || err != nil && !lost {
					t.Errorf("at %d: %v", off, err)
				}
				if err == nil && !bytes.Equal(b, content[off:off+len(b)]) {
					t.Errorf("at %d are other bytes", off)
				}
			}
			r, err := s.Get(t.Context(), "ab-0", 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if n, err := bytes.NewBuffer(nil).ReadFrom(r); n != 5*partSize || api.KindOf(err) != api.Internal {
				t.Errorf("read to the end: %d bytes, %v", n, err)
			}
		})
	}
}

// Objects are for the store alone: users' transactions see none of them, by
// table or by function, and can't make or remove any.
func TestUsersCannotReachBlobs(t *testing.T) {
	db := pgtest.New(t)
	s := opened(t, db.App, asIs)
	content := []byte("a pack")
	if err := s.Put(t.Context(), "ab-0", bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	app := connect(t, db.App)
	for _, user := range []string{"", api.NewID().String()} {
		if _, err := app.Exec(t.Context(), `SELECT set_config('satchel.user_id', $1, false)`, user); err != nil {
			t.Fatal(err)
		}
		for _, statement := range []string{
			`SELECT FROM satchel.blobs`, `SELECT FROM satchel.blob_parts`,
			`INSERT INTO satchel.blobs (key, upload, size) VALUES ('x', gen_random_uuid(), 0)`,
			`UPDATE satchel.blobs SET size = 0`, `DELETE FROM satchel.blobs`, `DELETE FROM satchel.blob_parts`,
			`COPY satchel.blob_parts TO STDOUT`, `TRUNCATE satchel.blob_parts`,
		} {
			if _, err := app.Exec(t.Context(), statement); state(err) != "42501" {
				t.Errorf("user %q: %s: %v", user, statement, err)
			}
		}
	}
	for _, query := range []string{
		`SELECT FROM satchel.read_blob('ab-0', 0, 0, 100)`,
		`SELECT FROM satchel.list_blobs('', 100)`,
	} {
		if tag, err := app.Exec(t.Context(), query); err != nil || tag.RowsAffected() != 0 {
			t.Errorf("in a user's transaction %s = %d rows, %v", query, tag.RowsAffected(), err)
		}
	}
	for _, query := range []string{
		`SELECT satchel.put_blob_part(gen_random_uuid(), 0, 'x')`,
		`SELECT satchel.finish_blob('ab-1', gen_random_uuid(), 0)`,
	} {
		if _, err := app.Exec(t.Context(), query); state(err) != "42501" {
			t.Errorf("in a user's transaction %s: %v", query, err)
		}
	}
	for _, query := range []string{`SELECT satchel.delete_blob('ab-0')`, `SELECT satchel.clean_blob_uploads('0')`,
		`SELECT satchel.drop_blob_upload(gen_random_uuid())`} {
		if _, err := app.Exec(t.Context(), query); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
	r, err := s.Get(t.Context(), "ab-0", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := make([]byte, 10)
	if n, _ := r.Read(got); !slices.Equal(got[:n], content) {
		t.Errorf("the object is %q now", got[:n])
	}
}

func state(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return "none"
}

func TestErrorKinds(t *testing.T) {
	for code, want := range map[string]api.Kind{"53100": api.NoSpace, "53300": api.Unavailable, "57P03": api.Unavailable, "08006": api.Unavailable, "42501": api.Internal} {
		if got := api.KindOf(failed("put", &pgconn.PgError{Code: code})); got != want {
			t.Errorf("%s is %s, want %s", code, got, want)
		}
	}
	if _, err := Open(t.Context(), "postgres://u@127.0.0.1:1/x"); api.KindOf(err) != api.Unavailable {
		t.Errorf("Open without a server: %v", err)
	}
	if _, err := Open(t.Context(), "postgres://:::"); api.KindOf(err) != api.Invalid {
		t.Errorf("Open of no URL: %v", err)
	}
}
