package extract

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// pdfOf is a PDF of one page that shows lines.
func pdfOf(lines ...string) []byte {
	var stream strings.Builder
	stream.WriteString("BT /F1 12 Tf 72 720 Td ")
	for _, l := range lines {
		fmt.Fprintf(&stream, "(%s) Tj 0 -14 Td ", l)
	}
	stream.WriteString("ET")
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	var offsets []int
	for i, o := range []string{
		"<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", stream.Len(), stream.String()),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
	} {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, xref)
	return b.Bytes()
}

func zipOf(t testing.TB, parts ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		w, err := z.Create(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(parts[i+1]))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestText(t *testing.T) {
	word := zipOf(t, "[Content_Types].xml", "<Types>types</Types>", "word/styles.xml", "<s>styling</s>",
		"word/document.xml", `<w:document xmlns:w="x"><w:p><w:r><w:t>Bud</w:t></w:r><w:r><w:t>get 2026</w:t></w:r></w:p><w:p><w:r><w:t>Rent</w:t></w:r></w:p></w:document>`)
	for _, test := range []struct {
		name, content string
		has, hasNot   []string
	}{
		{"a.txt", "plain words", []string{"plain words"}, nil},
		{"main.go", "package main // zebra", []string{"zebra"}, nil},
		{"README", "# no extension", []string{"no extension"}, nil},
		{"x.bin", "\x00\x01binary", nil, []string{"binary"}},
		{"latin1.txt", "caf\xe9", nil, []string{"caf"}},
		{"a.html", "<title>Tea</title><script>var secret</script><p>Earl&nbsp;<b>G</b>rey", []string{"Tea", "rey"}, []string{"secret", "<b>"}},
		{"a.docx", string(word), []string{"Budget 2026", "Rent"}, []string{"2026Rent", "styling", "types"}},
		{"a.xlsx", string(zipOf(t, "xl/sharedStrings.xml", "<sst><si><t>Income</t></si><si><t>Taxes</t></si></sst>", "xl/worksheets/sheet1.xml", "<c><v>4711</v></c>")), []string{"Income", "Taxes", "4711"}, []string{"IncomeTaxes"}},
		{"a.pptx", string(zipOf(t, "ppt/slides/slide1.xml", "<p><t>Roadmap</t></p>")), []string{"Roadmap"}, nil},
		{"a.odt", string(zipOf(t, "mimetype", "application/vnd.oasis.opendocument.text", "content.xml", "<o><p>Garten<span>haus</span></p></o>")), []string{"Gartenhaus"}, nil},
		{"a.pdf", string(pdfOf("Invoice 1234", "for apples")), []string{"Invoice 1234", "for apples"}, nil},
	} {
		text, err := Text(t.Context(), test.name, []byte(test.content))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		for _, s := range test.has {
			if !strings.Contains(text, s) {
				t.Errorf("%s: %q is not in %q", test.name, s, text)
			}
		}
		for _, s := range test.hasNot {
			if strings.Contains(text, s) {
				t.Errorf("%s: %q is in %q", test.name, s, text)
			}
		}
	}
}

func TestBounds(t *testing.T) {
	if Limit("a.pdf", maxDocument+1) != 0 || Limit("a.pdf", 10) != maxDocument || Limit("a.txt", 1<<40) != maxPlain {
		t.Error("limits")
	}
	text, err := Text(t.Context(), "a.txt", bytes.Repeat([]byte("word "), maxText))
	if err != nil || len(text) > maxText {
		t.Errorf("%d bytes of text: %v", len(text), err)
	}
	// A small archive that unpacks to much.
	bomb := zipOf(t, "word/document.xml", "<w>"+strings.Repeat("<t></t>", 3<<20)+"</w>")
	if text, _ := Text(t.Context(), "a.docx", bomb); len(text) > maxText {
		t.Errorf("%d bytes of text", len(text))
	}
	for _, name := range []string{"a.pdf", "a.docx", "a.odt"} {
		if text, err := Text(t.Context(), name, []byte("not at all")); err == nil || text != "" {
			t.Errorf("%s that is none: %q, %v", name, text, err)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("a.pdf", pdfOf("x"))
	f.Add("a.docx", []byte("PK\x03\x04"))
	f.Add("a.html", []byte("<script>"))
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		if text, _ := Text(t.Context(), name, content); len(text) > maxText+3 {
			t.Errorf("%d bytes", len(text))
		}
	})
}

func TestLimit(t *testing.T) {
	for _, c := range []struct {
		name string
		size int64
		want int64
	}{
		{"notes", 10, maxPlain}, {"notes.txt", 10, maxPlain}, {"notes.txt", 0, 0}, {"photo.JPG", 10, 0}, {"film.mkv", 1 << 40, 0}, {"jpg", 10, maxPlain},
		{"report.pdf", 10, maxDocument}, {"report.pdf", maxDocument + 1, 0}, {"archive.tar.gz", 10, 0},
	} {
		if got := Limit(c.name, c.size); got != c.want {
			t.Errorf("of %s with %d bytes %d are wanted, not %d", c.name, c.size, got, c.want)
		}
	}
}
