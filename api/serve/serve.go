// Package serve sends stored content over HTTP. It is what all families of the
// API have in common there; the shape of errors is theirs.
package serve

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// Body is content that may turn out not to be readable. Err is why; nil while
// nothing failed.
type Body interface {
	io.ReadSeeker
	Err() error
}

// maxRanges is how many ranges of one request are sent. Each makes the content seek, and look up, read and verify a chunk, however
// little is wanted of it, and a header has room for 250,000.
const maxRanges = 32

// Content answers as http.ServeContent does (ranges and conditions: RFC 9110
// sections 13 and 14), with the headers that w has; more than 32 ranges are none (section 14.2). An error is returned when not
// even the first byte could be had: then nothing was sent, and the headers of
// content are gone, so that the caller can answer with the error. Refusals (412, 416) are written
// to what refusals makes of w. When the
// content fails later the connection is broken, so that the client
// can't take what it has for the whole; broke hears of that first, unless the client is gone.
func Content(w http.ResponseWriter, r *http.Request, modified time.Time, body Body, refusals func(http.ResponseWriter) http.ResponseWriter, broke func(error)) error {
	if strings.Count(r.Header.Get("Range"), ",") >= maxRanges {
		r.Header.Del("Range")
	}
	h := &held{ResponseWriter: w}
	http.ServeContent(refusals(h), r, "", modified, body)
	err := body.Err()
	switch {
	case err == nil:
		h.send()
		return nil
	case h.sent:
		if r.Context().Err() == nil {
			broke(err)
		}
		panic(http.ErrAbortHandler)
	}
	for _, name := range []string{
		"Accept-Ranges", "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Length", "Content-Range", "Content-Type", "Etag", "Last-Modified",
	} {
		h.Header().Del(name)
	}
	return err
}

// held keeps the header of a success back until there is something to follow.
type held struct {
	http.ResponseWriter
	status int // to be sent; 0 = none
	sent   bool
}

func (h *held) WriteHeader(status int) {
	if h.status = status; status >= 400 {
		h.send()
	}
}

func (h *held) Write(p []byte) (int, error) {
	h.send()
	return h.ResponseWriter.Write(p)
}

// ReadFrom is part of [io.ReaderFrom], through which the kernel sends files.
func (h *held) ReadFrom(r io.Reader) (int64, error) {
	h.send()
	return io.Copy(h.ResponseWriter, r)
}

func (h *held) send() {
	if !h.sent && h.status != 0 {
		h.ResponseWriter.WriteHeader(h.status)
	}
	h.sent = true
}
