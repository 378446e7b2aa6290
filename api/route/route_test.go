package route

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func plainFailure(w http.ResponseWriter, _ *http.Request, err error) {
	status := http.StatusNotFound
	if _, ok := err.(*MethodError); ok {
		status = http.StatusMethodNotAllowed
	}
	http.Error(w, err.Error(), status)
}

func newTestServer(t *testing.T) (*Document, string) {
	t.Helper()
	d := New("Test", "1", "For a test")
	f := d.Family("things", "Things & more", "/things/", plainFailure)
	say := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, text+" "+r.PathValue("id")) }
	}
	f.Handle(Operation{
		ID: "get-thing", Method: "GET", Path: "/things/{id}", Access: Known, Summary: "A <thing>",
		Params:   []Param{{Name: "deep", In: Query, Type: "boolean"}},
		Examples: []Example{{Summary: "One", As: You, Path: "/things/$id?deep=true", Header: map[string]string{"X-A": "it's"}, Status: 200}},
	}, say("got"))
	f.Handle(Operation{ID: "put-thing", Method: "PUT", Path: "/things/{id}", Body: JSON(Field{Name: "a", Type: "integer", Required: true})}, say("put"))
	f.Handle(Operation{ID: "below", Method: "GET", Path: "/things/below/{path...}"}, say("below"))
	mux := http.NewServeMux()
	f.Mount(mux)
	mux.HandleFunc("/openapi.json", d.ServeJSON)
	mux.HandleFunc("/openapi", d.ServePage)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return d, s.URL
}

func fetch(t *testing.T, method, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func TestFamilyServes(t *testing.T) {
	_, url := newTestServer(t)
	for _, c := range []struct {
		method, path string
		status       int
		body, allow  string
	}{
		{"GET", "/things/7", 200, "got 7", ""},
		{"HEAD", "/things/7", 200, "", ""},
		{"PUT", "/things/7", 200, "put 7", ""},
		{"DELETE", "/things/7", 405, "DELETE is not allowed here\n", "GET, HEAD, PUT"},
		{"GET", "/things/below/a/b", 200, "below ", ""},
		{"GET", "/things/", 404, "there is nothing at \"/things/\"\n", ""},
	} {
		res, body := fetch(t, c.method, url+c.path)
		if res.StatusCode != c.status || body != c.body || res.Header.Get("Allow") != c.allow {
			t.Errorf("%s %s = %d %q, Allow %q", c.method, c.path, res.StatusCode, body, res.Header.Get("Allow"))
		}
	}
}

func TestDocumentIsOpenAPI(t *testing.T) {
	_, url := newTestServer(t)
	_, body := fetch(t, "GET", url+"/openapi.json")
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Tags        []string
			Parameters  []struct {
				Name, In string
				Required bool
			}
			RequestBody *struct {
				Content map[string]struct{ Schema struct{ Required []string } }
			}
			Responses map[string]any
			Security  []map[string][]string
		}
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil || doc.OpenAPI != "3.1.0" {
		t.Fatalf("%v: %.200s", err, body)
	}
	get := doc.Paths["/things/{id}"]["get"]
	if get.OperationID != "get-thing" || get.Tags[0] != "things" || len(get.Security) != 2 || get.Responses["401"] == nil || get.Responses["200"] == nil {
		t.Errorf("get-thing is %+v", get)
	}
	if len(get.Parameters) != 2 || get.Parameters[1].Name != "id" || get.Parameters[1].In != "path" || !get.Parameters[1].Required {
		t.Errorf("its parameters are %+v", get.Parameters)
	}
	if put := doc.Paths["/things/{id}"]["put"]; put.RequestBody.Content["application/json"].Schema.Required[0] != "a" || put.Security != nil {
		t.Errorf("put-thing is %+v", put)
	}
	if _, ok := doc.Paths["/things/below/{path}"]; !ok {
		t.Error("a wildcard's dots are in the path")
	}
	calls, err := ExamplesOf([]byte(body))
	if err != nil || len(calls) != 3 || calls[0].Operation != "get-thing" || calls[0].Method != "GET" || calls[0].Access != Known || len(calls[0].Examples) != 1 {
		t.Errorf("ExamplesOf = %+v, %v", calls, err)
	}
}

func TestPageShowsAll(t *testing.T) {
	_, url := newTestServer(t)
	res, body := fetch(t, "GET", url+"/openapi")
	for _, part := range []string{
		"Things &amp; more", "A &lt;thing&gt;", "/things/{id}", "token or cookie", "integer, required",
		`curl &#34;$URL/things/$id?deep=true&#34; -H &#34;Authorization: Bearer $TOKEN&#34; -H &#39;X-A: it&#39;\&#39;&#39;s&#39;`,
	} {
		if !strings.Contains(body, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	if strings.Contains(body, "<script") || strings.Contains(body, "http://") || strings.Contains(body, "https://") {
		t.Error("the page loads something")
	}
	if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "'sha256-") {
		t.Errorf("policy %q", csp)
	}
}

func TestTwoOperationsOfOneNameAreRefused(t *testing.T) {
	d := New("", "", "")
	f := d.Family("x", "", "/x", plainFailure)
	f.Handle(Operation{ID: "a", Method: "GET", Path: "/x"}, nil)
	defer func() {
		if recover() == nil {
			t.Error("a second operation a was taken")
		}
	}()
	f.Handle(Operation{ID: "a", Method: "PUT", Path: "/x"}, nil)
}
