package clitest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// Documents parses each command line of a program in README.md and in docs/ (but for its design): in blocks of code, where they are whole, and
// in the text, where arguments may be left out.
func Documents(t *testing.T, program, checkout string, parse func(args []string) error) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(checkout, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(file string) bool { return filepath.Base(file) == "design.md" }) // tells of what nobody types
	seen := 0
	for _, file := range append(files, filepath.Join(checkout, "README.md")) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		blocks, texts := commandLines(string(b))
		for i, line := range append(blocks, texts...) {
			for _, words := range commandsOf(t, program, line) {
				seen++
				err := parse(words)
				if err != nil && i >= len(blocks) && partial.MatchString(err.Error()) {
					err = nil
				}
				if err != nil {
					t.Errorf("%s: %q: %v", filepath.Base(file), line, err)
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("the documents have %d commands of %s", seen, program)
	}
}

// Variables wants every variable of a program's that what people set it up with names to be one of its flags'.
func Variables(t *testing.T, app *kong.Application, prefix, checkout string) {
	t.Helper()
	known := map[string]bool{}
	for _, n := range append([]*kong.Node{app.Node}, app.Leaves(false)...) {
		for _, f := range n.Flags {
			for _, name := range f.Envs {
				known[name] = true
			}
		}
	}
	files := []string{"README.md", "docs/guide.md", "docs/operations.md", "docs/security.md", "docs/faq.md"}
	deployed, err := filepath.Glob(filepath.Join(checkout, "docs", "deploy", "*"))
	if err != nil || len(deployed) == 0 {
		t.Fatalf("nothing is in docs/deploy: %v", err)
	}
	for i := range files {
		files[i] = filepath.Join(checkout, files[i])
	}
	name := regexp.MustCompile(`\b` + prefix + `_[A-Z0-9_]*[A-Z0-9]`)
	for _, file := range append(files, deployed...) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range name.FindAllString(string(b), -1) {
			if !known[v] {
				t.Errorf("%s names %s, which is no flag's variable", filepath.Base(file), v)
			}
		}
	}
}

// partial is what the parser says of a command of which not all is said: the text speaks of it.
var partial = regexp.MustCompile(`^expected "|^expected one of |^missing `)

var (
	continued = regexp.MustCompile(`\\\n\s*`)
	comment   = regexp.MustCompile(`\s+#.*$`)
	code      = regexp.MustCompile("`([^`]+)`")
	space     = regexp.MustCompile(`\s+`)
)

// commandLines are the lines of a document's blocks of code, without prompts and comments, and the code in its text.
func commandLines(document string) (blocks, texts []string) {
	document = continued.ReplaceAllString(document, " ")
	var text strings.Builder
	fenced := false
	for line := range strings.Lines(document) {
		line = strings.TrimRight(line, "\n")
		indented, block := strings.CutPrefix(line, "    ")
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
		case fenced, block:
			if fenced {
				indented = line
			}
			blocks = append(blocks, strings.TrimPrefix(comment.ReplaceAllString(indented, ""), "$ "))
		default:
			text.WriteString(line + "\n")
		}
	}
	for _, m := range code.FindAllStringSubmatch(text.String(), -1) {
		texts = append(texts, space.ReplaceAllString(m[1], " "))
	}
	return blocks, texts
}

// commandsOf are the arguments of each call of a program in a line.
func commandsOf(t *testing.T, program, line string) (calls [][]string) {
	t.Helper()
	for _, one := range strings.FieldsFunc(line, func(r rune) bool { return r == ';' || r == '&' }) {
		if !strings.Contains(one, program+" ") {
			continue
		}
		parts, err := split(strings.TrimSpace(one))
		if err != nil {
			t.Errorf("%q: %v", line, err)
		}
		for _, words := range parts {
			if len(words) > 0 && words[0] == "sudo" {
				words = words[1:]
			}
			if len(words) > 1 && words[0] == program {
				calls = append(calls, words[1:])
			}
		}
	}
	return calls
}
