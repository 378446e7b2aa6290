package postgres

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"satchel/api"
)

// spelled is a part of a name in its composed form, and a regular expression of PostgreSQL that finds it in whatever case and form of
// Unicode it is written: empty for ASCII, of which a database knows the case under every collation. The part is empty if no name is so long.
func spelled(part string) (composed, expression string) {
	composed = norm.NFC.String(part)
	if utf8.RuneCountInString(composed) > api.MaxName {
		return "", ""
	}
	var b strings.Builder
	ascii := true
	for _, r := range composed {
		ascii = ascii && r < utf8.RuneSelf
		spellRune(&b, r)
	}
	if ascii {
		return composed, ""
	}
	return composed, b.String()
}

// spellRune writes an expression for one character. One with marks may be a code point, a letter with the marks after it (as macOS
// writes names), or a letter that has one of them in it, and the others after it (as Vietnamese is typed).
func spellRune(b *strings.Builder, r rune) {
	letter := []rune(norm.NFD.String(string(r)))
	if len(letter) == 1 {
		spellCase(b, r)
		return
	}
	b.WriteString("(?:")
	spellCase(b, r)
	for i, mark := range letter[1:] {
		others := append(append([]rune(nil), letter[1:1+i]...), letter[2+i:]...)
		b.WriteByte('|')
		spellCase(b, letter[0])
		b.WriteRune(mark)
		b.WriteString(string(others))
		if composed := []rune(norm.NFC.String(string([]rune{letter[0], mark}))); len(composed) == 1 && len(others) > 0 {
			b.WriteByte('|')
			spellCase(b, composed[0])
			b.WriteString(string(others))
		}
	}
	b.WriteByte(')')
}

// spellCase writes an expression for a code point in every case.
func spellCase(b *strings.Builder, r rune) {
	if unicode.SimpleFold(r) == r {
		if r < utf8.RuneSelf && !unicode.IsDigit(r) {
			b.WriteByte('\\') // it may mean something
		}
		b.WriteRune(r)
		return
	}
	b.WriteByte('[')
	b.WriteRune(r)
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		b.WriteRune(other)
	}
	b.WriteByte(']')
}
