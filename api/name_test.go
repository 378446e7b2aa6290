package api

import (
	"strings"
	"testing"
)

// A numbered name fits, is cut between runes where it can be, and is another one for each number.
func TestNumbered(t *testing.T) {
	long, odd := strings.Repeat("字", 85), strings.Repeat("\x80", 255)
	for _, c := range []struct {
		name string
		i    int
		want string
	}{
		{"letter", 1, "letter"},
		{"letter", 2, "2 letter"},
		{"letter", 10, "10 letter"},
		{long, 1, long},
		{long, 2, "2 " + long[:3*84]},
		{long, 1000, "1000 " + long[:3*83]},
		{long[:253], 2, "2 " + long[:253]},
		{odd, 2, "2 " + odd[:253]},
	} {
		got := Name(c.name).Numbered(c.i)
		if string(got) != c.want || got.Check() != nil {
			t.Errorf("%.20q, number %d: %q", c.name, c.i, got)
		}
	}
}
