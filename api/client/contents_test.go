package client

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"satchel/api"
	"satchel/api/chunk"
)

func TestContents(t *testing.T) {
	e := newEdge(t)
	torn := false
	e.mux.HandleFunc("POST /v1/drives/home/contents", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Files []api.ContentRef }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		if len(in.Files) > api.MaxContents {
			fail(w, 413, api.TooLarge, "too many files")
			return
		}
		stream := chunk.NewContentsWriter(w)
		for i, f := range in.Files {
			if f.Node == other {
				stream.Failed(i, api.NotFound, "there is no such content")
				continue
			}
			stream.Content(i, api.Version{ID: f.Version, Size: 5})
			stream.Part([]byte("hello"))
		}
		if torn {
			stream.Part(make([]byte, 1<<20)) // to have it flushed
			panic(http.ErrAbortHandler)
		}
		stream.Close()
	})
	d := e.client(t).Drive("home")
	files := []api.ContentRef{{Node: node, Version: epoch}, {Node: other}, {Node: node}}
	var heard []string
	hear := func(i int, v api.Version, body io.Reader) error {
		b, err := io.ReadAll(body)
		if err == nil && v.ID != files[i].Version {
			t.Errorf("%d came as version %v", i, v.ID)
		}
		heard = append(heard, string(b)+string(api.KindOf(err)))
		return nil
	}
	if err := d.Contents(t.Context(), files, hear); err != nil || strings.Join(heard, ",") != "hello,not_found,hello" {
		t.Errorf("heard %q, %v", heard, err)
	}
	enough := errors.New("enough")
	if err := d.Contents(t.Context(), files, func(int, api.Version, io.Reader) error { return enough }); err != enough {
		t.Errorf("fn's error: %v", err)
	}
	if err := d.Contents(t.Context(), make([]api.ContentRef, api.MaxContents+1), hear); api.KindOf(err) != api.TooLarge {
		t.Errorf("too many: %v", err)
	}
	heard = nil
	if err := d.Contents(t.Context(), nil, hear); err != nil || heard != nil {
		t.Errorf("nothing: %v, %v", heard, err)
	}
	torn = true
	if err := d.Contents(t.Context(), files, hear); api.KindOf(err) != api.Unavailable {
		t.Errorf("a torn answer: %v", err)
	}
}
