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

// matches compares a pattern with a path, name by name; ** is any number of them, at
// the end at least one. After a mismatch only the last ** takes one name more: whoever writes
// the rules may be a stranger, and trying all of them takes time without bound.
func matches(pattern, names []string) bool {
	p, n := 0, 0
	star, next := -1, 0 // the last **, and where its pattern goes on next time
	for n < len(names) {
		switch {
		case p < len(pattern) && pattern[p] == "**":
			if p == len(pattern)-1 {
				return true
			}
			star, next = p, n
			p++
		case p < len(pattern) && matchName(pattern[p], names[n]):
			p, n = p+1, n+1
		case star >= 0:
			next++
			p, n = star+1, next
		default:
			return false
		}
	}
	return p == len(pattern)
}

func matchName(pattern, name string) bool {
	ok, err := path.Match(strings.ReplaceAll(pattern, "[!", "[^"), name)
	return ok && err == nil
}
