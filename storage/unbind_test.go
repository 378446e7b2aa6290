package storage

import (
	"testing"

	"satchel/api"
)

// TestUnbindRemovesNothingButItsPlaceholder: the directory in which another one's showed goes with the bind if it is empty; what a device
// that was away saved there meanwhile stays.
func TestUnbindRemovesNothingButItsPlaceholder(t *testing.T) {
	s := newSharing(t)
	s.grant(t, "shared", s.bob.User.String(), "read", "list")
	theirs, err := s.home.Lookup(t.Context(), names(t, "shared"))
	if err != nil {
		t.Fatal(err)
	}
	d := s.world.home(t, s.bob)
	bind := func() api.ID {
		t.Helper()
		if _, err := s.BindShared(t.Context(), s.bob, s.home.ID(), theirs.ID, names(t, "Box")); err != nil {
			t.Fatal(err)
		}
		all, err := s.Bound(t.Context(), s.bob)
		if err != nil || len(all) != 1 {
			t.Fatalf("bound: %+v, %v", all, err)
		}
		return all[0].ID
	}
	unbind := func(id api.ID) {
		t.Helper()
		if err := s.Unbind(t.Context(), s.bob, id); err != nil {
			t.Fatal(err)
		}
		if all, err := s.Bound(t.Context(), s.bob); err != nil || len(all) != 0 {
			t.Fatalf("bound afterwards: %+v, %v", all, err)
		}
	}

	id := bind()
	if err := s.Unbind(t.Context(), s.alice, id); api.KindOf(err) != api.NotFound {
		t.Errorf("somebody else ends it: %v", err)
	}
	unbind(id)
	if _, err := d.Lookup(t.Context(), names(t, "Box")); api.KindOf(err) != api.NotFound {
		t.Errorf("the empty directory: %v", err)
	}
	if err := s.Unbind(t.Context(), s.bob, id); api.KindOf(err) != api.NotFound {
		t.Errorf("once more: %v", err)
	}

	id = bind()
	box, err := d.Lookup(t.Context(), names(t, "Box"))
	if err != nil {
		t.Fatal(err)
	}
	thesis := d.createFile(t, box.ID, "thesis", "years of work")
	if done := d.commit(t, thesis); done.Outcomes[0].Status != api.Applied {
		t.Fatalf("a device saves below the bind: %+v", done.Outcomes)
	}
	unbind(id)
	if got := d.read(t, "Box/thesis"); got != "years of work" {
		t.Errorf("what it saved is %q", got)
	}
}
