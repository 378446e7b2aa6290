package route

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Names of what is only of use to us in the document.
const (
	examplesField = "x-examples" // of an operation: []Example
	orderField    = "x-order"    // of an operation: its place among all
)

// Document is the description of all that a server serves. It is built before
// the server serves, by one goroutine.
type Document struct {
	api *huma.OpenAPI
	n   int
}

// New makes an empty description.
func New(title, version, description string) *Document {
	d := &Document{api: &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: title, Version: version, Description: description},
		Components: &huma.Components{
			Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"token":  {Type: "http", Scheme: "bearer", BearerFormat: "JWT"},
				"cookie": {Type: "apiKey", In: "cookie", Name: "satchel_session"},
				"basic":  {Type: "http", Scheme: "basic", Description: "An app password"},
				"signed": {Type: "apiKey", In: "header", Name: "Authorization", Description: "AWS Signature Version 4 with an access key"},
			},
		},
	}}
	d.api.OnAddOperation = append(d.api.OnAddOperation, func(_ *huma.OpenAPI, op *huma.Operation) {
		d.n++
		if op.Extensions == nil {
			op.Extensions = map[string]any{}
		}
		op.Extensions[orderField] = d.n
		if len(op.Tags) == 0 {
			tag, _, _ := strings.Cut(strings.TrimPrefix(op.Path, "/"), "/")
			op.Tags = []string{tag}
		}
	})
	return d
}

// OpenAPI is the description itself, for operations that a library adds.
func (d *Document) OpenAPI() *huma.OpenAPI { return d.api }

// WithExamples gives an operation of OpenAPI examples.
func WithExamples(op huma.Operation, examples ...Example) huma.Operation {
	if op.Extensions == nil {
		op.Extensions = map[string]any{}
	}
	op.Extensions[examplesField] = examples
	return op
}

// Examples gives an operation examples, by its id: for those that a library
// has added.
func (d *Document) Examples(id string, examples ...Example) {
	for _, item := range d.api.Paths {
		for _, op := range operations(item) {
			if op.OperationID == id {
				*op = WithExamples(*op, examples...)
				return
			}
		}
	}
	panic("no operation has the id " + id)
}

// Tag describes a group of operations. They follow in the order of their tags.
func (d *Document) Tag(name, description string) {
	if !slices.ContainsFunc(d.api.Tags, func(t *huma.Tag) bool { return t.Name == name }) {
		d.api.Tags = append(d.api.Tags, &huma.Tag{Name: name, Description: description})
	}
}

// ServeJSON is /openapi.json.
func (d *Document) ServeJSON(w http.ResponseWriter, _ *http.Request) {
	b, err := json.Marshal(d.api)
	if err != nil {
		panic(err) // built of our own values: a test marshals it
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Access-Control-Allow-Origin", "*") // it is public, and tools in browsers read it
	w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
	w.Write(b)
}

// add describes an operation under a tag.
func (d *Document) add(tag string, op Operation) {
	path := strings.ReplaceAll(strings.ReplaceAll(op.Path, "...}", "}"), "{$}", "")
	out := &huma.Operation{
		OperationID: op.ID, Method: op.Method, Path: path, Tags: []string{tag},
		Summary: op.Summary, Description: op.Doc, Responses: map[string]*huma.Response{},
		Security: security(op.Access),
	}
	if len(op.Examples) > 0 {
		*out = WithExamples(*out, op.Examples...)
	}
	params := op.Params
	for _, name := range placeholders(path) {
		if !slices.ContainsFunc(params, func(p Param) bool { return p.In == Path && p.Name == name }) {
			params = append(slices.Clone(params), Param{Name: name, In: Path})
		}
	}
	for _, p := range params {
		out.Parameters = append(out.Parameters, &huma.Param{
			Name: p.Name, In: p.In, Description: p.Doc, Required: p.Required || p.In == Path, Schema: schema(p.Type),
		})
	}
	if op.Body != nil {
		out.RequestBody = &huma.RequestBody{
			Required: !op.Body.Optional, Description: op.Body.Doc,
			Content: map[string]*huma.MediaType{op.Body.Type: {Schema: op.Body.schema()}},
		}
	}
	for _, a := range answers(op) {
		r := &huma.Response{Description: a.Doc}
		media := a.Type
		if media == "" && a.Status/100 != 3 && a.Status != http.StatusNoContent {
			media = "application/json"
		}
		if media != "" {
			r.Content = map[string]*huma.MediaType{media: {}}
		}
		out.Responses[strconv.Itoa(a.Status)] = r
	}
	d.api.AddOperation(out)
}

// answers adds those that every operation of its kind may give.
func answers(op Operation) []Answer {
	all := op.Answers
	also := func(status int, doc string) {
		if !slices.ContainsFunc(all, func(a Answer) bool { return a.Status == status }) {
			all = append(slices.Clone(all), Answer{Status: status, Doc: doc})
		}
	}
	if !slices.ContainsFunc(all, func(a Answer) bool { return a.Status < 400 }) {
		also(http.StatusOK, "It is done")
	}
	if op.Access != Anyone {
		also(http.StatusUnauthorized, "There is no valid identity")
	}
	return all
}

func security(a Access) []map[string][]string {
	switch a {
	case Known:
		return []map[string][]string{{"token": {}}, {"cookie": {}}}
	case Basic:
		return []map[string][]string{{"basic": {}}, {"token": {}}}
	case Signed:
		return []map[string][]string{{"signed": {}}}
	}
	return nil
}

// placeholders are the names in braces of a path.
func placeholders(path string) (names []string) {
	for part := range strings.SplitSeq(path, "/") {
		if strings.HasPrefix(part, "{") && strings.HasSuffix(part, "}") {
			names = append(names, part[1:len(part)-1])
		}
	}
	return names
}

func schema(typ string) *huma.Schema {
	switch typ {
	case "":
		return &huma.Schema{Type: huma.TypeString}
	case "uuid":
		return &huma.Schema{Type: huma.TypeString, Format: "uuid"}
	case "file":
		return &huma.Schema{Type: huma.TypeString, Format: "binary"}
	case "array":
		return &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{}}
	}
	return &huma.Schema{Type: typ}
}

func (b *Body) schema() *huma.Schema {
	if len(b.Fields) == 0 {
		if b.Type == "application/json" {
			return &huma.Schema{}
		}
		return &huma.Schema{Type: huma.TypeString, Format: "binary"}
	}
	s := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}}
	for _, f := range b.Fields {
		field := schema(f.Type)
		field.Description = f.Doc
		s.Properties[f.Name] = field
		if f.Required {
			s.Required = append(s.Required, f.Name)
		}
	}
	return s
}
