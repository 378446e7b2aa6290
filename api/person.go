package api

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxPersonName is the longest name of a person in bytes.
const MaxPersonName = 200

// inAddresses are the characters by which a name could be taken for an address or a path: @ and / and what looks like them.
const inAddresses = "@＠﹫/／⁄∕"

// CheckPersonName tells whether somebody may call himself so. Others read it beside what he shares with them, so it
// must be text of one line that can't be taken for an e-mail address or a path, nor turn the text after it around; "" is no name and
// may be. The error is [Invalid]. Accounts may have names from before this rule: [Person] shows them.
func CheckPersonName(name string) error {
	switch {
	case len(name) > MaxPersonName:
		return Errorf(Invalid, "the name has %d bytes; at most %d are allowed", len(name), MaxPersonName)
	case !utf8.ValidString(name), strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
	}):
		return Errorf(Invalid, "the name has characters that are not text")
	case strings.ContainsAny(name, inAddresses):
		return Errorf(Invalid, "a name may not have @ or /, by which others could take it for an address or a path")
	}
	return nil
}

// Person is who somebody is, for people: by the name that he chose and by his address, as far as they are known.
// A name that could be mistaken for more than that is in quotes.
func Person(name, email string) string {
	switch {
	case name == "":
		return email
	case CheckPersonName(name) != nil || strings.ContainsAny(name, `<>"`):
		name = strconv.Quote(name)
	}
	if email == "" {
		return name
	}
	return name + " <" + email + ">"
}
