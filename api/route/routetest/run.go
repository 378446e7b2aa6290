// Package routetest sends the examples of a server's own description to it.
package routetest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"satchel/api/route"
)

// World is who and what the examples count on: see package route.
type World struct {
	URL    string
	Tokens map[string]string // of route.You, route.Friend and route.Admin
	Values map[string]string // what "$name" stands for: you, friend, home, …
}

// Run reads /openapi.json and sends every example, in order. Each must be
// answered as it says.
func Run(t *testing.T, w World) {
	t.Helper()
	calls, err := route.ExamplesOf(w.get(t, "/openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	values := maps.Clone(w.Values)
	for _, c := range calls {
		for _, e := range c.Examples {
			n++
			t.Run(c.Operation+": "+e.Summary, func(t *testing.T) { w.send(t, c, e, values) })
		}
	}
	if n == 0 {
		t.Error("the description has no examples")
	}
}

func (w World) get(t *testing.T, path string) []byte {
	t.Helper()
	res, err := http.Get(w.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d %v", path, res.StatusCode, err)
	}
	return b
}

func (w World) send(t *testing.T, c route.Call, e route.Example, values map[string]string) {
	fill := func(s string) string {
		// The longest first, so that $document is not taken for $doc.
		for _, name := range slices.SortedFunc(maps.Keys(values), func(a, b string) int { return len(b) - len(a) }) {
			s = strings.ReplaceAll(s, "$"+name, values[name])
		}
		return s
	}
	req, err := http.NewRequestWithContext(t.Context(), c.Method, w.URL+fill(e.Path), strings.NewReader(fill(e.Body)))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range e.Header {
		req.Header.Set(name, fill(value))
	}
	if e.As != "" && req.Header.Get("Authorization") == "" {
		if w.Tokens[e.As] == "" {
			t.Fatalf("nobody is %q", e.As)
		}
		req.Header.Set("Authorization", "Bearer "+w.Tokens[e.As])
	}
	res, err := http.DefaultTransport.RoundTrip(req) // follows no redirect
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != e.Status || !strings.Contains(string(b), fill(e.Contains)) {
		t.Fatalf("%s\n= %d %.600s\nwant %d …%s…", e.Curl(c.Method, e.Path, c.Access), res.StatusCode, b, e.Status, e.Contains)
	}
	for name, at := range e.Keep {
		if values[name], err = pick(b, at); err != nil {
			t.Fatalf("%s is not in %.600s: %v", name, b, err)
		}
	}
}

// pick is a value of a JSON answer, by the members and indices that lead to it.
func pick(b []byte, at string) (string, error) {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return "", err
	}
	for step := range strings.SplitSeq(at, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(in) {
				return "", fmt.Errorf("there is no %q in a list of %d", step, len(in))
			}
			v = in[i]
		default:
			if step != "" {
				return "", fmt.Errorf("there is no %q", step)
			}
		}
	}
	if v == nil {
		return "", fmt.Errorf("there is nothing at %q", at)
	}
	return fmt.Sprint(v), nil
}
