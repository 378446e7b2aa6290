package cli

import "runtime/debug"

// version is a release's, which `make dist` sets.
var version string

// Version is the release that this program is of; of one that was built otherwise the commit, where it is known, and else "dev".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return "dev " + s.Value
			}
		}
	}
	return "dev"
}

// AsksVersion tells whether a command line is --version alone, which people try first; it is the command version.
func AsksVersion(args []string) bool { return len(args) == 1 && args[0] == "--version" }
