package extract

import (
	"bytes"
	"context"
	"io"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// fromHTML leaves out what a reader does not see: tags, scripts and styles.
func fromHTML(_ context.Context, content []byte) (string, error) {
	var c collector
	z := html.NewTokenizer(bytes.NewReader(content))
	hidden := atom.Atom(0)
	for !c.full() {
		switch z.Next() {
		case html.ErrorToken:
			if err := z.Err(); err != io.EOF {
				return c.String(), err
			}
			return c.String(), nil
		case html.StartTagToken:
			name, _ := z.TagName()
			if a := atom.Lookup(name); a == atom.Script || a == atom.Style {
				hidden = a
			}
			c.add(" ")
		case html.EndTagToken:
			name, _ := z.TagName()
			if atom.Lookup(name) == hidden {
				hidden = 0
			}
			c.add(" ")
		case html.TextToken:
			if hidden == 0 {
				c.add(string(z.Text()))
			}
		}
	}
	return c.String(), nil
}
