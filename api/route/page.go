package route

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// A page is what the template shows.
type page struct {
	Title, Description string
	Groups             []group
}

type group struct {
	Name, Description string
	Operations        []shownOperation
}

type shownOperation struct {
	ID, Method, Path, Summary string
	Paragraphs                []string
	Access                    string
	Params                    []shownParam
	BodyType, BodyDoc         string
	Fields                    []shownParam
	Answers                   []shownAnswer
	Examples                  []shownExample
	order                     int
}

type shownParam struct {
	Name, In, Type, Doc string
	Required            bool
}

type shownAnswer struct{ Status, Type, Doc string }

type shownExample struct {
	Summary, Curl string
	Status        int
}

// ServePage is /openapi: the description for people, without a script.
func (d *Document) ServePage(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, d.page()); err != nil {
		panic(err) // built of our own values: a test shows it
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src "+styleHash()+"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	w.Write(b.Bytes())
}

// styleHash names the page's style for its policy (CSP 3 section 2.3.1).
var styleHash = sync.OnceValue(func() string {
	_, rest, _ := strings.Cut(pageSource, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
})

func (d *Document) page() page {
	p := page{Title: d.api.Info.Title, Description: d.api.Info.Description}
	byTag := map[string]*group{}
	for _, t := range d.api.Tags {
		byTag[t.Name] = &group{Name: t.Name, Description: t.Description}
	}
	for path, item := range d.api.Paths {
		for method, op := range operations(item) {
			if g := byTag[cmp.Or(slices.Concat(op.Tags, []string{""})...)]; g != nil {
				g.Operations = append(g.Operations, d.show(method, path, op))
			}
		}
	}
	for _, t := range d.api.Tags {
		g := byTag[t.Name]
		slices.SortFunc(g.Operations, func(a, b shownOperation) int { return cmp.Compare(a.order, b.order) })
		p.Groups = append(p.Groups, *g)
	}
	return p
}

func operations(item *huma.PathItem) map[string]*huma.Operation {
	all := map[string]*huma.Operation{
		http.MethodGet: item.Get, http.MethodPut: item.Put, http.MethodPost: item.Post, http.MethodPatch: item.Patch,
		http.MethodDelete: item.Delete, http.MethodHead: item.Head, http.MethodOptions: item.Options,
	}
	for method, op := range all {
		if op == nil {
			delete(all, method)
		}
	}
	return all
}

func (d *Document) show(method, path string, op *huma.Operation) shownOperation {
	s := shownOperation{ID: op.OperationID, Method: method, Path: path, Summary: op.Summary, Access: who(op.Security)}
	s.order, _ = op.Extensions[orderField].(int)
	for p := range strings.SplitSeq(op.Description, "\n\n") {
		if p != "" {
			s.Paragraphs = append(s.Paragraphs, p)
		}
	}
	for _, p := range op.Parameters {
		s.Params = append(s.Params, shownParam{p.Name, p.In, typeOf(p.Schema), p.Description, p.Required})
	}
	if b := op.RequestBody; b != nil {
		s.BodyDoc = b.Description
		for media, m := range b.Content {
			s.BodyType = media
			s.Fields = d.fields(m.Schema)
		}
	}
	for status, r := range op.Responses {
		a := shownAnswer{Status: status, Doc: r.Description}
		for media := range r.Content {
			a.Type = media
		}
		s.Answers = append(s.Answers, a)
	}
	slices.SortFunc(s.Answers, func(a, b shownAnswer) int { return cmp.Compare(a.Status, b.Status) })
	examples, _ := op.Extensions[examplesField].([]Example)
	for _, e := range examples {
		s.Examples = append(s.Examples, shownExample{e.Summary, e.Curl(method, path, accessOf(op.Security)), e.Status})
	}
	return s
}

// fields lists the members of a body's object, sorted, the required ones first.
func (d *Document) fields(s *huma.Schema) []shownParam {
	if s != nil && s.Ref != "" {
		s = d.api.Components.Schemas.SchemaFromRef(s.Ref)
	}
	if s == nil {
		return nil
	}
	var out []shownParam
	for name, f := range s.Properties {
		out = append(out, shownParam{Name: name, Type: typeOf(f), Doc: f.Description, Required: slices.Contains(s.Required, name)})
	}
	slices.SortFunc(out, func(a, b shownParam) int {
		if a.Required != b.Required {
			if a.Required {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return out
}

func typeOf(s *huma.Schema) string {
	switch {
	case s == nil:
		return ""
	case s.Ref != "":
		return s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
	case s.Format != "":
		return s.Format
	case s.Type == huma.TypeArray && s.Items != nil:
		return strings.TrimSpace("list of " + typeOf(s.Items))
	}
	return s.Type
}

func accessOf(security []map[string][]string) Access {
	for _, s := range security {
		for name := range s {
			switch name {
			case "basic":
				return Basic
			case "signed":
				return Signed
			}
		}
	}
	if len(security) > 0 {
		return Known
	}
	return Anyone
}

func who(security []map[string][]string) string {
	return map[Access]string{Anyone: "anyone", Known: "token or cookie", Basic: "app password or token", Signed: "access key"}[accessOf(security)]
}
