package main

import (
	"fmt"
	"os"
	"reflect"
	"slices"

	"github.com/alecthomas/kong"
)

// given are the settings that a command's line or the environment gave, as flags for another process of this program. What the
// configuration file says it says to that one, too; --json is about the answer of this one.
func given(parsed *kong.Context) (flags []string) {
	typed := map[string]bool{}
	for _, p := range parsed.Path {
		if p.Flag != nil && !p.Resolved {
			typed[p.Flag.Name] = true
		}
	}
	for _, f := range parsed.Flags() {
		set := func(variable string) bool { return os.Getenv(variable) != "" }
		if f.Tag.Has("setting") && f.Name != "json" && (typed[f.Name] || slices.ContainsFunc(f.Envs, set)) {
			flags = append(flags, "--"+f.Name+"="+flagText(f.Target))
		}
	}
	return flags
}

// flagText is a flag's value as it is written.
func flagText(v reflect.Value) string {
	switch v := v.Interface().(type) {
	case size:
		return v.exact()
	case rate:
		return size(v).exact()
	default:
		return fmt.Sprint(v)
	}
}

// mounting are the arguments of this program that mount the drive at dir with the settings that this command was given. The flag how says
// who waits for it.
func (sh *shell) mounting(how, dir string) []string {
	return slices.Concat([]string{"mount", how}, sh.given, []string{"--", dir})
}
