package api

import (
	"path"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxName is the longest name in bytes (NAME_MAX).
const MaxName = 255

// MaxTarget is the longest target of a symlink in bytes (PATH_MAX less the NUL).
const MaxTarget = 4095

// Name is the raw bytes of one name in a directory: not empty, at most
// [MaxName] bytes, no slash, no NUL, neither "." nor "..". On the wire and in
// PostgreSQL it is text: see [Name.Escape].
type Name string

// Escaped bytes become code points from escapeBase on: byte 0x80 is
// U+10F780, byte 0xff U+10F7FF, the end of a private-use plane.
const (
	escapeBase  = 0x10F700
	escapeFirst = escapeBase + 0x80
	escapeLast  = escapeBase + 0xff
)

// Escape turns the name into valid UTF-8, reversibly: each byte that is not
// part of valid UTF-8 becomes one private-use code point, and so does each
// byte of those code points themselves. Valid names are unchanged.
func (n Name) Escape() string { return escape(string(n)) }

// Unescape reverses [Name.Escape].
func Unescape(s string) Name { return Name(unescape(s)) }

func escape(s string) string {
	if utf8.ValidString(s) && !strings.Contains(s, "\xf4\x8f\x9e") && !strings.Contains(s, "\xf4\x8f\x9f") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || r >= escapeFirst && r <= escapeLast {
			for _, c := range []byte(s[i : i+n]) {
				b.WriteRune(escapeBase + rune(c))
			}
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

func unescape(s string) string {
	if !strings.Contains(s, "\xf4\x8f\x9e") && !strings.Contains(s, "\xf4\x8f\x9f") {
		return s
	}
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r >= escapeFirst && r <= escapeLast {
			b = append(b, byte(r-escapeBase))
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b)
}

// MarshalText writes the escaped form.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.Escape()), nil }

// UnmarshalText reads the escaped form; it does not check the name.
func (n *Name) UnmarshalText(b []byte) error {
	*n = Unescape(string(b))
	return nil
}

// Check tells what is wrong with the name: [Invalid] or [NameTooLong].
func (n Name) Check() error {
	switch {
	case n == "":
		return Errorf(Invalid, "a name is empty")
	case n == "." || n == "..":
		return Errorf(Invalid, "%q is not allowed as a name", string(n))
	case len(n) > MaxName:
		return Errorf(NameTooLong, "the name %.40q… has %d bytes; at most %d are allowed", string(n), len(n), MaxName)
	case strings.ContainsAny(string(n), "/\x00"):
		return Errorf(Invalid, "the name %q has a slash or a NUL in it", string(n))
	}
	return nil
}

// Numbered is a name for one more thing that is to have this one: from the second on `2 name`, cut between runes where that is longer than [MaxName].
func (n Name) Numbered(i int) Name {
	if i < 2 {
		return n
	}
	number := strconv.Itoa(i) + " "
	most := MaxName - len(number)
	if len(n) <= most {
		return Name(number) + n
	}
	for k := most; k > most-utf8.UTFMax; k-- {
		if utf8.RuneStart(n[k]) {
			return Name(number) + n[:k]
		}
	}
	return Name(number) + n[:most] // it is not UTF-8
}

// ParsePath normalises a path of any API to its names: `a//b`, `/a/b` and
// `./a/b` are all a, b; the root has none. `..` and NUL are refused
// ([Invalid]), and names over [MaxName] bytes ([NameTooLong]). It is the only
// such function.
func ParsePath(p string) ([]Name, error) {
	var names []Name
	for _, s := range strings.Split(p, "/") {
		if s == "" || s == "." {
			continue
		}
		if err := Name(s).Check(); err != nil {
			return nil, err
		}
		names = append(names, Name(s))
	}
	return names, nil
}

// JoinPath is the normal form of a path: names joined by slashes.
func JoinPath(names []Name) string {
	s := make([]string, len(names))
	for i, n := range names {
		s[i] = string(n)
	}
	return path.Join(s...)
}
