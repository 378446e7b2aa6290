package serve

import (
	"testing"

	"satchel/api"
)

// One owner leaves room to the others, in however many lists he has his part.
func TestRoomHasSomeForOthers(t *testing.T) {
	r := NewRoom(8, 4)
	is := func(s *Share, pieces int, want api.Kind) {
		t.Helper()
		err := s.Grow(pieces * Piece)
		if err == nil && want != "" || err != nil && api.KindOf(err) != want {
			t.Errorf("%d pieces more: %v, and not %q", pieces, err, want)
		}
	}
	all := Share{Room: r, Owner: "a"}
	is(&all, 4, "")
	is(&all, 1, api.TooLarge)
	all.Close()
	first, second, third := Share{Room: r, Owner: "a"}, Share{Room: r, Owner: "a"}, Share{Room: r, Owner: "a"}
	is(&first, 3, "")
	is(&second, 1, "")
	is(&third, 1, api.Unavailable)
	third.Close()
	other, stranger := Share{Room: r, Owner: "b"}, Share{Room: r, Owner: "c"}
	is(&other, 3, "")
	is(&stranger, 2, api.Unavailable) // there is one
	stranger.Close()
	first.Close()
	is(&third, 3, "")
	for _, s := range []*Share{&second, &third, &other} {
		s.Close()
	}
	if r.Left() != 8 || len(r.of) != 0 {
		t.Errorf("%d pieces of 8 are free, and %v", r.Left(), r.of)
	}
}
