package cli

import (
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"
)

// IsTerminal tells whether a person watches w.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Printable replaces what could steer a terminal. Names may have any bytes.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

// Style is a way to make text stand out.
type Style string

const (
	Good  Style = "\x1b[32m"
	Warn  Style = "\x1b[33m"
	Bad   Style = "\x1b[31m"
	Place Style = "\x1b[1;34m" // directories, as ls(1) shows them
)

// Colours tells whether text for w is coloured: on a terminal that can, unless
// NO_COLOR is set (no-color.org).
func Colours(w io.Writer) bool {
	return IsTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// Paint is text in a style where w shows colours, else the text.
func Paint(w io.Writer, style Style, text string) string {
	if !Colours(w) {
		return text
	}
	return string(style) + text + "\x1b[0m"
}
