package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// config is defaults of flags by name: below the command line and the
// environment, above the built-in ones.
type config map[string]string

// readConfig reads lines of `flag = value`; # begins a comment. A flag is
// named as on the command line, without the dashes before it.
func readConfig(r io.Reader) (kong.Resolver, error) {
	values := config{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("line %d is not `flag = value`", n)
		}
		values[strings.ReplaceAll(strings.TrimSpace(name), "_", "-")] = strings.Trim(strings.TrimSpace(value), `"`)
	}
	return values, lines.Err()
}

// Validate refuses names that no command has: a misspelt one would be
// without effect.
func (c config) Validate(app *kong.Application) error {
	known := map[string]bool{}
	var collect func(*kong.Node)
	collect = func(n *kong.Node) {
		for _, flag := range n.Flags {
			known[flag.Name] = true
		}
		for _, child := range n.Children {
			collect(child)
		}
	}
	collect(app.Node)
	for name := range c {
		if !known[name] || name == "config" || name == "help" {
			return fmt.Errorf("the configuration file sets %q, which is no flag", name)
		}
	}
	return nil
}

// Resolve gives a flag its value unless the environment does.
func (c config) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	value, ok := c[flag.Name]
	if !ok || slices.ContainsFunc(flag.Envs, func(name string) bool { return os.Getenv(name) != "" }) {
		return nil, nil
	}
	return value, nil
}
