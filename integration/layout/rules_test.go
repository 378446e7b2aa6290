package layout

import "testing"

// The rules must be able to say no.
func TestRulesRefuse(t *testing.T) {
	for _, c := range []struct {
		folder, imported string
		ok               bool
	}{
		{"api", "fmt", true},
		{"api", "golang.org/x/sys/unix", false},
		{"api", "satchel/api/chunk", false},
		{"fusefs", "satchel/cache", true},
		{"fusefs", "satchel/api", true},
		{"fusefs", "satchel/api/client", false},
		{"cache", "satchel/storage", false},
		{"cache", "satchel/cache/replica", true},
		{"storage", "satchel/api/server", false},
		{"storage", "satchel/storage/postgres", true},
		{"api/server", "satchel/cmd/satcheld", false},
		{"api/server", "satchel/cache", false},
		{"cmd/satchel", "satchel/storage", false},
	} {
		if _, err := allowed(c.folder, c.imported); (err == nil) != c.ok {
			t.Errorf("%s importing %s: %v", c.folder, c.imported, err)
		}
	}
	for text, is := range map[string]bool{
		"SELECT id FROM nodes":             true,
		"SELECT set_config('a', $1, true)": true,
		"UPDATE drives SET seq = seq + 1":  true,
		"Select a file from the list":      false,
		"INSERT INTO x VALUES (1)":         true,
		"UPDATE your client":               false,
	} {
		if sqlText.MatchString(text) != is {
			t.Errorf("SQL in %q: %v", text, !is)
		}
	}
}
