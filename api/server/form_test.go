package server

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// Names in a form lose their control characters, and no content does, however the body arrives.
func TestMultipartOf(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 200<<10)
	for i := range noise {
		noise[i] = "\x00\x01\r\n-y"[random.IntN(6)]
	}
	contents := []string{"", "\x01", "\r\n", "\r\n--xy\x01\r\n\r\n", "\n--x\r\n\x01", "\r\n--", "\r\n--x-\x01", string(noise)}
	var form bytes.Buffer
	for _, c := range contents {
		form.WriteString("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\x01\tb\x7f.txt\"\r\n\r\n" + c + "\r\n")
	}
	form.WriteString("--x--\r\n")
	for name, arriving := range map[string]func(io.Reader) io.Reader{
		"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "by halves": iotest.HalfReader, "with its end": iotest.DataErrReader,
	} {
		body := io.NopCloser(arriving(bytes.NewReader(form.Bytes())))
		r := &http.Request{Method: "POST", Header: http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}, Body: body}
		parts, err := multipartOf(r)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range contents {
			part, err := parts.NextRawPart()
			if err != nil {
				t.Fatalf("%s: part %d: %v", name, i, err)
			}
			if got := part.FileName(); got != "a\tb.txt" {
				t.Errorf("%s: a name is %q", name, got)
			}
			got, err := io.ReadAll(part)
			if err != nil || string(got) != want {
				t.Errorf("%s: part %d has %d bytes, not %d (%v)", name, i, len(got), len(want), err)
			}
		}
		if _, err := parts.NextRawPart(); err != io.EOF {
			t.Errorf("%s: after the last one: %v", name, err)
		}
	}
	broken := &http.Request{Method: "POST", Header: http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}, Body: io.NopCloser(strings.NewReader("--x\r\n\r\nhalf"))}
	parts, err := multipartOf(broken)
	if err != nil {
		t.Fatal(err)
	}
	part, err := parts.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(part); string(got) != "half" || err != io.ErrUnexpectedEOF {
		t.Errorf("one that breaks off: %q, %v", got, err)
	}
}
