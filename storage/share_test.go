package storage

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"satchel/api"
)

// sql runs a statement as satchel_app with a user set (zero: none), undoes it,
// and tells how many rows it was about.
func (w *world) sql(t testing.TB, user api.ID, statement string, args ...any) (int64, string) {
	t.Helper()
	tx, err := w.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	setting := ""
	if !user.IsZero() {
		setting = user.String()
	}
	if _, err := tx.Exec(t.Context(), `SELECT set_config('satchel.user_id', $1, true)`, setting); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SET LOCAL ROLE satchel_app`); err != nil {
		t.Fatal(err)
	}
	tag, err := tx.Exec(t.Context(), statement, args...)
	state := ""
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		state = pg.Code
	} else if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return tag.RowsAffected(), state
}

// sharing is a drive of alice's with files in several directories, of which
// each file's content is its path.
type sharing struct {
	*world
	alice, bob, admin Caller
	home              *drive
}

var sharingPaths = []string{"shared/one", "shared/sub/two", "shared/sub/deep/three", "shared2/four", "private/five", "six"}

func newSharing(t *testing.T) *sharing { return sharingOf(t, newWorld(t)) }

func sharingOf(t *testing.T, w *world) *sharing {
	s := &sharing{world: w, alice: w.user(t, "editor"), bob: w.user(t, "editor"), admin: w.user(t, "admin")}
	s.home = w.home(t, s.alice)
	for _, p := range sharingPaths {
		s.put(t, s.home.Drive, p, p)
	}
	return s
}

func (s *sharing) put(t testing.TB, d *Drive, path, content string) {
	t.Helper()
	if _, err := d.Store(t.Context(), names(t, path), strings.NewReader(content), PutOptions{}); err != nil {
		t.Fatalf("store %s: %v", path, err)
	}
}

func (s *sharing) grant(t testing.TB, path, principal string, permissions ...string) {
	t.Helper()
	p, err := api.ParsePermissions(permissions)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.home.Grant(t.Context(), api.Grant{Path: path, UserID: principal, Permissions: p}); err != nil {
		t.Fatal(err)
	}
}

func (s *sharing) open(t testing.TB, c Caller) *Drive {
	t.Helper()
	d, err := s.Drive(t.Context(), c, s.home.ID())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// read is the content at a path, or the kind of the error.
func (s *sharing) read(t testing.TB, c Caller, path string) string {
	t.Helper()
	d, err := s.Drive(t.Context(), c, s.home.ID())
	if err != nil {
		return string(api.KindOf(err))
	}
	n, err := d.Lookup(t.Context(), names(t, path))
	if err != nil {
		return string(api.KindOf(err))
	}
	content, err := d.Content(t.Context(), n.ID, api.ID{})
	if err != nil {
		return string(api.KindOf(err))
	}
	r, err := content.Open(t.Context(), 0, -1)
	if err != nil {
		return string(api.KindOf(err))
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return string(api.KindOf(err))
	}
	return string(b)
}

// sees checks which of sharingPaths a caller can read.
func (s *sharing) sees(t testing.TB, when string, c Caller, want ...string) {
	t.Helper()
	for _, p := range sharingPaths {
		got := s.read(t, c, p)
		if slices.Contains(want, p) != (got == p) || got != p && got != string(api.NotFound) {
			t.Errorf("%s: %s reads as %q", when, p, got)
		}
	}
}

func TestGrantShowsExactlyItsSubtree(t *testing.T) {
	s := newSharing(t)
	s.sees(t, "before", s.bob)
	s.grant(t, "/shared", s.bob.User.String(), "read", "list")
	below := []string{"shared/one", "shared/sub/two", "shared/sub/deep/three"}
	s.sees(t, "with a grant", s.bob, below...)
	s.sees(t, "a stranger to it", s.admin)

	// The same over SQL, whatever the program asks: rows of the subtree only.
	for table, want := range map[string]int64{"nodes": 6, "dirs": 3, "entries": 5, "versions": 3,
		"drives": 0, "chunks": 0, "packs": 0, "changes": 0, "trash": 0, "documents": 0, "past_nodes": 0, "past_entries": 0, "grants": 0, "zones": 0} {
		if n, state := s.sql(t, s.bob.User, `SELECT FROM satchel.`+table+` WHERE owner = $1`, s.alice.User.String()); n != want || state != "" {
			t.Errorf("%s: the grantee sees %d rows, want %d (%s)", table, n, want, state)
		}
		for who, user := range map[string]api.ID{"an admin": s.admin.User, "nobody": {}} {
			if n, state := s.sql(t, user, `SELECT FROM satchel.`+table+` WHERE owner = $1`, s.alice.User.String()); n != 0 || state != "" {
				t.Errorf("%s: %s sees %d rows (%s)", table, who, n, state)
			}
		}
	}
	// What a file was before belongs to its owner.
	s.put(t, s.home.Drive, "shared/one", "shared/one again")
	if n, _ := s.sql(t, s.bob.User, `SELECT FROM satchel.versions WHERE owner = $1`, s.alice.User.String()); n != 3 {
		t.Errorf("the grantee sees %d versions: of three files only what they are now", n)
	}

	revoked := api.Grant{Path: "shared", UserID: s.bob.User.String()}
	if err := s.home.Revoke(t.Context(), revoked); err != nil {
		t.Fatal(err)
	}
	s.sees(t, "revoked", s.bob)
	for _, table := range []string{"nodes", "dirs", "entries", "versions"} {
		if n, _ := s.sql(t, s.bob.User, `SELECT FROM satchel.`+table+` WHERE owner = $1`, s.alice.User.String()); n != 0 {
			t.Errorf("%s: %d rows are left to one whose grant was revoked", table, n)
		}
	}
	if err := s.home.Revoke(t.Context(), revoked); api.KindOf(err) != api.NotFound {
		t.Errorf("revoking nothing: %v", err)
	}
}

func TestPrincipals(t *testing.T) {
	s := newSharing(t)
	stranger := Caller{}
	s.grant(t, "shared/sub", api.Anonymous, "read")
	s.grant(t, "shared2", api.Authenticated, "read")
	s.grant(t, "six", s.bob.User.String(), "read")
	s.sees(t, "anonymous", stranger, "shared/sub/two", "shared/sub/deep/three")
	s.sees(t, "authenticated", s.admin, "shared/sub/two", "shared/sub/deep/three", "shared2/four")
	s.sees(t, "a user, one file too", s.bob, "shared/sub/two", "shared/sub/deep/three", "shared2/four", "six")
}

// Grants within grants, and directories that move between them.
func TestZonesFollowMovesAndNewDirectories(t *testing.T) {
	s := newSharing(t)
	s.grant(t, "shared", s.bob.User.String(), "read")
	s.grant(t, "shared/sub/deep", api.Anonymous, "read")
	all := []string{"shared/one", "shared/sub/two", "shared/sub/deep/three"}
	s.sees(t, "a grant within a grant", s.bob, all...)
	s.sees(t, "the inner grant", Caller{}, "shared/sub/deep/three")

	s.put(t, s.home.Drive, "shared/sub/deep/new/er/file", "new")
	if got := s.read(t, Caller{}, "shared/sub/deep/new/er/file"); got != "new" {
		t.Errorf("a file in directories made within a grant reads as %q", got)
	}
	move := func(from, to string) {
		t.Helper()
		n, err := s.home.Lookup(t.Context(), names(t, from))
		if err != nil {
			t.Fatal(err)
		}
		parent := func(p string) api.ID {
			path := names(t, p)
			dir, err := s.home.Lookup(t.Context(), path[:len(path)-1])
			if err != nil {
				t.Fatal(err)
			}
			return dir.ID
		}
		last := func(p string) api.Name { path := names(t, p); return path[len(path)-1] }
		s.home.number++
		c, err := s.home.Commit(t.Context(), api.Batch{Incarnation: s.home.incarnation, Number: s.home.number, Mutations: []api.Mutation{{
			Op: api.OpRename, Node: n.ID, Parent: parent(from), Name: last(from), ToParent: parent(to), ToName: last(to), Time: 1}}})
		if err != nil || c.Outcomes[0].Status != api.Applied {
			t.Fatalf("move %s: %v %+v", from, err, c.Outcomes)
		}
	}
	// Out of the outer grant: what had its own keeps it.
	move("shared/sub", "private/sub")
	for path, who := range map[string]Caller{"private/sub/two": s.bob, "private/five": s.bob} {
		if got := s.read(t, who, path); got != string(api.NotFound) {
			t.Errorf("%s, moved out of the grant, reads as %q", path, got)
		}
	}
	if got := s.read(t, Caller{}, "private/sub/deep/three"); got != "shared/sub/deep/three" {
		t.Errorf("what has a grant of its own reads as %q after a move", got)
	}
	if got := s.read(t, s.bob, "private/sub/deep/three"); got != "shared/sub/deep/three" {
		t.Errorf("what everyone may read reads as %q for a user", got)
	}
	// And into one.
	move("private", "shared/private")
	for _, p := range []string{"shared/private/five", "shared/private/sub/two", "shared/private/sub/deep/three"} {
		if got := s.read(t, s.bob, p); got == string(api.NotFound) {
			t.Errorf("%s, moved into the grant, is hidden", p)
		}
	}
	if got := s.read(t, Caller{}, "shared/private/sub/two"); got != string(api.NotFound) {
		t.Errorf("a directory above a grant reads as %q", got)
	}
	// Every directory's zone is what its place says.
	var wrong int
	err := s.world.admin.QueryRow(t.Context(), `
		WITH RECURSIVE tree (drive, id, zone) AS (
			SELECT d.drive, d.id, z.id FROM satchel.dirs d LEFT JOIN satchel.zones z ON z.drive = d.drive AND z.node = d.id WHERE d.parent IS NULL
			UNION ALL
			SELECT d.drive, d.id, coalesce(z.id, t.zone)
			FROM tree t JOIN satchel.dirs d ON d.drive = t.drive AND d.parent = t.id
			LEFT JOIN satchel.zones z ON z.drive = d.drive AND z.node = d.id
		)
		SELECT count(*) FROM tree t JOIN satchel.dirs d ON d.drive = t.drive AND d.id = t.id WHERE d.zone IS DISTINCT FROM t.zone`).Scan(&wrong)
	if err != nil || wrong > 0 {
		t.Errorf("%d directories name a wrong zone: %v", wrong, err)
	}
}

func TestSharedDirectoryComesBackFromTheTrash(t *testing.T) {
	s := newSharing(t)
	s.grant(t, "shared", s.bob.User.String(), "read")
	sub, err := s.home.Lookup(t.Context(), names(t, "shared"))
	if err != nil {
		t.Fatal(err)
	}
	s.rm(t, "shared/one", "shared/sub/two", "shared/sub/deep/three", "shared/sub/deep", "shared/sub", "shared")
	s.sees(t, "deleted", s.bob)
	if n, _ := s.sql(t, s.bob.User, `SELECT FROM satchel.nodes WHERE owner = $1`, s.alice.User.String()); n != 0 {
		t.Errorf("the grantee sees %d deleted nodes", n)
	}
	if _, err := s.home.RestoreTrash(t.Context(), sub.ID); err != nil {
		t.Fatal(err)
	}
	s.sees(t, "restored", s.bob, "shared/one", "shared/sub/two", "shared/sub/deep/three")
}

// rm removes what is at paths, one after another.
func (s *sharing) rm(t testing.TB, paths ...string) {
	t.Helper()
	for _, p := range paths {
		path := names(t, p)
		n, err := s.home.Lookup(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		parent, err := s.home.Lookup(t.Context(), path[:len(path)-1])
		if err != nil {
			t.Fatal(err)
		}
		m := api.Mutation{Op: api.OpUnlink, Node: n.ID, Parent: parent.ID, Name: path[len(path)-1], Time: 1}
		if n.Type == api.Directory {
			m.Op = api.OpRmdir
		}
		s.home.number++
		c, err := s.home.Commit(t.Context(), api.Batch{Incarnation: s.home.incarnation, Number: s.home.number, Mutations: []api.Mutation{m}})
		if err != nil || c.Outcomes[0].Status != api.Applied {
			t.Fatalf("remove %s: %v %+v", p, err, c.Outcomes)
		}
	}
}

// TestShareByAddress: an owner is told by which addresses he shared, and of no other address; who has no name is told by
// his address to those with whom he shares by name, and to nobody else.
func TestShareByAddress(t *testing.T) {
	s := newSharing(t)
	address := func(c Caller) string { return c.User.String() + "@example.org" }
	carol := s.user(t, "editor")
	if err := s.home.ShareWith(t.Context(), names(t, "shared"), s.bob.User, strings.ToUpper(address(s.bob)), api.MayRead); err != nil {
		t.Fatal(err)
	}
	s.grant(t, "shared", carol.User.String(), "read", "list")
	if err := s.home.ShareWith(t.Context(), names(t, "shared2"), carol.User, address(s.bob), api.MayRead); api.KindOf(err) != api.NotFound {
		t.Errorf("by another one's address: %v", err)
	}
	all, err := s.home.Shares(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("%v, %v", all, err)
	}
	for _, g := range all {
		want := ""
		if g.UserID == s.bob.User.String() {
			want = address(s.bob)
		}
		if g.Address != want {
			t.Errorf("%s is told as %q, want %q", g.UserID, g.Address, want)
		}
	}
	for _, who := range []Caller{s.bob, carol, s.admin} {
		if n, state := s.sql(t, who.User, `SELECT * FROM satchel.grant_addresses($1)`, s.home.ID()); n != 0 || state != "" {
			t.Errorf("another one is told of %d addresses, %s", n, state)
		}
		if _, state := s.sql(t, who.User, `SELECT satchel.address_grant($1, $2, $3, $4)`, s.home.ID(), s.home.Root(), s.bob.User, address(s.bob)); state != "42501" {
			t.Errorf("another one says whom a grant is to: %q", state)
		}
	}
	s.grant(t, "six", api.Authenticated, "read")
	for who, want := range map[Caller][]string{s.bob: {"shared " + address(s.alice), "six "}, carol: {"shared " + address(s.alice), "six "}, s.user(t, "editor"): {"six "}} {
		theirs, err := s.SharedWith(t.Context(), who)
		var got []string
		for _, x := range theirs {
			got = append(got, string(x.Name)+" "+x.Address)
		}
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("shared with one of them is %q, %v; want %q", got, err, want)
		}
	}
}

// Sharing at a level is that level, whatever there was before; at none it is over.
func TestShareWithIsExact(t *testing.T) {
	s := newSharing(t)
	path := []api.Name{"shared"}
	for _, p := range []api.Permissions{api.MayRead, api.AllPermissions, api.MayWrite, api.MayRead, 0} {
		if err := s.home.ShareWith(t.Context(), path, s.bob.User, "", p); err != nil {
			t.Fatal(err)
		}
		var got api.Permissions
		grants, err := s.home.Grants(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range grants {
			if g.UserID == s.bob.User.String() && g.Path == "/shared" {
				got |= g.Permissions
			}
		}
		if got != p {
			t.Errorf("he has %q, not %q", got.Names(), p.Names())
		}
	}
	if err := s.home.ShareWith(t.Context(), path, s.bob.User, "", 0); api.KindOf(err) != api.NotFound {
		t.Errorf("the end of what is not shared: %v", err)
	}
	if err := s.home.ShareWith(t.Context(), path, api.NewID(), "", api.MayRead); api.KindOf(err) != api.NotFound {
		t.Errorf("with nobody: %v", err)
	}
	if err := s.home.ShareWith(t.Context(), []api.Name{"nothing"}, s.bob.User, "", api.MayRead); api.KindOf(err) != api.NotFound {
		t.Errorf("nothing: %v", err)
	}
	s.grant(t, "shared", s.bob.User.String(), "read", "list")
	if err := s.open(t, s.bob).ShareWith(t.Context(), path, s.admin.User, "", api.MayRead); api.KindOf(err) != api.Permission {
		t.Errorf("by a guest: %v", err)
	}
}

// An id in capitals is the same one.
func TestGrantsByIDsInCapitals(t *testing.T) {
	s := newSharing(t)
	g := api.Grant{Path: "shared", UserID: strings.ToUpper(s.bob.User.String()), Permissions: api.PermRead | api.PermList}
	if err := s.home.Grant(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if got, err := s.home.Grants(t.Context()); err != nil || len(got) != 1 || got[0].UserID != s.bob.User.String() {
		t.Errorf("granted %+v, %v", got, err)
	}
	if err := s.home.Revoke(t.Context(), g); err != nil {
		t.Errorf("revoke: %v", err)
	}
	if got, err := s.home.Grants(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("left %+v, %v", got, err)
	}
}
