package main

import (
	"slices"
	"strings"
	"unicode"

	"satchel/cmd/internal/cli"
)

// command is a command line of this program in a message to people, so that it can be typed as it stands: the command's
// words, with the profile before them if it is not the default one, and names as a shell and this program need them: what
// begins as a flag does stands after --.
func (sh *shell) command(words string, names ...string) string {
	return commandLine(sh.profile, words, names...)
}

// commandLine is [shell.command] for whoever has no shell.
func commandLine(profile, words string, names ...string) string {
	line := "satchel "
	if profile != "" && profile != "default" {
		line += "--profile " + profile + " "
	}
	line += words
	if slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, "-") }) {
		line += " --"
	}
	for _, name := range names {
		line += " " + quoted(name)
	}
	return line
}

// quoted is a name as one word of a shell's command line.
func quoted(name string) string {
	name = cli.Printable(name)
	plain := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("@%+=:,./_-", r)
	}
	if name != "" && strings.IndexFunc(name, func(r rune) bool { return !plain(r) }) < 0 {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}
