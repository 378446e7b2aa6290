package main

import (
	"strings"
	"testing"

	"satchel/api"
)

// What others call themselves and their things is one name of a directory here.
func TestTheirName(t *testing.T) {
	long := strings.Repeat("é", 200)
	for want, theirs := range map[string]api.Theirs{
		"Photos":                       {Name: "Photos", From: "Eve"},
		"All files of Eve":             {From: "Eve"},
		"All files of somebody":        {},
		"All files of x_.._.ssh":       {From: "x/../.ssh"},
		".._.._etc":                    {Name: "../../etc"},
		"_..":                          {Name: ".."},
		"a_b":                          {Name: "a\x00b"},
		"All files of " + long[:2*121]: {From: long},
	} {
		got := theirName(theirs)
		if err := api.Name(got).Check(); got != want || err != nil {
			t.Errorf("%+v is called %q, %v; want %q", theirs, got, err, want)
		}
	}
}
