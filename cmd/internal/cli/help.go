package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Examples are the command lines that a command's help shows, by its words
// after the program's name; "" is the program's own. Each is a line, with what
// it is for after a #.
type Examples map[string]string

// Option puts the examples into the help. A command that has none, and an
// example of a command that there is not, are errors.
func (e Examples) Option() kong.Option {
	return kong.PostBuild(func(k *kong.Kong) error {
		left := maps.Clone(e)
		for _, n := range append(k.Model.Leaves(true), k.Model.Node) {
			text, ok := left[n.Path()]
			if !ok {
				return fmt.Errorf("%s has no examples", n.FullPath())
			}
			delete(left, n.Path())
			if n.Detail != "" {
				n.Detail += "\n\n"
			}
			n.Detail += "Examples:\n\n" + columns(Lines(text), "    ")
		}
		if len(left) > 0 {
			return fmt.Errorf("there are examples of unknown commands: %q", slices.Sorted(maps.Keys(left)))
		}
		return nil
	})
}

// Example is a command line and what it is for.
type Example struct{ Line, For string }

// Lines reads examples.
func Lines(text string) (all []Example) {
	for line := range strings.Lines(strings.TrimSpace(text)) {
		line, what, _ := strings.Cut(line, " # ")
		all = append(all, Example{strings.TrimSpace(line), strings.TrimSpace(what)})
	}
	return all
}

// columns puts what examples are for beside them, one below the other, or,
// where that would be too wide, before them.
func columns(all []Example, indent string) string {
	wide, about := 0, 0
	for _, e := range all {
		wide, about = max(wide, len(e.Line)), max(about, len(e.For))
	}
	beside := wide+about <= maxBeside
	var b strings.Builder
	for _, e := range all {
		switch {
		case e.For == "":
			fmt.Fprintf(&b, "%s%s\n", indent, e.Line)
		case beside:
			fmt.Fprintf(&b, "%s%-*s  # %s\n", indent, wide, e.Line, e.For)
		default:
			fmt.Fprintf(&b, "%s# %s\n%s%s\n", indent, e.For, indent, e.Line)
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// maxBeside is how wide an example and what it is for may be together on a
// line of 80.
const maxBeside = 80 - 4 - len("  # ")
