// Package gitignore tells which paths .gitignore files exclude, as
// gitignore(5) has it.
package gitignore

import (
	"path"
	"strings"
)

// Rules are those of the .gitignore files on the way to a path. The zero value
// excludes nothing. It is not safe for concurrent use while it is added to.
type Rules struct{ rules []rule }

type rule struct {
	base     string // the directory of the file that has it, with a slash at its end; "" is the root
	segments []string
	anchored bool // it is about paths from base on, not about names
	dirOnly  bool
	negated  bool
}

// Add adds a .gitignore file of a directory (names joined by slashes, "" for
// the root). Files nearer to a path count for more, so they are added later.
func (r *Rules) Add(dir, text string) {
	if dir != "" {
		dir += "/"
	}
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		for strings.HasSuffix(line, " ") && !strings.HasSuffix(line, `\ `) {
			line = line[:len(line)-1]
		}
		if line == "" || line[0] == '#' {
			continue
		}
		one := rule{base: dir}
		if one.negated = line[0] == '!'; one.negated {
			line = line[1:]
		}
		if one.dirOnly = strings.HasSuffix(line, "/"); one.dirOnly {
			line = strings.TrimSuffix(line, "/")
		}
		one.anchored = strings.Contains(line, "/")
		if line = strings.TrimPrefix(line, "/"); line == "" {
			continue
		}
		one.segments = strings.Split(line, "/")
		r.rules = append(r.rules, one)
	}
}

// Excludes tells whether the rules exclude a path, and so what is below it. It
// looks at the path itself: who walks down asks for each directory on the way.
func (r *Rules) Excludes(p string, isDir bool) bool {
	for i := len(r.rules) - 1; i >= 0; i-- {
		one := r.rules[i]
		below, ok := strings.CutPrefix(p, one.base)
		if !ok || one.dirOnly && !isDir {
			continue
		}
		if !one.anchored {
			below = path.Base(below)
		}
		if matches(one.segments, strings.Split(below, "/")) {
			return !one.negated
		}
	}
	return false
}

// matches compares a pattern with a path, name by name; ** is any number of them.
func matches(pattern, names []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			if len(pattern) == 1 {
				return len(names) > 0
			}
			for i := range names {
				if matches(pattern[1:], names[i:]) {
					return true
				}
			}
			return false
		}
		if len(names) == 0 {
			return false
		}
		if ok, err := path.Match(strings.ReplaceAll(pattern[0], "[!", "[^"), names[0]); !ok || err != nil {
			return false
		}
		pattern, names = pattern[1:], names[1:]
	}
	return len(names) == 0
}
