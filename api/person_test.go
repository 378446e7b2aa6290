package api

import (
	"strings"
	"testing"
)

// A name is a name: nobody is taken for another because of what he calls himself.
func TestPerson(t *testing.T) {
	for _, c := range []struct{ name, email, want string }{
		{"", "", ""},
		{"", "ada@example.org", "ada@example.org"},
		{"Ada", "", "Ada"},
		{"Ada Lovelace", "ada@example.org", "Ada Lovelace <ada@example.org>"},
		{"O'Neill (Köln), 李", "o@example.org", "O'Neill (Köln), 李 <o@example.org>"},
		{"boss@example.org", "eve@example.org", `"boss@example.org" <eve@example.org>`},
		{"Boss <boss", "", `"Boss <boss"`},
		{"boss＠example.org", "", `"boss＠example.org"`},
		{"../x", "", `"../x"`},
		{"a\x1b[2Jb", "", `"a\x1b[2Jb"`},
		{"x\u202egro.elpmaxe", "", `"x\u202egro.elpmaxe"`},
	} {
		if got := Person(c.name, c.email); got != c.want {
			t.Errorf("%q at %q is %s, want %s", c.name, c.email, got, c.want)
		}
	}
	for name, plain := range map[string]bool{"": false, "Ada": true, "Ada Lovelace": true, "a@b": false, "../x": false, "a<b": false, "a\nb": false} {
		if PlainPersonName(name) != plain {
			t.Errorf("%q is plain: %v", name, !plain)
		}
	}
	for _, name := range []string{"", "Ada", "Ada  Lovelace", "Jean-Luc d'Aé", "علی\u200cرضا", "x<b>y</b>", "boss@example.org", strings.Repeat("é", MaxPersonName/2)} {
		if err := CheckPersonName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"a\nb", "a\x00", "a\x7f", "a\u0085b", "a\u202eb", "a\u2066b", "a\u2028b", "a\xff",
		strings.Repeat("x", MaxPersonName+1)} {
		if err := CheckPersonName(name); KindOf(err) != Invalid {
			t.Errorf("%q: %v", name, err)
		}
	}
}
