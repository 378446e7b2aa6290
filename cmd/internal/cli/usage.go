package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/alecthomas/kong"
)

// Usage is what is wrong with a command line, as kong's parser tells it, and where to read on.
func Usage(program string, err error) string {
	message, next := err.Error(), ""
	if e, ok := errors.AsType[*kong.ParseError](err); ok && e.Context != nil {
		at := e.Context.Selected()
		if at == nil {
			at = e.Context.Model.Node
		}
		if rest, ok := strings.CutPrefix(message, "unexpected argument "); ok {
			word, _, _ := strings.Cut(rest, ", did you mean")
			if at.Parent != nil && at.Parent.DefaultCmd == at {
				at = at.Parent // which was not asked for by its name
			}
			message = unexpected(at, word)
		}
		if word := dashed(message, at, e.Context.Args); word != "" {
			message, _, _ = strings.Cut(message, ", did you mean")
			next = "\nif it is a name, write it after --: " + strings.TrimSpace(program+" "+at.Path()) + " -- " + word
		}
		next += readOn(program, at)
		if file, ok := errors.AsType[*fs.PathError](err); ok { // only the configuration is read while parsing
			message = fmt.Sprintf("the configuration file %s, which --config or %s_CONFIG names: %v", file.Path, strings.ToUpper(program), file.Err)
		}
	}
	if next == "" {
		next = "\nsee: " + program + " --help"
	}
	return message + next
}

// dashed is the word that was taken for a flag which there is not, if it may have been meant as a name that a
// command takes; "" else.
func dashed(message string, at *kong.Node, args []string) string {
	flag, ok := strings.CutPrefix(message, "unknown flag ")
	flag, _, like := strings.Cut(flag, ", did you mean")
	if !ok || len(at.Positional) == 0 || like && strings.HasPrefix(flag, "--") { // one letter is like any other
		return ""
	}
	for _, word := range args {
		if word == flag || !strings.HasPrefix(flag, "--") && strings.HasPrefix(word, flag) { // -phone begins with the flag -p
			return word
		}
	}
	return ""
}

// readOn is a message's line that names the help of a command.
func readOn(program string, at *kong.Node) string {
	return "\nsee: " + strings.TrimSpace(program+" "+at.Path()) + " --help"
}

// unexpected says what is wrong with a word that a command does not take.
func unexpected(at *kong.Node, word string) string {
	if len(at.Children) == 0 {
		return fmt.Sprintf("%q is one argument too many", word)
	}
	path := func(name string) string { return strings.TrimSpace(at.Path() + " " + name) }
	best, distance := "", max(1, len(word)/3) // further off it is another word
	for _, child := range at.Children {
		if d := editDistance(word, child.Name); !child.Hidden && d <= distance && (best == "" || d < distance) {
			best, distance = child.Name, d
		}
	}
	if what := whatHelpNames(at, word); what != "" {
		best = what
	}
	message := fmt.Sprintf("there is no command %q", path(word))
	if best != "" {
		message += fmt.Sprintf("; did you mean %s?", path(best))
	}
	return message
}

// whatHelpNames is the command in whose help alone a word is, as "versions" in that of history; "" if there is none.
func whatHelpNames(at *kong.Node, word string) (name string) {
	for _, child := range at.Children {
		words := strings.FieldsFunc(strings.ToLower(child.Help), func(r rune) bool { return !unicode.IsLetter(r) })
		switch {
		case child.Hidden || !slices.Contains(words, word):
		case name != "":
			return ""
		default:
			name = child.Name
		}
	}
	return name
}

// editDistance is how many bytes have to be added, removed, replaced or exchanged with the next one to make b of a
// (the optimal string alignment distance).
func editDistance(a, b string) int {
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}

// Durations reads lengths of time, and says how they are written. None at all is refused, since it would be taken for one
// that was not given, but for flags whose tag has `zero:""`: what 0 means their help says.
func Durations() kong.Option {
	return kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		text := ctx.Scan.Pop().String() // also what begins with a dash, as -1h does
		d, err := time.ParseDuration(text)
		switch zero := ctx.Value.Tag.Has("zero"); {
		case err != nil || d < 0 && zero:
			return fmt.Errorf("%q is not a length of time: write it as 30s, 5m or 8h", text)
		case d <= 0 && !zero:
			return fmt.Errorf("%q is over before it begins: write more than 0, such as 30s, 5m or 8h, or leave --%s out", text, ctx.Value.Name)
		}
		target.SetInt(int64(d))
		return nil
	}))
}
