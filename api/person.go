package api

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxPersonName is the longest name of a person in bytes.
const MaxPersonName = 200

// misleading are the characters by which a name could be taken for more than one: for an address, a path, or the end of a quotation.
const misleading = "@＠﹫/／⁄∕<>\""

// CheckPersonName tells whether somebody may call himself so. Others read it beside what he shares with them, so it
// must be text of one line that does not turn the text after it around; "" is no name and may be. The error is [Invalid]. Accounts may have
// names from before this rule, and names that look like an address: [Person] shows them as what they are.
func CheckPersonName(name string) error {
	switch {
	case len(name) > MaxPersonName:
		return Errorf(Invalid, "the name has %d bytes; at most %d are allowed", len(name), MaxPersonName)
	case !utf8.ValidString(name), strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
	}):
		return Errorf(Invalid, "the name has characters that are not text")
	}
	return nil
}

// PlainPersonName tells whether a name that somebody chose can be taken for nothing else, so that it may stand alone, be part of a
// path, and mean him in a command.
func PlainPersonName(name string) bool {
	return name != "" && CheckPersonName(name) == nil && !strings.ContainsAny(name, misleading)
}

// Person is who somebody is, for people: by the name that he chose and by his address, as far as they are known.
// A name that could be mistaken for more than that is in quotes.
func Person(name, email string) string {
	switch {
	case name == "":
		return email
	case !PlainPersonName(name):
		name = strconv.Quote(name)
	}
	if email == "" {
		return name
	}
	return name + " <" + email + ">"
}
