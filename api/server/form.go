package server

import (
	"bufio"
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"satchel/api"
)

// multipartOf reads a form with files. A name in it may have control characters,
// which package multipart takes for a broken form: they are left out before.
func multipartOf(r *http.Request) (*multipart.Reader, error) {
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && params["boundary"] != "" {
		r.Body = struct {
			io.Reader
			io.Closer
		}{&partHeaders{r: bufio.NewReaderSize(r.Body, 64<<10), end: []byte("\r\n--" + params["boundary"]), in: true}, r.Body}
	}
	form, err := r.MultipartReader()
	if err != nil {
		err = api.Errorf(api.Invalid, "the body is not multipart/form-data: %w", err)
	}
	return form, err
}

// partHeaders reads a multipart body and leaves control characters out of its
// parts' headers (RFC 2046 section 5.1.1). Their contents pass as they are.
type partHeaders struct {
	r     *bufio.Reader
	end   []byte // of a part's content, but for what follows the boundary
	in    bool   // in a header, or in what is before the first one
	blank bool   // the line so far is
}

func (h *partHeaders) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !h.in {
		return h.content(p)
	}
	for n := 0; ; {
		c, err := h.r.ReadByte()
		if err == io.EOF { // what ends a form begins no header: package multipart would take this for such an end
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return n, err
		}
		switch {
		case c == '\n':
			h.in, h.blank = !h.blank, true
		case c == '\r':
		case c < ' ' && c != '\t' || c == 0x7f:
			continue
		default:
			h.blank = false
		}
		p[n] = c
		if n++; n == len(p) || !h.in || h.r.Buffered() == 0 {
			return n, nil
		}
	}
}

// content is what is here of a part's content, up to where it ends.
func (h *partHeaders) content(p []byte) (int, error) {
	if _, err := h.r.Peek(len(h.end) + 1); err != nil && (err != io.EOF || h.r.Buffered() == 0) {
		return 0, err
	}
	b, _ := h.r.Peek(h.r.Buffered())
	n := len(b)
	for i := 0; ; i++ {
		at := bytes.Index(b[i:], h.end)
		if at < 0 {
			break
		}
		if i += at; i+len(h.end) == len(b) || strings.IndexByte("\r\n\t ", b[i+len(h.end)]) >= 0 {
			n = i
			break
		}
	}
	switch {
	case n == 0: // the header begins with its line's end
		h.in, h.blank = true, false
		return h.Read(p)
	case n == len(b) && n > len(h.end): // its end may be here in part
		n -= len(h.end)
	}
	return h.r.Read(p[:min(n, len(p))])
}
