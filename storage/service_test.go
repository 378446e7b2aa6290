package storage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/storage/blob/local"
	"satchel/storage/postgres"
	"satchel/storage/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// world is a service over a database and a blob store of its own.
type world struct {
	*Service
	admin *pgx.Conn // as the database's superuser
}

func newWorld(t testing.TB) *world {
	t.Helper()
	database := pgtest.New(t)
	return worldBy(t, database, database.App)
}

// worldBy is a world whose service has another way to its database.
func worldBy(t testing.TB, database pgtest.Database, way string) *world {
	t.Helper()
	db, err := postgres.Open(t.Context(), way)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	blobs, err := local.Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	admin, err := pgx.Connect(t.Context(), database.Admin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.Close(context.Background()) })
	return &world{New(db, blobs, slog.New(slog.DiscardHandler)), admin}
}

// user makes a user and the first of his devices.
func (w *world) user(t testing.TB, role string) Caller {
	t.Helper()
	c := Caller{User: api.NewID(), Device: api.NewID(), DeviceName: "laptop", Admin: role == "admin"}
	_, err := w.admin.Exec(t.Context(), `INSERT INTO satchel.users (id, email, role, password_hash) VALUES ($1, $2, $3, 'x')`,
		c.User.String(), c.User.String()+"@example.org", role)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// device is another device of the same user.
func (c Caller) device(name string) Caller {
	c.Device, c.DeviceName = api.NewID(), name
	return c
}

func (w *world) home(t testing.TB, c Caller) *drive {
	t.Helper()
	d, err := w.Home(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return &drive{Drive: d, incarnation: api.NewID()}
}

// drive is a drive as one device uses it.
type drive struct {
	*Drive
	incarnation api.ID
	number      uint64
}

// commit sends mutations as the device's next batch.
func (d *drive) commit(t testing.TB, batch ...api.Mutation) api.Committed {
	t.Helper()
	d.number++
	c, err := d.Commit(t.Context(), api.Batch{Incarnation: d.incarnation, Number: d.number, Mutations: batch})
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	return c
}

// content sends the chunks of some content and returns a version of it.
func (d *drive) content(t testing.TB, content string) *api.Version {
	t.Helper()
	var pack chunk.PackWriter
	v, err := chunk.Version(bytes.NewReader([]byte(content)), func(c api.Chunk, data []byte) error {
		return pack.Add(c.Hash, data)
	})
	if err != nil {
		t.Fatal(err)
	}
	if pack.Count() > 0 {
		if _, _, err := d.PutPack(t.Context(), bytes.NewReader(pack.Bytes())); err != nil {
			t.Fatal(err)
		}
	}
	v.ID = api.NewID()
	return &v
}

func (d *drive) createFile(t testing.TB, parent api.ID, name api.Name, content string) api.Mutation {
	return api.Mutation{
		Op: api.OpCreate, Node: api.NewID(), Parent: parent, Name: name,
		Attr: &api.Attr{Type: api.File}, Version: d.content(t, content), Time: time.Now().UnixNano(),
	}
}

func createDir(parent api.ID, name api.Name) api.Mutation {
	return api.Mutation{
		Op: api.OpCreate, Node: api.NewID(), Parent: parent, Name: name,
		Attr: &api.Attr{Type: api.Directory}, Time: time.Now().UnixNano(),
	}
}

func (d *drive) read(t testing.TB, path string) string {
	t.Helper()
	names, err := api.ParsePath(path)
	if err != nil {
		t.Fatal(err)
	}
	n, err := d.Lookup(t.Context(), names)
	if err != nil {
		t.Fatalf("lookup %s: %v", path, err)
	}
	c, err := d.Content(t.Context(), n.ID, api.ID{})
	if err != nil {
		t.Fatalf("content of %s: %v", path, err)
	}
	r, err := c.Open(t.Context(), 0, -1)
	if err != nil {
		t.Fatalf("open %s: %v", path, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	if int64(len(b)) != n.Size || api.Hash(sha256.Sum256(b)) != n.SHA256 {
		t.Fatalf("%s has %d bytes, its node says %d", path, len(b), n.Size)
	}
	return string(b)
}

func statuses(c api.Committed) []api.Status {
	s := make([]api.Status, len(c.Outcomes))
	for i, o := range c.Outcomes {
		s[i] = o.Status
	}
	return s
}
