package server

import (
	"mime"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

// File names with quotes, newlines, backslashes or emoji cannot break a header.
func TestContentDisposition(t *testing.T) {
	for name, want := range map[string]string{
		"a.txt":               `inline; filename="a.txt"`,
		"[a] b.txt":           `inline; filename="[a] b.txt"`,
		`say "hi".txt`:        `inline; filename="say _hi_.txt"; filename*=UTF-8''say%20%22hi%22.txt`,
		"a\r\nX-Evil: 1":      `inline; filename="a__X-Evil: 1"; filename*=UTF-8''a%0D%0AX-Evil%3A%201`,
		`back\slash`:          `inline; filename="back_slash"; filename*=UTF-8''back%5Cslash`,
		"100%25.txt":          `inline; filename="100_25.txt"; filename*=UTF-8''100%2525.txt`,
		"emoji 🎒.png":         `inline; filename="emoji _.png"; filename*=UTF-8''emoji%20%F0%9F%8E%92.png`,
		"a;filename=evil.exe": `inline; filename="a;filename=evil.exe"`,
		"\xff\xfe":            `inline; filename="__"; filename*=UTF-8''%EF%BF%BD`,
	} {
		if got := contentDisposition("inline", name); got != want {
			t.Errorf("%q gives\n%s\nnot\n%s", name, got, want)
		}
	}
}

// Whatever the name is, the header is one line that other programs read back
// as the same name.
func FuzzContentDisposition(f *testing.F) {
	for _, name := range []string{"a", `"`, `\"`, "\r\n", "a*=UTF-8''b", "ü", "🎒", "%", "'", "\x7f", "\xff"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		header := contentDisposition("attachment", name)
		for i := range len(header) {
			if header[i] < ' ' || header[i] > '~' {
				t.Fatalf("%q has the byte %#x", header, header[i])
			}
		}
		kind, params, err := mime.ParseMediaType(header)
		if err != nil || kind != "attachment" || len(params) != 1 {
			t.Fatalf("%q reads as %s %v, %v", header, kind, params, err)
		}
		if utf8.ValidString(name) && params["filename"] != name {
			t.Errorf("%q reads as %q, not %q", header, params["filename"], name)
		}
	})
}

// Inline for an allow-list, else attachment; a sandbox for all but PDF.
func TestDressContent(t *testing.T) {
	for mediaType, want := range map[string]string{
		"image/png": "inline", "application/pdf": "inline", "text/plain; charset=utf-8": "inline", "audio/ogg": "inline", "video/mp4": "inline",
		"text/html; charset=utf-8": "attachment", "image/svg+xml": "attachment", "text/xml; charset=utf-8": "attachment", "application/xhtml+xml": "attachment",
		"text/javascript; charset=utf-8": "attachment", "application/octet-stream": "attachment", "application/zip": "attachment", "": "attachment", "nonsense;;": "attachment",
	} {
		h := http.Header{}
		dressContent(h, "name", mediaType)
		if got, _, _ := strings.Cut(h.Get("Content-Disposition"), ";"); got != want {
			t.Errorf("%s: %s, not %s", mediaType, got, want)
		}
		csp := h.Get("Content-Security-Policy")
		if sandboxed := strings.Contains(csp, "sandbox"); sandboxed == (mediaType == "application/pdf") || !strings.Contains(csp, "default-src 'none'") {
			t.Errorf("%s: policy %s", mediaType, csp)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s may be sniffed", mediaType)
		}
	}
}
