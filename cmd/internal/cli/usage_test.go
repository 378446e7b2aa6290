package cli

import "testing"

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "ls", 2}, {"status", "status", 0}, {"stauts", "status", 1}, {"mout", "mount", 1}, {"mounts", "mount", 1},
		{"fly", "ls", 2}, {"ab", "ba", 1}, {"kitten", "sitting", 3},
	} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("%q and %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
