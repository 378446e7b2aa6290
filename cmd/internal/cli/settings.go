package cli

import (
	"os"
	"strings"

	"github.com/alecthomas/kong"
)

// Settings gives each flag whose tag has `setting:""` a variable of the environment: the prefix and the flag's name,
// --s3-listen by PREFIX_S3_LISTEN. These alone may come from the environment and from the configuration file. All
// others say what a command shall do, which whoever types it has to say: a variable that was left over
// must not publish a file. A variable that is set to nothing is as one that is not set.
func Settings(prefix string) kong.Option {
	return kong.PostBuild(func(k *kong.Kong) error {
		eachFlag(k.Model.Node, func(f *kong.Flag) {
			if isSetting(f) && len(f.Envs) == 0 {
				name := prefix + "_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
				if value, set := os.LookupEnv(name); set && value == "" {
					return // kong would take it for the flag's value
				}
				f.Envs = []string{name}
				f.Value.Tag.Envs = f.Envs
			}
		})
		return nil
	})
}

func isSetting(f *kong.Flag) bool { return f.Tag.Has("setting") }

// eachFlag calls fn with each flag of a command and of those below it.
func eachFlag(n *kong.Node, fn func(*kong.Flag)) {
	for _, f := range n.Flags {
		fn(f)
	}
	for _, child := range n.Children {
		eachFlag(child, fn)
	}
}
