package private

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"satchel/api"
)

// binaries is an installed PostgreSQL.
type binaries struct {
	dir   string
	major int
}

func (b binaries) path(program string) string { return filepath.Join(b.dir, program) }

// oldest is the first major version that has all we use.
const oldest = 14

// findBinaries finds the PostgreSQL of a major version, or for 0 the one in
// PATH, or else the newest that the system's packages installed.
func findBinaries(major int) (binaries, error) {
	found := installed()
	for _, b := range found {
		if b.major == major || major == 0 && b.major >= oldest {
			return b, nil
		}
	}
	switch {
	case len(found) == 0:
		return binaries{}, api.Errorf(api.Invalid, "there is no PostgreSQL in PATH or /usr/lib/postgresql: install it (apt install postgresql), or give --database-url")
	case major == 0:
		return binaries{}, api.Errorf(api.Invalid, "the PostgreSQL %d in %s is too old: install version %d or newer, or give --database-url", found[0].major, found[0].dir, oldest)
	}
	return binaries{}, api.Errorf(api.Invalid,
		"the database was made by PostgreSQL %d, and only version %d is installed: install postgresql-%d beside it, or convert the database with pg_upgrade",
		major, found[0].major, major)
}

// installed lists what PATH and the system's packages offer, best first.
func installed() []binaries {
	var packaged []binaries
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/postgres", "/usr/pgsql-*/bin/postgres", "/usr/lib/postgresql*/bin/postgres"} {
		programs, _ := filepath.Glob(pattern) // the patterns are well-formed
		for _, p := range programs {
			if b, err := probe(p); err == nil {
				packaged = append(packaged, b)
			}
		}
	}
	slices.SortStableFunc(packaged, func(a, b binaries) int { return b.major - a.major })
	if p, err := exec.LookPath("postgres"); err == nil {
		if b, err := probe(p); err == nil {
			return append([]binaries{b}, packaged...)
		}
	}
	return packaged
}

var versionLine = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// probe asks a postgres program for its version. Its initdb must stand beside
// it, be it where a symlink leads.
func probe(program string) (binaries, error) {
	real, err := filepath.EvalSymlinks(program)
	if err != nil {
		return binaries{}, err
	}
	b := binaries{dir: filepath.Dir(real)}
	if _, err := exec.LookPath(b.path("initdb")); err != nil {
		return binaries{}, err
	}
	out, err := exec.Command(real, "--version").Output()
	if err != nil {
		return binaries{}, err
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return binaries{}, fmt.Errorf("%s is of an unknown version: %q", real, out)
	}
	b.major, err = strconv.Atoi(string(m[1]))
	return b, err
}
