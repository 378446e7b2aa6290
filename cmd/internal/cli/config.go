package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// config is defaults of flags, by the flag's name: below the command line and
// the environment, above the built-in ones.
type config map[string]any

// ReadConfig reads a configuration file: lines of `flag = value` with comments after #, or one JSON
// object. A flag is named as on the command line, without the dashes before.
func ReadConfig(r io.Reader) (kong.Resolver, error) {
	b, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(string(b))
	values := config{}
	if strings.HasPrefix(text, "{") {
		var object map[string]any
		if err := json.Unmarshal([]byte(text), &object); err != nil {
			return nil, fmt.Errorf("not a JSON object: %w", err)
		}
		for name, value := range object {
			values[flagName(name)] = value
		}
		return values, nil
	}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("line %d is not `flag = value`", i+1)
		}
		values[flagName(strings.TrimSpace(name))] = strings.Trim(strings.TrimSpace(value), `"`)
	}
	return values, nil
}

func flagName(s string) string { return strings.ReplaceAll(s, "_", "-") }

// Validate refuses names that no command has, since a misspelt one would be
// silently without effect.
func (c config) Validate(app *kong.Application) error {
	known := map[string]bool{}
	var collect func(n *kong.Node)
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
	if slices.ContainsFunc(flag.Envs, func(name string) bool { return os.Getenv(name) != "" }) {
		return nil, nil
	}
	return c[flag.Name], nil
}
