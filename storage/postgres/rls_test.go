package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/storage/postgres"
	"satchel/storage/tree"
)

// driveTables are the tables that hold a user's drives, with an owner in each.
var driveTables = []string{"drives", "versions", "nodes", "dirs", "entries", "trash", "documents", "changes", "batches", "packs", "chunks",
	"properties", "locks", "objects", "past_entries", "past_nodes", "condemned", "texts",
	"access_keys", "buckets", "uploads", "parts", "links", "thumbnails"}

// fill gives a user a home drive with a row in each of driveTables.
func (a *accounts) fill(t *testing.T, user api.ID) postgres.Drive {
	t.Helper()
	var home postgres.Drive
	proof := a.proof(t, user)
	err := a.db.As(t.Context(), user, func(ctx context.Context, tx *postgres.Tx) error {
		if err := tx.EnsureHome(ctx); err != nil {
			return err
		}
		var err error
		if home, err = tx.Home(ctx); err != nil {
			return err
		}
		chunk := api.Hash(slices.Repeat(user[:], 2))
		if err := tx.AddPack(ctx, user, postgres.Pack{ID: api.NewID(), Bytes: 100, Came: time.Now(), Chunks: []postgres.Extent{{Hash: chunk, Off: 40, Len: 5}}}); err != nil {
			return err
		}
		by := postgres.Author{Device: api.NewID(), Incarnation: api.NewID()}
		locked, err := tx.Lock(ctx, home.ID, user, by, []api.Hash{chunk})
		if err != nil {
			return err
		}
		apply := func(number uint64, batch ...api.Mutation) error {
			set := tree.NewSet(locked.Drive, tx.Working(ctx, home.ID, by.Device), tree.Env{Device: by.Device, Chunks: locked.Chunks, NewID: api.NewID})
			outcomes, err := set.Apply(batch)
			if err != nil {
				return err
			}
			diff := set.Diff()
			locked.Drive = diff.Drive
			return tx.Write(ctx, []tree.Diff{diff}, by, postgres.Answer{Number: number, Outcomes: outcomes})
		}
		file := api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: home.Root, Name: "a", Attr: &api.Attr{Type: api.File},
			Version: &api.Version{ID: api.NewID(), Size: 5, SHA256: chunk, Chunks: []api.Chunk{{Hash: chunk, Size: 5}}}}
		gone := api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: home.Root, Name: "gone", Attr: &api.Attr{Type: api.Directory}}
		rmdir := api.Mutation{Op: api.OpRmdir, Node: gone.Node, Parent: home.Root, Name: "gone"}
		mode := uint32(0o600)
		private := api.Mutation{Op: api.OpSetattr, Node: file.Node, Attr: &api.Attr{Mode: &mode}}
		if err := apply(1, file, gone); err != nil {
			return err
		}
		if err := apply(2, private, rmdir); err != nil { // so that there is a past
			return err
		}
		if err := tx.SetProperty(ctx, home.ID, user, postgres.Property{Node: file.Node, Space: "DAV:", Name: "x"}); err != nil {
			return err
		}
		if err := tx.AddDAVLock(ctx, home.ID, user, postgres.DAVLock{Token: api.NewID(), Expires: time.Now().Add(time.Hour)}); err != nil {
			return err
		}
		if err := tx.SetObjects(ctx, home.ID, user, map[api.ID]postgres.Object{file.Version.ID: {ETag: "x"}}); err != nil {
			return err
		}
		if err := tx.SetText(ctx, home.ID, user, postgres.Unindexed{Node: file.Node, Version: file.Version.ID}, 0, "words"); err != nil {
			return err
		}
		key := postgres.NewSession{ID: api.NewID(), Kind: postgres.KeySession, Name: "key", Secret: chunk}
		if err := tx.AddSession(ctx, key, proof); err != nil {
			return err
		}
		if err := tx.AddAccessKey(ctx, "key of "+user.String(), key.ID, []byte("sealed")); err != nil {
			return err
		}
		if err := tx.AddBucket(ctx, postgres.Bucket{Name: "bucket of " + user.String(), Drive: home.ID, Node: home.Root, Owner: user}); err != nil {
			return err
		}
		if err := tx.AddThumbnail(ctx, chunk, []byte("picture")); err != nil {
			return err
		}
		if err := tx.AddLink(ctx, home.ID, postgres.Link{ID: api.NewID(), Node: file.Node, Token: "token of " + user.String()}); err != nil {
			return err
		}
		upload := postgres.Upload{ID: api.NewID(), Bucket: home.Root, Key: "k"}
		if err := tx.AddUpload(ctx, home.ID, user, upload); err != nil {
			return err
		}
		if err := tx.SetPart(ctx, home.ID, user, upload.ID, postgres.Part{Number: 1, Size: 5, SHA256: chunk, Chunks: file.Version.Chunks}); err != nil {
			return err
		}
		return tx.Describe(ctx, home.ID, user, "a file", file.Node)
	})
	if err != nil {
		t.Fatal(err)
	}
	a.condemn(t, user)
	return home
}

// condemn does what garbage collection does to a chunk that nothing refers to.
func (a *accounts) condemn(t *testing.T, user api.ID) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), a.Owner)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), `
		SET ROLE satchel_keeper;
		INSERT INTO satchel.condemned (owner, sha256) VALUES ('`+user.String()+`', sha256('`+user.String()+`'))`)
	if err != nil {
		t.Fatal(err)
	}
}

func TestDriveRowsOverSQL(t *testing.T) {
	a := newAccounts(t)
	alices, bobs := a.fill(t, a.alice), a.fill(t, a.bob)
	for _, table := range driveTables {
		count := func(user api.ID, where string) int64 {
			n, err := a.sql(t, user, `SELECT FROM satchel.`+table+where)
			if err != nil {
				t.Fatalf("%s: %v", table, err)
			}
			return n
		}
		if n := count(a.alice, ""); n == 0 {
			t.Errorf("%s: the owner does not see his rows", table)
		}
		if n := count(a.alice, fmt.Sprintf(` WHERE owner <> '%s'`, a.alice)); n != 0 {
			t.Errorf("%s: a user sees %d rows of others", table, n)
		}
		for who, user := range map[string]api.ID{"an admin": a.admin, "nobody": {}} {
			if n := count(user, ""); n != 0 {
				t.Errorf("%s: %s sees %d rows", table, who, n)
			}
		}
		// Another one's rows can't be changed, deleted or locked either.
		for _, statement := range []string{`DELETE FROM satchel.%s`, `SELECT FROM satchel.%s FOR UPDATE`} {
			where := fmt.Sprintf(` WHERE owner = '%s'`, a.bob)
			statement = strings.Replace(fmt.Sprintf(statement, table)+" ", " FOR UPDATE", where+" FOR UPDATE", 1)
			if !strings.Contains(statement, where) {
				statement += where
			}
			if n, err := a.sql(t, a.alice, statement); n != 0 || err != nil && sqlState(err) != "42501" {
				t.Errorf("%s: %q did %d rows, %v", table, statement, n, err)
			}
		}
		// A row moved to another owner, or copied for him.
		if _, err := a.sql(t, a.alice, `UPDATE satchel.`+table+` SET owner = $1`, a.bob.String()); sqlState(err) != "42501" {
			t.Errorf("%s: giving rows away: %v", table, err)
		}
		if _, err := a.sql(t, a.alice, `
			CREATE TEMPORARY TABLE mine AS SELECT * FROM satchel.`+table+`;
			UPDATE mine SET owner = '`+a.bob.String()+`';
			INSERT INTO satchel.`+table+` SELECT * FROM mine`); sqlState(err) != "42501" ||
			!strings.Contains(err.Error(), "row-level security") && table != "condemned" && table != "links" { // that only garbage collection, and a function, may
			t.Errorf("%s: INSERT for another owner: %v", table, err)
		}
	}
	// A row of one's own in another one's drive.
	for table, row := range map[string]string{
		"entries":   `(drive, parent, name, node, owner) VALUES ('%[1]s', '%[2]s', 'x', '%[2]s', '%[3]s')`,
		"nodes":     `(drive, id, owner, type, mode, uid, gid, nlink, size, mtime, ctime, btime, rev) VALUES ('%[1]s', gen_random_uuid(), '%[3]s', 'd', 0, 0, 0, 2, 0, 0, 0, 0, 0)`,
		"dirs":      `(drive, id, owner, parent) VALUES ('%[1]s', '%[2]s', '%[3]s', NULL)`,
		"changes":   `(drive, seq, owner, op, node, time) VALUES ('%[1]s', 99, '%[3]s', 'x', '%[2]s', 0)`,
		"locks":     `(drive, token, owner, path, deep, shared, holder, expires) VALUES ('%[1]s', gen_random_uuid(), '%[3]s', '', true, false, '', now())`,
		"documents": `(drive, id, owner) VALUES ('%[1]s', gen_random_uuid(), '%[3]s')`,
	} {
		_, err := a.sql(t, a.alice, `INSERT INTO satchel.`+table+` `+fmt.Sprintf(row, bobs.ID, bobs.Root, a.alice))
		if state := sqlState(err); state != "23503" && state != "23505" {
			t.Errorf("%s: a row in another one's drive: %v", table, err)
		}
	}
	if alices.ID == bobs.ID {
		t.Error("two users have one drive")
	}
}

func TestAllFilesIsForAdmins(t *testing.T) {
	a := newAccounts(t)
	a.fill(t, a.alice)
	a.fill(t, a.bob)
	for _, test := range []struct {
		user api.ID
		want int64
	}{{a.admin, 2}, {a.alice, 0}, {api.ID{}, 0}} {
		if n, err := a.sql(t, test.user, `SELECT FROM satchel.all_files()`); err != nil || n != test.want {
			t.Errorf("sees %d files, not %d: %v", n, test.want, err)
		}
		if n, err := a.sql(t, test.user, `SELECT FROM satchel.accounts()`); err != nil || (n > 0) != (test.want > 0) {
			t.Errorf("sees %d accounts: %v", n, err)
		}
	}
}
