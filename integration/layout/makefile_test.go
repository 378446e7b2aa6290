package layout

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The tests that `make test` runs with each blob store must be there: go test
// is content with names that nobody has.
func TestStoredTestsExist(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^STORED\s+:= \^Test\(([\w|]+)\)\$\$$`).FindSubmatch(makefile)
	if m == nil {
		t.Fatal("the Makefile names no STORED tests")
	}
	files, err := filepath.Glob(filepath.Join(root, "integration", "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	for name := range strings.SplitSeq(string(m[1]), "|") {
		if !strings.Contains(all.String(), "\nfunc Test"+name+"(t *testing.T)") {
			t.Errorf("the Makefile's STORED names Test%s, which is not there", name)
		}
	}
}
