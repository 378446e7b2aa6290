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

// config is settings, by the flag's name: below the command line and the
// environment, above what is built in.
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

// Validate refuses names that no setting has, since a misspelt one would be
// silently without effect.
func (c config) Validate(app *kong.Application) error {
	flags, settings := map[string]bool{}, map[string]bool{}
	eachFlag(app.Node, func(f *kong.Flag) {
		flags[f.Name] = true
		if isSetting(f) && f.Name != "config" {
			settings[f.Name] = true
		}
	})
	for name := range c {
		switch {
		case !flags[name]:
			return fmt.Errorf("the configuration file sets %q, which is no flag", name)
		case !settings[name]:
			return fmt.Errorf("the configuration file sets %q, which is for the command line only", name)
		}
	}
	return nil
}

// Resolve gives a setting its value unless the environment does. One name may be a setting of one
// command and what to do of another.
func (c config) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if !isSetting(flag) || slices.ContainsFunc(flag.Envs, func(name string) bool { return os.Getenv(name) != "" }) {
		return nil, nil
	}
	return c[flag.Name], nil
}
