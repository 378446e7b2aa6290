// Package everyday times a day's ordinary work in folders (many small files, a
// big one, git, grep, an editor's saves, a database) and compares them: what
// `satchel bench` and integration/bench print. It checks that the work was done.
package everyday
