package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// A configuration file of lines means what the same values mean as JSON.
func FuzzReadConfig(f *testing.F) {
	for _, s := range []string{"", "listen = 127.0.0.1:7070\n# a comment\nopen_signup=true", `{"cors-origin": ["a","b"], "open_signup": true}`,
		"data = \"/var/lib\"\r\n", "no value", "{", "a=b=c", "=", `a = "`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		read := func(text string) (map[string]any, error) {
			r, err := ReadConfig(strings.NewReader(text))
			if err != nil {
				return nil, err
			}
			return r.(config), nil
		}
		values, err := read(text)
		if err != nil || !utf8.ValidString(text) { // which lines may hold, and JSON may not
			return
		}
		for name := range values {
			if strings.Contains(name, "_") {
				t.Fatalf("%q has the flag %q", text, name)
			}
		}
		again, err := json.Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		second, err := read(string(again))
		if err != nil {
			t.Fatalf("%q is %s as JSON: %v", text, again, err)
		}
		if third, err := json.Marshal(second); err != nil || string(third) != string(again) {
			t.Fatalf("%s became %s, %v", again, third, err)
		}
		if strings.HasPrefix(strings.TrimSpace(text), "{") {
			return
		}
		var lines strings.Builder
		for name, value := range values {
			if name == "" || strings.HasPrefix(name, "#") || strings.HasPrefix(name, "{") {
				return
			}
			fmt.Fprintf(&lines, "%s = \"%s\"\n", name, value)
		}
		if second, err = read(lines.String()); err != nil {
			t.Fatalf("%q was written as %q: %v", text, lines.String(), err)
		}
		if third, _ := json.Marshal(second); string(third) != string(again) {
			t.Fatalf("%q was written as %q, which is %s", text, lines.String(), third)
		}
	})
}
