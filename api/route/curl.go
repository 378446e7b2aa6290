package route

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Curl is the example as a command for a shell in which URL is the server's
// address and TOKEN the token of who asks.
func (e Example) Curl(method, path string, a Access) string {
	words := []string{"curl"}
	switch {
	case method == http.MethodHead:
		words = append(words, "--head")
	case method == http.MethodGet && e.Body == "", method == http.MethodPost && e.Body != "":
	default:
		words = append(words, "-X", method)
	}
	if e.Path != "" {
		path = e.Path
	}
	words = append(words, `"$URL`+inDoubleQuotes(path)+`"`)
	if e.As != "" && e.Header["Authorization"] == "" && a != Signed {
		words = append(words, "-H", `"Authorization: Bearer $TOKEN"`)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Header)) {
		words = append(words, "-H", quoted(name+": "+e.Header[name]))
	}
	if e.Body != "" {
		words = append(words, "--data-binary", quoted(e.Body))
	}
	return strings.Join(words, " ")
}

// quoted makes one word of s. Kept values ($name) stay the shell's to fill in.
func quoted(s string) string {
	if strings.Contains(s, "$") {
		return `"` + inDoubleQuotes(s) + `"`
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func inDoubleQuotes(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`").Replace(s)
}
