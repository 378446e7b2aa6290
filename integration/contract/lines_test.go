package contract

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// elsewhere are lines that no test of a section's table shows, but these: what
// needs a browser, a mount, the server's keys or a server of its own.
var elsewhere = []struct{ quote, folder, test string }{
	{"Keys are made on first start and kept as DESIGN.md section 5 says, so that all server processes share them", "api/auth", "TestServersShareKeys"},
	{"10 GB through any API with flat memory", "integration", "TestStoreFileStreams"}, // `make stream`; WebDAV and S3: TestWebDAV, TestS3
	{"The page: sign in; list of files with folders; upload by button with a path field (prefilled from the file's name and the folder shown) and description; " +
		"the list refreshes after an upload; Download prompts to save; Delete; Logout goes back to the sign-in page; an expired session too; unknown pages go to the file list", "integration", "TestWebPage"},
	{"(only with `--open-signup`, else 403)", "integration/contract", "TestRegisterOnlyWithOpenSignup"},
	{"`Secure` and `__Host-` under TLS", "api/server", "TestCookieUnderTLS"},
	{"Attack paths in the raw request target under `/api/vfs` (NUL, or a `..` segment after at most two decodings, backslash as separator) → 403 (a raw NUL may be 400), " +
		"logged, and the address is banned for a while (not for ever [...] loopback exempt unless asked [...] `satcheld` lists and lifts bans)", "integration/contract", "TestAttackPaths"},
	{"IPv6 by /64 [...] behind a proxy only a configured trusted header counts", "api/server", "TestBans"},
	{"davfs2, cadaver, rclone and Windows/macOS clients work", "integration", "TestWebDAV"},
	// A suggestion of how to build it; docs/design.md says why it is built otherwise.
	{"The versity/versitygw module can be embedded (`embedgw`, own backend and IAM) and serves SigV4 correctly. Tried: one instance per process, its own listener; " +
		"embed `backend.BackendUnsupported` and implement also GetBucketPolicy, GetBucketAcl, GetObjectLockConfiguration, GetBucketVersioning, GetBucketCors, HeadBucket, NormalizeObjectKey; " +
		"set `DisableACLs: true`", "integration", "TestS3"},
}

// leftOut is what a quote puts where it leaves out some of its line.
const leftOut = " [...] "

// TestEveryLineIsShown holds docs/contract.md and the tests to each other: the
// name of each line's test is a quotation, and what is quoted is all there is.
func TestEveryLineIsShown(t *testing.T) {
	root := "../.."
	b, err := os.ReadFile(filepath.Join(root, "docs/contract.md"))
	must(t, err)
	lines := contractLines(string(b))
	if len(lines) < 30 {
		t.Fatalf("docs/contract.md has %d lines only", len(lines))
	}
	shown := make([][]bool, len(lines))
	for i, l := range lines {
		shown[i] = make([]bool, len(l))
	}
	mark := func(where, quote string) {
		for i, l := range lines {
			if spans := quotedIn(l, quote); spans != nil {
				for _, s := range spans {
					for k := s[0]; k < s[1]; k++ {
						shown[i][k] = true
					}
				}
				return
			}
		}
		t.Errorf("%s: no line of docs/contract.md says %q", where, quote)
	}
	n := 0
	for _, folder := range []string{"integration/contract", "integration"} {
		for where, quote := range quotes(t, filepath.Join(root, folder)) {
			n++
			mark(where, quote)
		}
	}
	for _, e := range elsewhere {
		mark("elsewhere", e.quote)
		if !hasTest(t, filepath.Join(root, e.folder), e.test) {
			t.Errorf("%s has no %s, which shows %q", e.folder, e.test, e.quote)
		}
	}
	if n < 60 {
		t.Errorf("the tables have %d lines only", n)
	}
	word := regexp.MustCompile(`[\pL\pN]{2,}`)
	for i, l := range lines {
		var rest strings.Builder
		for k := range len(l) {
			if shown[i][k] {
				rest.WriteByte('\n')
			} else {
				rest.WriteByte(l[k])
			}
		}
		for part := range strings.SplitSeq(rest.String(), "\n") {
			if word.MatchString(part) {
				t.Errorf("no test shows: %s", strings.TrimSpace(part))
			}
		}
	}
}

// contractLines are the list's items, each on one line.
func contractLines(text string) (lines []string) {
	within := false
	for l := range strings.SplitSeq(text, "\n") {
		switch {
		case strings.HasPrefix(l, "- "):
			lines, within = append(lines, strings.TrimSpace(l[2:])), true
		case within && strings.HasPrefix(l, "  "):
			lines[len(lines)-1] += " " + strings.TrimSpace(l)
		default:
			within = false
		}
	}
	return lines
}

// quotedIn is where a line has the parts of a quote, nil unless it has all of
// them in their order.
func quotedIn(line, quote string) (spans [][2]int) {
	at := 0
	for part := range strings.SplitSeq(quote, leftOut) {
		i := strings.Index(line[at:], part)
		if i < 0 {
			return nil
		}
		spans = append(spans, [2]int{at + i, at + i + len(part)})
		at += i + len(part)
	}
	return spans
}

// quotes are the texts of a folder's tables of type []line, by where they are.
func quotes(t *testing.T, folder string) map[string]string {
	t.Helper()
	found := map[string]string{}
	eachTestFile(t, folder, func(files *token.FileSet, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			list, ok := n.(*ast.CompositeLit)
			if !ok || !isLines(list.Type) {
				return true
			}
			for _, e := range list.Elts {
				l, ok := e.(*ast.CompositeLit)
				if !ok || len(l.Elts) != 2 {
					t.Errorf("%s: no line", files.Position(e.Pos()))
					continue
				}
				text, ok := l.Elts[0].(*ast.BasicLit)
				if !ok {
					t.Errorf("%s: no text", files.Position(e.Pos()))
					continue
				}
				s, err := strconv.Unquote(text.Value)
				must(t, err)
				found[files.Position(e.Pos()).String()] = s
			}
			return true
		})
	})
	return found
}

// isLines tells whether a type is []line, or []line[T].
func isLines(typ ast.Expr) bool {
	list, ok := typ.(*ast.ArrayType)
	if !ok || list.Len != nil {
		return false
	}
	elem := list.Elt
	if i, ok := elem.(*ast.IndexExpr); ok {
		elem = i.X
	}
	name, ok := elem.(*ast.Ident)
	return ok && name.Name == "line"
}

func hasTest(t *testing.T, folder, name string) (found bool) {
	t.Helper()
	eachTestFile(t, folder, func(_ *token.FileSet, f *ast.File) {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == name {
				found = true
			}
		}
	})
	return found
}

func eachTestFile(t *testing.T, folder string, fn func(*token.FileSet, *ast.File)) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	must(t, err)
	if len(names) == 0 {
		t.Fatal(fmt.Errorf("%s has no tests", folder))
	}
	files := token.NewFileSet()
	for _, name := range names {
		f, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		must(t, err)
		fn(files, f)
	}
}
