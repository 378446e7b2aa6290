package main

import (
	"regexp"
	"slices"

	"github.com/alecthomas/kong"
)

// commandLine is a command of this program in a message to people, as it is for the default profile.
var commandLine = regexp.MustCompile(`(^|[^/\w-])satchel ([a-z][a-z-]*)`)

// hint is a message with the profile in each command of this program that it
// names, so that what it says to type can be typed.
func (sh *shell) hint(message string) string {
	if sh.profile == "" || sh.profile == "default" || sh.model == nil {
		return message
	}
	return commandLine.ReplaceAllStringFunc(message, func(found string) string {
		m := commandLine.FindStringSubmatch(found)
		is := func(n *kong.Node) bool { return n.Name == m[2] && m[2] != "helper" } // which is no profile's
		if !slices.ContainsFunc(sh.model.Children, is) {
			return found
		}
		return m[1] + "satchel --profile " + sh.profile + " " + m[2]
	})
}
