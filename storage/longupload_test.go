package storage

import (
	"bytes"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"satchel/api"
	"satchel/api/chunk"
)

// slow is content that arrives in parts, with something done before all but the first of them.
type slow struct {
	parts   [][]byte
	between func()
}

func (s *slow) Read(b []byte) (int, error) {
	for len(s.parts[0]) == 0 {
		if s.parts = s.parts[1:]; len(s.parts) == 0 {
			return 0, io.EOF
		}
		s.between()
	}
	n := copy(b, s.parts[0])
	s.parts[0] = s.parts[0][n:]
	return n, nil
}

// sharing is a drive, and the same for a guest who may write in its folder "shared".
func (k *kept) sharing(t *testing.T) (home *drive, guest *Drive) {
	t.Helper()
	alice, bob := k.user(t, "editor"), k.user(t, "editor")
	home = k.home(t, alice)
	home.store(t, "shared/file", "content")
	write, err := api.ParsePermissions([]string{"list", "read", "write", "mkdir"})
	if err == nil {
		err = home.Grant(t.Context(), api.Grant{Path: "shared", UserID: bob.User.String(), Permissions: write})
	}
	if err != nil {
		t.Fatal(err)
	}
	guest, err = k.Drive(t.Context(), bob, home.ID())
	if err != nil {
		t.Fatal(err)
	}
	return home, guest
}

// aDay lets a day pass, and garbage is collected.
func (k *kept) aDay(t *testing.T) {
	t.Helper()
	for _, q := range []string{
		`UPDATE satchel.packs SET created = created - interval '25 hours'`,
		`UPDATE satchel.condemned SET at = at - interval '25 hours'`,
		`UPDATE satchel.guest_chunks SET at = at - interval '25 hours'`,
	} {
		if _, err := k.admin.Exec(t.Context(), q); err != nil {
			t.Error(err)
		}
	}
	k.upkeep(t)
}

// Content that takes days to arrive is whole in the end: what came first is not taken for garbage meanwhile.
func TestUploadOfDays(t *testing.T) {
	defer func(was time.Duration) { spareEvery = was }(spareEvery)
	spareEvery = 0
	k := newKept(t)
	home, guest := k.sharing(t)
	for name, d := range map[string]*Drive{"owner": home.Drive, "guest": guest} {
		var content []byte
		body := &slow{between: func() { k.aDay(t) }}
		for range 12 { // longer than the database remembers what a guest sent
			part := make([]byte, 9<<20) // more than a pack
			rand.NewChaCha8([32]byte{byte(len(content) >> 20), name[0]}).Read(part)
			body.parts = append(body.parts, part)
			content = append(content, part...)
		}
		node, _, err := d.Put(t.Context(), names(t, "shared/"+name), body, PutOptions{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := home.once(t, node.ID, node.Version); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes of %d: %v", name, len(got), len(content), err)
		}
	}
}

// So is what a device sends in packs for days: it asks for all of it again now and then.
func TestPacksOfDays(t *testing.T) {
	k := newKept(t)
	home, guest := k.sharing(t)
	dir := home.lookup(t, "shared")
	for name, d := range map[string]*Drive{"owner": home.Drive, "guest": guest} {
		var content []byte
		v := &api.Version{ID: api.NewID()}
		offers := chunk.Offers{Every: 1, Missing: func(hashes []api.Hash) ([]api.Hash, error) { return d.Missing(t.Context(), hashes) }}
		for i := range 12 {
			if i > 0 {
				k.aDay(t)
			}
			part := make([]byte, 1<<20)
			rand.NewChaCha8([32]byte{byte(i), name[0]}).Read(part)
			c := api.Chunk{Hash: sha256.Sum256(part), Size: uint32(len(part))}
			if _, err := offers.Add(c.Hash); err != nil {
				t.Fatal(err)
			}
			missing, err := d.Missing(t.Context(), []api.Hash{c.Hash})
			if err != nil || len(missing) != 1 {
				t.Fatalf("%s, part %d: missing %d, %v", name, i, len(missing), err)
			}
			var w chunk.PackWriter
			if err := w.Add(c.Hash, part); err != nil {
				t.Fatal(err)
			}
			if _, _, err := d.PutPack(t.Context(), bytes.NewReader(w.Bytes())); err != nil {
				t.Fatal(err)
			}
			content, v.Chunks = append(content, part...), append(v.Chunks, c)
		}
		v.Size, v.SHA256 = int64(len(content)), sha256.Sum256(content)
		node := api.NewID()
		mode := uint32(0o644)
		made := api.Mutation{Op: api.OpCreate, Node: node, Parent: dir.ID, Name: api.Name(name), Time: 1, Version: v, Attr: &api.Attr{Type: api.File, Mode: &mode}}
		c, err := d.Commit(t.Context(), api.Batch{Incarnation: api.NewID(), Number: 1, Mutations: []api.Mutation{made}})
		if err != nil || c.Outcomes[0].Status != api.Applied {
			t.Errorf("%s: %+v, %v", name, c.Outcomes, err)
			continue
		}
		if got, err := home.once(t, node, v.ID); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes of %d: %v", name, len(got), len(content), err)
		}
	}
}
