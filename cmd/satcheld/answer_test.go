package main

import (
	"encoding/json"
	"testing"
)

// inJSON runs a command with --json and reads what it prints.
func inJSON(t *testing.T, into any, args ...string) {
	t.Helper()
	out := must(t, "", append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Errorf("%q --json: %v\n%s", args, err, out)
	}
}
