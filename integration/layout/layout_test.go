package layout

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

var folders = []string{"api", "cache", "cmd", "docs", "fusefs", "integration", "migrations", "storage"}

// mayImport says what of this module the code below a folder may import; the
// longest folder that matches a package counts. A package may always import
// those below its own folder.
var mayImport = map[string][]string{
	"api":                     {},
	"api/admin":               {"api", "api/auth", "storage/postgres"},
	"api/auth":                {"api", "storage/postgres"},
	"api/chunk":               {"api"},
	"api/client":              {"api", "api/chunk", "api/pace"},
	"api/route":               {"api"},
	"api/serve":               {"api"},
	"api/server":              {"api", "api/admin", "api/auth", "api/chunk", "api/route", "api/serve", "api/web", "api/compat", "api/dav", "api/s3", "storage"},
	"api/web":                 {"api"},
	"api/compat":              {},
	"api/dav":                 {"api", "api/serve", "storage"},
	"api/s3":                  {"api", "api/serve", "storage"},
	"cache":                   {"api", "api/chunk", "api/client", "api/compat/gitignore", "api/pace"},
	"fusefs":                  {"api", "cache"},
	"fusefs/everyday":         {},
	"storage":                 {"api", "api/chunk", "migrations"},
	"storage/blob":            {"api"},
	"storage/blob/s3/s3test":  {"integration/require"},
	"storage/postgres/pgtest": {"integration/require", "migrations", "storage/private"},
	"migrations":              {"api"},
	"cmd/internal":            {"integration/require"},
	"cmd/satcheld":            {"cmd/internal", "api", "api/admin", "api/auth", "api/server", "storage", "migrations"},
	"cmd/satchel-helper":      {"fusefs/backing"},
	"cmd/satchel":             {"cmd/internal", "api", "api/chunk", "api/client", "cache", "fusefs"},
	"integration":             {"api", "api/route", "storage/fault", "fusefs/everyday"},
	// It is a client itself, and goes behind the service to fill a drive and to time SQL.
	"integration/scale": {"api", "api/chunk", "api/client", "integration/rig", "migrations", "storage/postgres", "storage/private", "storage/blob/local"},
	"integration/load":  {"api", "api/chunk", "api/client", "integration/require", "integration/rig", "migrations", "storage/private"},
	"integration/sim":   {"api", "api/chunk", "storage/tree"},
	"integration/live":  {"api", "api/admin", "api/auth", "api/server", "storage"},
}

type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImportsRunDownwards(t *testing.T) {
	needed := map[[2]string]bool{} // the rules that let something be imported
	check := func(folder, path, imported string) {
		t.Helper()
		rule, err := allowed(folder, imported)
		if err != nil {
			t.Errorf("%s imports %s: %v", path, imported, err)
		}
		needed[[2]string{folder, rule}] = true
	}
	for _, p := range packages(t) {
		path, inside := strings.CutPrefix(p.ImportPath, "satchel/")
		if !inside {
			t.Errorf("package %s is outside the fixed folders", p.ImportPath)
			continue
		}
		folder := ""
		for f := range mayImport {
			if within(f, path) && len(f) > len(folder) {
				folder = f
			}
		}
		if folder == "" {
			t.Errorf("no rule says what %s may import: add one to mayImport, with thought", path)
			continue
		}
		for _, imported := range p.Imports {
			check(folder, path, imported)
		}
		// A test may also use integration/require, an identity provider, whatever stands beside it in
		// its top-level folder, the chunks that all speak of, a real database with its
		// schema, and a whole server in its own process, with its database or in memory.
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			below, ours := strings.CutPrefix(imported, "satchel/")
			if !ours || within("integration/require", below) || topLevel(below) == topLevel(path) ||
				below == "api/chunk" || below == "integration/live" || below == "integration/identity" || below == "integration/sim" || below == "migrations" || below == "storage/postgres/pgtest" || below == "storage/private" {
				continue
			}
			check(folder, "a test in "+path, imported)
		}
	}
	for folder, rules := range mayImport {
		for _, rule := range rules {
			if !needed[[2]string{folder, rule}] {
				t.Errorf("nothing below %s imports %s: take it out of mayImport", folder, rule)
			}
		}
	}
}

// allowed is the rule that lets a folder's packages import one; "" where it takes none.
func allowed(folder, imported string) (rule string, err error) {
	target, ours := strings.CutPrefix(imported, "satchel/")
	if !ours {
		if folder == "api" && strings.Contains(imported, ".") {
			return "", errors.New("the vocabulary imports the standard library only")
		}
		return "", nil
	}
	if within(folder, target) && folder != "api" {
		return "", nil
	}
	for _, f := range mayImport[folder] {
		// "storage" as a whole, but "api" only itself: below it are other layers.
		if target == f || within(f, target) && f != "api" {
			return f, nil
		}
	}
	return "", fmt.Errorf("%s may import %q of this module", folder, mayImport[folder])
}

func within(folder, path string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

func topLevel(path string) string {
	top, _, _ := strings.Cut(path, "/")
	return top
}

func TestTopLevelIsFixed(t *testing.T) {
	files := []string{"CHANGELOG.md", "LICENSE", "Makefile", "README.md", "go.mod", "go.sum"}
	found, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range found {
		name := e.Name()
		seen[name] = true
		if strings.HasPrefix(name, ".") || name == "bin" || name == "dist" {
			continue
		}
		if e.IsDir() && !slices.Contains(folders, name) {
			t.Errorf("folder %s does not belong at the top", name)
		}
		if !e.IsDir() && !slices.Contains(files, name) {
			t.Errorf("file %s does not belong at the top", name)
		}
	}
	for _, name := range slices.Concat(folders, files) {
		if !seen[name] {
			t.Errorf("%s is missing at the top", name)
		}
	}
}

// goFiles calls fn with the path, relative to the root, of each Go file.
func goFiles(t *testing.T, fn func(path string)) {
	t.Helper()
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && strings.HasSuffix(path, ".go") {
				rel, _ := filepath.Rel(root, path)
				fn(rel)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestFilesAreShort: a file of more than 500 lines is two ideas, unless its
// first lines say why it is one ("// Long: …").
func TestFilesAreShort(t *testing.T) {
	goFiles(t, func(path string) {
		f, err := os.Open(filepath.Join(root, path))
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		n, reason := 0, false
		for s := bufio.NewScanner(f); s.Scan(); n++ {
			reason = reason || n < 10 && strings.HasPrefix(s.Text(), "// Long: ")
		}
		if n > 500 && !reason {
			t.Errorf("%s has %d lines: split it, or say why not in a line '// Long: …' at its top", path, n)
		}
	})
}

// sqlText matches statements as they are written here, in upper case.
var sqlText = regexp.MustCompile(`(?s)\b(SELECT\b.*\bFROM\b|SELECT (set_config|nextval|pg_)|INSERT INTO |UPDATE [\w.]+ SET |DELETE FROM |(CREATE|ALTER|DROP) (TABLE|ROLE|SCHEMA|DATABASE|POLICY|INDEX|FUNCTION)\b|GRANT \w+ (ON|TO) )`)

func TestOnlyThreePlacesHaveSQL(t *testing.T) {
	// The end-to-end tests and those of the server ask the database behind the
	// service's back: that is what they are for. The everyday work in a folder has
	// an SQLite database.
	may := []string{"storage/postgres", "storage/blob/pg", "migrations", "integration", "fusefs/everyday"}
	goFiles(t, func(path string) {
		if slices.ContainsFunc(may, func(f string) bool { return within(f, path) }) ||
			(within("storage", path) || within("cmd/satcheld", path)) && strings.HasSuffix(path, "_test.go") {
			return
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, filepath.Join(root, path), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			if text, err := strconv.Unquote(lit.Value); err == nil && sqlText.MatchString(text) {
				t.Errorf("%s:%d has SQL; it belongs into %s", path, set.Position(lit.Pos()).Line, strings.Join(may[:3], ", "))
			}
			return true
		})
	})
}

func TestMigrationsAreNumbered(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "migrations", "*.sql"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no migrations found (%v)", err)
	}
	slices.Sort(files)
	name := regexp.MustCompile(`^(\d{5})_[a-z0-9_]+\.sql$`)
	for i, f := range files {
		m := name.FindStringSubmatch(filepath.Base(f))
		if m == nil || m[1] != fmt.Sprintf("%05d", i+1) {
			t.Errorf("%s should be number %05d and be called like 00001_accounts.sql", filepath.Base(f), i+1)
		}
	}
}

func TestDependenciesAreExplained(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join(root, "docs", "dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "list", "-m", "-f", "{{if not (or .Indirect .Main)}}{{.Path}}{{end}}", "all")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -m: %v", err)
	}
	for module := range strings.FieldsSeq(string(out)) {
		short := strings.TrimPrefix(module, "github.com/")
		if family := regexp.MustCompile(`^aws/aws-sdk-go-v2|^aws/smithy-go`); family.MatchString(short) {
			short = family.FindString(short)
		}
		if !strings.Contains(string(doc), "| "+short+" |") {
			t.Errorf("docs/dependencies.md has no line for %s", module)
		}
	}
}
