package storage

import (
	"bytes"
	"testing"
	"time"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/storage/postgres"
)

// A server that stood still between a pack's object and its rows has it sent again: the object may be gone.
func TestPackOfAServerThatStoodStill(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	bob := w.user(t, "editor")
	p, _ := api.ParsePermissions([]string{"read", "list", "write"})
	if err := d.Grant(t.Context(), api.Grant{Path: "/", UserID: bob.User.String(), Permissions: p}); err != nil {
		t.Fatal(err)
	}
	guest, err := w.Drive(t.Context(), bob, d.ID())
	if err != nil {
		t.Fatal(err)
	}
	add := func(d *Drive, v *api.Version, p storedPack) error { return d.addPack(t.Context(), p) }
	put := func(d *Drive, v *api.Version, p storedPack) error {
		_, _, err := d.commitVersion(t.Context(), names(t, "file"), *v, &p, PutOptions{})
		return err
	}
	for name, way := range map[string]struct {
		d    *Drive
		make func(*Drive, *api.Version, storedPack) error
	}{
		"a pack": {d.Drive, add}, "a file": {d.Drive, put}, "a guest's pack": {guest, add}, "a guest's file": {guest, put},
	} {
		t.Run(name, func(t *testing.T) {
			var pack chunk.PackWriter
			content := append(random(1000), name...)
			v := versionOf(t, content)
			if err := pack.Add(v.Chunks[0].Hash, content); err != nil {
				t.Fatal(err)
			}
			for _, test := range []struct {
				age  time.Duration
				want api.Kind
			}{
				{postgres.KnownWithin + time.Minute, api.Unavailable},
				{postgres.KnownWithin / 2, ""}, // or the server's clock is behind by that
			} {
				stored, err := way.d.storePack(t.Context(), bytes.NewReader(pack.Bytes()))
				if err != nil {
					t.Fatal(err)
				}
				stored.Came = stored.Came.Add(-test.age)
				if err := way.make(way.d, v, stored); api.KindOf(err) != test.want {
					t.Errorf("when it came %v ago: %v", test.age, err)
				}
				if n := d.missing(t, v); (n > 0) != (test.want != "") {
					t.Errorf("when it came %v ago %d chunks are asked for", test.age, n)
				}
			}
		})
	}
}
