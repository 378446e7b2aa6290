package main

import (
	"strings"
	"testing"

	"satchel/api"
)

// What others call themselves and their things is one name of a directory here.
func TestTheirName(t *testing.T) {
	long := strings.Repeat("é", 200)
	for _, c := range []struct {
		theirs api.Theirs
		want   string
	}{
		{api.Theirs{Name: "Photos", From: "Eve"}, "Photos"},
		{api.Theirs{From: "Eve", FromEmail: "eve@example.org"}, "All files of Eve"},
		{api.Theirs{FromEmail: "eve@example.org"}, "All files of eve@example.org"},
		{api.Theirs{From: "boss@example.org", FromEmail: "eve@example.org"}, "All files of eve@example.org"},
		{api.Theirs{}, "All files of somebody"},
		{api.Theirs{From: "x/../.ssh"}, "All files of somebody"},
		{api.Theirs{FromEmail: `"x/../.ssh"@example.org`}, `All files of "x_.._.ssh"@example.org`},
		{api.Theirs{Name: "../../etc"}, ".._.._etc"},
		{api.Theirs{Name: ".."}, "_.."},
		{api.Theirs{Name: "a\x00b"}, "a_b"},
		{api.Theirs{Name: api.Name(long)}, long[:2*127]},
	} {
		got := theirName(c.theirs)
		if err := api.Name(got).Check(); got != c.want || err != nil {
			t.Errorf("%+v is called %q, %v; want %q", c.theirs, got, err, c.want)
		}
	}
}
