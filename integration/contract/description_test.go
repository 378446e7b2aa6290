package contract

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"satchel/api/route"
)

// operation is one of those that the server's description has, as an attacker
// reads it.
type operation struct {
	id, method, path string
	order            int
	secured          bool
	params           []param
	bodyType         string
	fields           []string // of a JSON object or a form
	example          *route.Example
}

type param struct{ name, in string }

// describedOperations are all operations of /openapi.json, in their order.
func describedOperations(t *testing.T, w *world) []operation {
	t.Helper()
	type schema struct {
		Ref        string                     `json:"$ref"`
		Properties map[string]json.RawMessage `json:"properties"`
	}
	var doc struct {
		Paths map[string]map[string]struct {
			ID         string                      `json:"operationId"`
			Order      int                         `json:"x-order"`
			Examples   []route.Example             `json:"x-examples"`
			Security   []any                       `json:"security"`
			Parameters []struct{ Name, In string } `json:"parameters"`
			Body       struct {
				Content map[string]struct{ Schema schema } `json:"content"`
			} `json:"requestBody"`
		}
		Components struct{ Schemas map[string]schema }
	}
	must(t, json.Unmarshal(w.stranger().get(t, "/openapi.json").body, &doc))
	var all []operation
	for path, item := range doc.Paths {
		for method, op := range item {
			o := operation{id: op.ID, method: strings.ToUpper(method), path: path, order: op.Order, secured: len(op.Security) > 0}
			for _, p := range op.Parameters {
				o.params = append(o.params, param{p.Name, p.In})
			}
			for media, content := range op.Body.Content {
				s := content.Schema
				if s.Ref != "" {
					s = doc.Components.Schemas[s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]]
				}
				o.bodyType, o.fields = media, slices.Sorted(maps.Keys(s.Properties))
			}
			for i, e := range op.Examples { // one that does something is the best to vary
				if o.example == nil || e.Status < 400 && o.example.Status >= 400 {
					o.example = &op.Examples[i]
				}
			}
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return a.order - b.order })
	if len(all) < 20 {
		t.Fatalf("the description has %d operations only", len(all))
	}
	return all
}

// call is a request made of parts, each of which can be replaced.
type call struct {
	method, path string
	in           map[string]string // of the path
	query        url.Values
	header       http.Header
	bodyType     string
	body         any // object or string
}

// baseline is a request that makes sense: the example, or what the parameters'
// names suggest.
func (o operation) baseline(values map[string]string) call {
	c := call{method: o.method, path: o.path, in: map[string]string{}, query: url.Values{}, header: http.Header{}, bodyType: o.bodyType}
	fill := func(s string) string {
		for _, name := range slices.SortedFunc(maps.Keys(values), func(a, b string) int { return len(b) - len(a) }) {
			s = strings.ReplaceAll(s, "$"+name, values[name])
		}
		return s
	}
	for _, p := range o.params {
		if p.in == route.Path {
			c.in[p.name] = values[p.name]
			if c.in[p.name] == "" {
				c.in[p.name] = "x"
			}
		}
	}
	if o.bodyType != "" {
		c.body = "x"
		if len(o.fields) > 0 {
			c.body = object{}
		}
	}
	if e := o.example; e != nil {
		path, query, _ := strings.Cut(fill(e.Path), "?")
		if path != "" && len(c.in) > 0 {
			for name, value := range placeholders(o.path, path) {
				c.in[name] = value
			}
		}
		c.query, _ = url.ParseQuery(query)
		for name, value := range e.Header {
			c.header.Set(name, fill(value))
		}
		if e.Body != "" {
			var o object
			if json.Unmarshal([]byte(fill(e.Body)), &o) == nil {
				c.body = o
			} else {
				c.body = fill(e.Body)
			}
		}
	}
	return c
}

// placeholders are what a path has where its pattern has names.
func placeholders(pattern, path string) map[string]string {
	values := map[string]string{}
	parts := strings.Split(path, "/")
	for i, name := range strings.Split(pattern, "/") {
		if i < len(parts) && strings.HasPrefix(name, "{") {
			value := parts[i]
			if i == strings.Count(pattern, "/") { // the last one may be the rest
				value = strings.Join(parts[i:], "/")
			}
			values[strings.Trim(name, "{}")], _ = url.PathUnescape(value)
		}
	}
	return values
}

// clone is a copy whose parts can be replaced.
func (c call) clone() call {
	c.in, c.header = maps.Clone(c.in), c.header.Clone()
	query := url.Values{}
	for name, values := range c.query {
		query[name] = slices.Clone(values)
	}
	c.query = query
	if o, ok := c.body.(object); ok {
		c.body = maps.Clone(o)
	}
	return c
}

// url is the request's path and query; raw replaces a placeholder as it stands.
func (c call) url(raw map[string]string) string {
	path := c.path
	for name, value := range c.in {
		escaped := url.PathEscape(value)
		if r, ok := raw[name]; ok {
			escaped = r
		}
		path = strings.ReplaceAll(path, "{"+name+"}", escaped)
	}
	if len(c.query) > 0 {
		path += "?" + c.query.Encode()
	}
	return path
}
