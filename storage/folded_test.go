package storage

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"satchel/api"
)

// TestFoldedByTheDatabase: names that are folded alike are so by the database too, or the look for one would miss the other.
func TestFoldedByTheDatabase(t *testing.T) {
	w := newWorld(t)
	var names, others []string
	add := func(name, other string) {
		if other != name {
			names, others = append(names, api.Name(name).Escape()), append(others, api.Name(other).Escape())
		}
	}
	for r := rune(1); r <= unicode.MaxRune; r++ {
		if r == '/' || !utf8.ValidRune(r) {
			continue
		}
		for _, name := range []string{string(r), "A" + string(r) + "\u0301\u0345z"} {
			add(name, Folded(api.Name(name)))
			add(name, norm.NFD.String(name))
			add(name, norm.NFC.String(name))
			add(name, strings.ToUpper(Folded(api.Name(name))))
		}
	}
	alike := 0
	for i, name := range names {
		if Folded(api.Unescape(name)) == Folded(api.Unescape(others[i])) {
			names[alike], others[alike] = name, others[i]
			alike++
		}
	}
	var missed []string
	if err := w.admin.QueryRow(t.Context(), `
		SELECT array_agg(a || ' ' || b) FROM unnest($1::text[], $2::text[]) p (a, b) WHERE satchel.folded(a) <> satchel.folded(b)`,
		names[:alike], others[:alike]).Scan(&missed); err != nil {
		t.Fatal(err)
	}
	if alike < 20_000 || len(missed) > 0 {
		t.Errorf("of %d pairs the database has %d apart: %q", alike, len(missed), missed)
	}
}
