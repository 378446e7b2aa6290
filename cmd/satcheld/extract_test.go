package main

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"

	"satchel/api"
)

// Documents are parsed in a process of their own, within its limits.
func TestExtractApart(t *testing.T) {
	var doc bytes.Buffer
	z := zip.NewWriter(&doc)
	w, err := z.Create("word/document.xml")
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("<w><p><r><t>Budget 2026</t></r></p></w>"))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.docx", "-x.docx", "--help.docx"} {
		if text, err := extractApart(t.Context(), name, doc.Bytes()); err != nil || !strings.Contains(text, "Budget 2026") {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if text, err := extractApart(t.Context(), "a.pdf", []byte("no PDF")); err == nil || text != "" {
		t.Errorf("what is none: %q, %v", text, err)
	}
	if _, err := extractApart(t.Context(), strings.Repeat("a", 4<<20)+".docx", doc.Bytes()); api.KindOf(err) != api.Unavailable {
		t.Errorf("a process that can't be started: %v", err)
	}
}
