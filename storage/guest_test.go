package storage

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"satchel/api"
	"satchel/storage/postgres"
)

// A grant to read lets nobody write: not by the service, not by any statement,
// and not by asking the database to act for the owner.
func TestReadGrantCannotWrite(t *testing.T) {
	s := newSharing(t)
	s.grant(t, "shared", s.bob.User.String(), "read", "list")
	d := s.open(t, s.bob)
	for _, path := range []string{"shared/one", "shared/new", "shared/dir/new", "private/new", "new"} {
		if _, err := d.Store(t.Context(), names(t, path), strings.NewReader("x"), PutOptions{}); api.KindOf(err) != api.Permission {
			t.Errorf("a reader stores %s: %v", path, err)
		}
	}
	// Refused before a byte of it is read, let alone stored.
	if _, err := d.Store(t.Context(), names(t, "shared/one"), iotest.ErrReader(io.ErrUnexpectedEOF), PutOptions{}); api.KindOf(err) != api.Permission {
		t.Errorf("a reader's content is read: %v", err)
	}
	shared, err := d.Lookup(t.Context(), names(t, "shared"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ statement, state string }{
		{`UPDATE satchel.nodes SET mode = 0 WHERE drive = $1 AND id = $2`, ""},
		{`UPDATE satchel.dirs SET files = 9 WHERE drive = $1 AND id = $2`, ""},
		{`UPDATE satchel.dirs SET zone = NULL WHERE drive = $1 AND id = $2`, "42501"},
		{`DELETE FROM satchel.entries WHERE drive = $1 AND parent = $2`, ""},
		{`DELETE FROM satchel.dirs WHERE drive = $1 AND id = $2`, ""},
		{`INSERT INTO satchel.entries (drive, parent, name, node, owner) SELECT drive, id, 'x', id, owner FROM satchel.nodes WHERE drive = $1 AND id = $2`, "42501"},
		{`INSERT INTO satchel.nodes (drive, id, owner, type, mode, uid, gid, nlink, size, mtime, ctime, btime, rev)
			SELECT drive, gen_random_uuid(), owner, 'd', 0, 0, 0, 2, 0, 0, 0, 0, 0 FROM satchel.nodes WHERE drive = $1 AND id = $2`, "42501"},
		{`INSERT INTO satchel.versions (drive, id, owner, document, node, size, sha256, manifest, time)
			SELECT drive, gen_random_uuid(), owner, id, id, 0, sha256(''), '', 0 FROM satchel.nodes WHERE drive = $1 AND id = $2`, "42501"},
		{`INSERT INTO satchel.grants (drive, node, principal, owner, permissions) SELECT drive, id, 'anonymous', owner, 127 FROM satchel.nodes WHERE drive = $1 AND id = $2`, "42501"},
		{`SELECT satchel.act($1, ARRAY[$2::uuid], ARRAY[4])`, "42501"},
		{`SELECT satchel.act($1, (ARRAY[$2::uuid])[2:], ARRAY[]::int[])`, "42501"},
		{`SELECT satchel.grant_access($1, $2, 'authenticated', 127)`, "42501"},
		{`SELECT satchel.revoke_access($1, $2, 'authenticated', 127)`, "42501"},
		{`SELECT satchel.rezone($1, ARRAY[$2::uuid])`, "42501"},
		{`SELECT satchel.add_shared_pack($1, $2, 1, '{}', '{}', '{}')`, "42501"},
		{`SELECT satchel.zones_held($1, (SELECT 127 WHERE $2::uuid IS NOT NULL))`, "42501"},
		{`SELECT satchel.make_zone($1, $2)`, "42501"},
		{`SELECT FROM satchel.lock_shared($1) WHERE $2::uuid IS NOT NULL`, ""},
	} {
		n, state := s.sql(t, s.bob.User, test.statement, s.home.ID().String(), shared.ID.String())
		if state != test.state || state == "" && n != 0 {
			t.Errorf("%.70s: %d rows, %q; want %q", test.statement, n, state, test.state)
		}
	}
	if err := d.Grant(t.Context(), api.Grant{Path: "shared", UserID: api.Anonymous, Permissions: 1}); api.KindOf(err) != api.Permission {
		t.Errorf("a guest grants: %v", err)
	}
	if _, err := d.Grants(t.Context()); api.KindOf(err) != api.Permission {
		t.Errorf("a guest sees the grants: %v", err)
	}
	c, err := d.Commit(t.Context(), api.Batch{Incarnation: api.NewID(), Number: 1, Mutations: []api.Mutation{createDir(shared.ID, "by a device")}})
	if err != nil || len(c.Outcomes) != 1 || c.Outcomes[0].Status != api.Refused || c.Outcomes[0].Kind != api.Permission {
		t.Errorf("a reader's device commits: %+v %v", c, err)
	}
}

func TestWriteGrantWritesInItsSubtreeOnly(t *testing.T) {
	s := newSharing(t)
	s.grant(t, "shared", s.bob.User.String(), "read", "write")
	d := s.open(t, s.bob)
	s.stores(t, d, "shared/one", "by bob", "")
	s.stores(t, d, "shared/sub/new", "new by bob", "")
	s.stores(t, d, "shared/dir/new", "x", api.Permission) // no mkdir
	s.stores(t, d, "shared2/new", "x", api.Permission)
	s.stores(t, d, "private/five", "x", api.Permission)
	s.stores(t, d, "nothing/five", "x", api.Permission)
	if got := s.home.read(t, "shared/sub/new"); got != "new by bob" {
		t.Errorf("the owner reads %q", got)
	}
	if got := s.home.read(t, "shared/one"); got != "by bob" {
		t.Errorf("the owner reads %q", got)
	}
	s.grant(t, "shared", s.bob.User.String(), "mkdir")
	s.stores(t, d, "shared/dir/new", "y", "")
	if got := s.read(t, s.bob, "shared/dir/new"); got != "y" {
		t.Errorf("the guest reads %q", got)
	}
	info, err := s.home.Info(t.Context())
	if err != nil || info.Files != int64(len(sharingPaths)+2) {
		t.Errorf("the drive has %d files: %v", info.Files, err)
	}
	// One's own drive is not reached with another's rights.
	mine := s.world.home(t, s.bob)
	if _, err := mine.Lookup(t.Context(), names(t, "shared")); api.KindOf(err) != api.NotFound {
		t.Errorf("the guest's own drive: %v", err)
	}
	// What a guest wrote cost the owner's quota and names the guest's device.
	if n, _ := s.sql(t, s.alice.User, `SELECT FROM satchel.versions WHERE drive = $1 AND device = $2`, s.home.ID().String(), s.bob.Device.String()); n != 3 {
		t.Errorf("%d versions name the guest's device", n)
	}
}

// A file that is shared by itself is written by its path, also where nothing above it is to be seen.
func TestWriteGrantOnANestedFile(t *testing.T) {
	s := newSharing(t)
	const path = "shared/sub/deep/three"
	s.grant(t, path, s.bob.User.String(), "read", "write", "copy")
	d := s.open(t, s.bob)
	s.stores(t, d, path, "by bob", "")
	s.stores(t, d, path, "by bob again", "")
	if got := s.home.read(t, path); got != "by bob again" {
		t.Errorf("the owner reads %q", got)
	}
	s.stores(t, d, "shared/sub/deep/four", "x", api.Permission)
	s.stores(t, d, "shared/sub/two", "x", api.Permission)
	s.grant(t, "private/five", s.bob.User.String(), "read")
	s.stores(t, d, "private/five", "x", api.Permission)
	if _, err := d.Copy(t.Context(), names(t, path), names(t, "private/five"), CopyOptions{MoveOptions: MoveOptions{Replace: true}}); api.KindOf(err) != api.Permission {
		t.Errorf("a copy over what he may only read: %v", err)
	}
	s.grant(t, "private/five", s.bob.User.String(), "write")
	if _, err := d.Copy(t.Context(), names(t, path), names(t, "private/five"), CopyOptions{MoveOptions: MoveOptions{Replace: true}}); err != nil || s.home.read(t, "private/five") != "by bob again" {
		t.Errorf("a copy over what he may write: %v", err)
	}
	s.verify(t, s.home.ID())
}

func (s *sharing) stores(t *testing.T, d *Drive, path, content string, want api.Kind) {
	t.Helper()
	if _, err := d.Store(t.Context(), names(t, path), strings.NewReader(content), PutOptions{}); api.KindOf(err) != want {
		t.Errorf("store %s: %v, want %q", path, err, want)
	}
}

// The database looks at what a guest's transaction changed, too.
func TestGuestsChangesAreCheckedAgain(t *testing.T) {
	s := newSharing(t)
	s.grant(t, "shared", s.bob.User.String(), "write", "mkdir", "delete", "rename")
	shared, err := s.home.Lookup(t.Context(), names(t, "shared"))
	if err != nil {
		t.Fatal(err)
	}
	private, err := s.home.Lookup(t.Context(), names(t, "private"))
	if err != nil {
		t.Fatal(err)
	}
	d := s.open(t, s.bob)
	make := func(parent api.ID) error {
		return d.as(t.Context(), func(ctx context.Context, tx *postgres.Tx) error {
			by := postgres.Author{Device: s.bob.Device}
			locked, err := tx.Lock(ctx, d.id, d.owner, by, nil)
			if err != nil {
				return err
			}
			// A fault of the program: it asks for one place and changes another.
			if err := tx.Act(ctx, &locked, []postgres.Need{{Node: shared.ID, AnyOf: api.PermMkdir}}, nil); err != nil {
				return err
			}
			_, answer, err := d.apply(ctx, tx, locked, by, 0, []api.Mutation{createDir(parent, "made")})
			if err == nil && answer.Outcomes[0].Status != api.Applied {
				t.Errorf("%+v", answer.Outcomes)
			}
			return err
		})
	}
	if err := make(private.ID); err == nil || !strings.Contains(err.Error(), "beyond what is shared") {
		t.Errorf("a guest's change outside of the grant: %v", err)
	}
	if err := make(shared.ID); err != nil {
		t.Error(err)
	}
}

func TestAdminsGrantOnSystemDrivesOnly(t *testing.T) {
	s := newSharing(t)
	if _, err := s.Drive(t.Context(), s.admin, s.home.ID()); api.KindOf(err) != api.NotFound {
		t.Errorf("an admin opens a user's drive: %v", err)
	}
	home := s.home.ID().String()
	if _, state := s.sql(t, s.admin.User, `SELECT satchel.grant_access($1, $2, 'authenticated', 127)`, home, s.home.Root().String()); state != "42501" {
		t.Errorf("an admin grants on a user's drive: %q", state)
	}
	team, err := s.SystemDrive(t.Context(), "team")
	if err != nil {
		t.Fatal(err)
	}
	s.put(t, team, "a/b", "of the system")
	d, err := s.Drive(t.Context(), s.admin, team.ID())
	if err != nil {
		t.Fatal(err)
	}
	n, err := d.Lookup(t.Context(), names(t, "a/b"))
	if err != nil {
		t.Errorf("an admin does not see a system drive's metadata: %v", err)
	}
	if _, err := d.Content(t.Context(), n.ID, api.ID{}); api.KindOf(err) != api.NotFound {
		t.Errorf("an admin reads a system drive's content without a grant: %v", err)
	}
	if _, err := s.Drive(t.Context(), s.bob, team.ID()); api.KindOf(err) != api.NotFound {
		t.Errorf("a user opens a system drive without a grant: %v", err)
	}
	if err := d.Grant(t.Context(), api.Grant{Path: "a", UserID: s.bob.User.String(), Permissions: api.PermRead | api.PermWrite}); err != nil {
		t.Fatal(err)
	}
	bobs, err := s.Drive(t.Context(), s.bob, team.ID())
	if err != nil {
		t.Fatal(err)
	}
	s.stores(t, bobs, "a/b", "by bob", "")
	grants, err := d.Grants(t.Context())
	if err != nil || len(grants) != 1 || grants[0].Path != "/a" || grants[0].UserID != s.bob.User.String() {
		t.Errorf("grants %+v: %v", grants, err)
	}
}

// Who may write into a folder is not told what is in it, and who may read it is told by what a mount keeps alone.
func TestListIsAskedOfGuests(t *testing.T) {
	for _, c := range []struct {
		permissions    string
		lists, mirrors bool
	}{{"write mkdir delete rename copy", false, false}, {"read", false, true}, {"list", true, true}} {
		t.Run(c.permissions, func(t *testing.T) {
			g := newGuestDevice(t, strings.Fields(c.permissions)...)
			asked := func(what string, allowed bool, err error) {
				t.Helper()
				if want := map[bool]api.Kind{false: api.Permission}[allowed]; api.KindOf(err) != want {
					t.Errorf("%s: %v", what, err)
				}
			}
			l, err := g.Children(t.Context(), g.shared, "", 0)
			asked("children", c.lists, err)
			if len(l.Entries) != 2*map[bool]int{true: 1}[c.lists] {
				t.Errorf("%+v", l)
			}
			_, err = g.Mirrored(t.Context(), g.shared, "", 0)
			asked("a mirror", c.mirrors, err)
			asked("a folder's page", c.lists, g.ReadBrief(t.Context(), g.shared, noList{}))
			_, err = g.Search(t.Context(), g.shared, "", "one", 10)
			asked("a search", c.lists, err)
			asked("the question alone", c.lists, g.MayList(t.Context(), g.shared))

			g.s.put(t, g.s.home.Drive, "shared/new", "x")
			if got := g.hears(t); (len(got) > 0) != c.mirrors {
				t.Errorf("the feed tells of %q", got)
			}
		})
	}
}

// A copy asks for copy, and for what it shows of what it copies.
func TestCopyIsAskedOfGuests(t *testing.T) {
	s := newSharing(t)
	d := func(permissions ...string) *Drive {
		s.grant(t, "shared", s.bob.User.String(), permissions...)
		return s.open(t, s.bob)
	}
	copies := func(d *Drive, from, to string, want api.Kind) {
		t.Helper()
		if _, err := d.Copy(t.Context(), names(t, from), names(t, to), CopyOptions{}); api.KindOf(err) != want {
			t.Errorf("copy %s: %v, want %q", from, err, want)
		}
	}
	copies(d("write", "mkdir", "read"), "shared/one", "shared/1", api.Permission)
	copies(d("copy"), "shared/one", "shared/1", "")
	copies(s.open(t, s.bob), "shared/sub", "shared/2", api.Permission) // its names are not his to know
	copies(d("list"), "shared/sub", "shared/2", "")
	if got := s.home.read(t, "shared/2/deep/three"); got != "shared/sub/deep/three" {
		t.Errorf("the copy has %q", got)
	}
}

// Who may copy and not read is told so.
func TestCopyOfWhatCannotBeRead(t *testing.T) {
	s := newSharing(t)
	s.grant(t, "shared", s.bob.User.String(), "write", "copy", "list")
	if _, err := s.open(t, s.bob).Copy(t.Context(), names(t, "shared/one"), names(t, "shared/1"), CopyOptions{}); api.KindOf(err) != api.Permission {
		t.Errorf("the copy: %v", err)
	}
}

// noList takes the entries of a directory and keeps none.
type noList struct{}

func (noList) Begin()                   {}
func (noList) Add(postgres.Brief) error { return nil }
