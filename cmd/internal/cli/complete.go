package cli

import (
	"embed"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// CompleteWord is the first argument with which the shells' scripts ask the
// program itself what may follow: SHELL WORD…, the last being completed.
const CompleteWord = "__complete"

//go:embed completion
var scripts embed.FS

// Script is what a shell reads to complete a program's command line.
func Script(shell, program string) (string, error) {
	b, err := scripts.ReadFile("completion/" + shell)
	return strings.ReplaceAll(string(b), "PROGRAM", program), err
}

// Candidate is a word that may stand where the cursor is.
type Candidate struct{ Word, About string }

// Kinds of values that the shell itself completes.
const (
	Files = "file"
	Dirs  = "dir"
)

// Given is what is on the command line before the word that is completed.
type Given struct {
	Flags map[string]string
	Args  []string // of the command
}

// Values completes words of a kind that a command's struct names in a tag such
// as `complete:"device"`. An error means that there is nothing to offer.
type Values func(kind, word string, given Given) ([]Candidate, error)

// Complete answers a shell's script: lines of a word and, after a tab, what it is
// for; ":file" or ":dir" alone leaves it to the shell.
func Complete(w io.Writer, app *kong.Application, args []string, values Values) {
	if len(args) < 2 {
		return
	}
	words, strip := args[1:], ""
	if args[0] == "bash" {
		words, strip = joinAssignments(words)
	}
	c := &completion{node: app.Node, given: Given{Flags: map[string]string{}}, values: values}
	for _, word := range words[:len(words)-1] {
		c.pass(word)
	}
	for _, found := range c.candidates(words[len(words)-1]) {
		word := strings.TrimPrefix(found.Word, strip)
		if about, _, _ := strings.Cut(found.About, "\n"); about != "" {
			word += "\t" + about
		}
		fmt.Fprintln(w, word)
	}
}

// joinAssignments undoes that bash makes three words of --flag=value. What it
// completes then is the value alone: the rest is to be stripped.
func joinAssignments(words []string) (joined []string, strip string) {
	for i := 0; i < len(words); i++ {
		word := words[i]
		strip = ""
		if strings.HasPrefix(word, "--") && i+1 < len(words) && words[i+1] == "=" {
			word += "="
			strip = word
			if i++; i+1 < len(words) {
				i++
				word += words[i]
			}
		}
		joined = append(joined, word)
	}
	return joined, strip
}

// completion is where in the command line the cursor is.
type completion struct {
	node   *kong.Node
	given  Given
	open   *kong.Flag // waits for its value
	ended  bool       // by --: no flags follow
	values Values
}

func (c *completion) pass(word string) {
	switch {
	case c.open != nil:
		c.given.Flags[c.open.Name] = word
		c.open = nil
	case c.ended:
		c.given.Args = append(c.given.Args, word)
	case word == "--":
		c.ended = true
	case strings.HasPrefix(word, "-") && word != "-":
		name, value, given := strings.Cut(strings.TrimLeft(word, "-"), "=")
		f := c.flag(name)
		if f == nil {
			return
		}
		c.given.Flags[f.Name] = value
		if !given && !f.IsBool() && !f.IsCounter() {
			c.open = f
		}
	default:
		for _, child := range c.node.Children {
			if len(c.given.Args) == 0 && child.Name == word {
				c.node = child
				return
			}
		}
		c.given.Args = append(c.given.Args, word)
	}
}

func (c *completion) flag(name string) *kong.Flag {
	for n := c.node; n != nil; n = n.Parent {
		for _, f := range n.Flags {
			if f.Name == name || f.Short != 0 && string(f.Short) == name {
				return f
			}
		}
	}
	return nil
}

func (c *completion) candidates(word string) (found []Candidate) {
	offer := func(prefix string, all []Candidate) {
		for _, o := range all {
			if strings.HasPrefix(o.Word, ":") || strings.HasPrefix(prefix+o.Word, word) {
				found = append(found, Candidate{prefix + o.Word, o.About})
			}
		}
	}
	if c.open != nil {
		offer("", c.ofValue(c.open.Value, word))
		return found
	}
	if strings.HasPrefix(word, "-") && !c.ended {
		if name, value, ok := strings.Cut(strings.TrimLeft(word, "-"), "="); ok {
			if f := c.flag(name); f != nil {
				for _, o := range c.ofValue(f.Value, value) {
					if !strings.HasPrefix(o.Word, ":") {
						offer("--"+f.Name+"=", []Candidate{o})
					}
				}
			}
			return found
		}
		for n := c.node; n != nil; n = n.Parent {
			for _, f := range n.Flags {
				if !f.Hidden {
					offer("", []Candidate{{"--" + f.Name, f.Help}})
				}
			}
		}
		return found
	}
	args := len(c.given.Args)
	if args == 0 {
		for _, child := range c.node.Children {
			if !child.Hidden {
				offer("", []Candidate{{child.Name, child.Help}})
			}
		}
	}
	n := c.node
	if n.DefaultCmd != nil {
		n = n.DefaultCmd
	}
	if last := len(n.Positional) - 1; last >= 0 && (args <= last || n.Positional[last].IsCumulative()) {
		offer("", c.ofValue(n.Positional[min(args, last)], word))
	}
	return found
}

func (c *completion) ofValue(v *kong.Value, word string) (all []Candidate) {
	if v.Enum != "" {
		for _, e := range v.EnumSlice() {
			all = append(all, Candidate{Word: e})
		}
		return all
	}
	for kind := range strings.SplitSeq(v.Tag.Get("complete"), ",") {
		switch kind {
		case "":
		case Files, Dirs:
			all = append(all, Candidate{Word: ":" + kind})
		default:
			if more, err := c.values(kind, word, c.given); err == nil {
				all = append(all, more...)
			}
		}
	}
	return all
}
