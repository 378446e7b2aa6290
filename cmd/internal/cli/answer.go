package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// PrintJSON prints v for programs, indented so that people can read it too.
func PrintJSON(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	if err := out.Encode(v); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

// PrintList prints items: an array if inJSON, else a table with a row for each,
// whose cells are divided by tabs as those of the head are.
func PrintList[T any](w io.Writer, inJSON bool, items []T, head string, row func(T) string) error {
	if inJSON {
		if items == nil {
			items = []T{}
		}
		return PrintJSON(w, items)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, head)
	for _, item := range items {
		fmt.Fprintln(table, row(item))
	}
	return table.Flush()
}

// PrintFailure prints an error's message as an object on one line: "error" is what failed, its first line, "kind" is one of
// the API's, or "", and "next" what to do about it: the message's other lines, and next.
func PrintFailure(w io.Writer, message, kind, next string) {
	what, more, _ := strings.Cut(message, "\n")
	json.NewEncoder(w).Encode(struct {
		Error string `json:"error"`
		Kind  string `json:"kind,omitempty"`
		Next  string `json:"next,omitempty"`
	}{what, kind, strings.TrimSpace(more + "\n" + next)})
}
