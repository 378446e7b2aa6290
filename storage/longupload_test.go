package storage

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"satchel/api"
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

// Content that takes days to arrive is whole in the end: what came first is not taken for garbage meanwhile.
func TestUploadOfDays(t *testing.T) {
	defer func(was time.Duration) { spareEvery = was }(spareEvery)
	spareEvery = 0
	k := newKept(t)
	alice, bob := k.user(t, "editor"), k.user(t, "editor")
	home := k.home(t, alice)
	home.store(t, "shared/file", "content")
	write, err := api.ParsePermissions([]string{"list", "read", "write", "mkdir"})
	if err == nil {
		err = home.Grant(t.Context(), api.Grant{Path: "shared", UserID: bob.User.String(), Permissions: write})
	}
	if err != nil {
		t.Fatal(err)
	}
	guest, err := k.Drive(t.Context(), bob, home.ID())
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string]*Drive{"owner": home.Drive, "guest": guest} {
		var content []byte
		body := &slow{between: func() { // a day, and garbage is collected
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
		}}
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
