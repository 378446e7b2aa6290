package server

import (
	"io"
	"iter"
	"net/http"
	"slices"

	"satchel/api"
	"satchel/api/auth"
	"satchel/api/serve"
)

// A list is read to its end before the first byte of it is sent: its header says how many rows there are, and nobody waits for
// a client inside a transaction. What is held of it is the text that is sent, in pieces.

// The room that all lists have which are read whole, in MiB. Who is slow to take a list takes no room away from pages, and half of it
// at most from others' lists; so one list has half as well.
const (
	listPieces = 512 // one of files is about half a million, and of a folder over WebDAV a quarter
	pagePieces = 256 // of folders whose pages are being made (300,000 entries in one)
)

func (s *server) listShare(user api.ID) serve.Share {
	return serve.Share{Room: s.listRoom, Owner: user.String()}
}

// pageShare is of the page that a request asks for; the zero user is whoever is in its network.
func (s *server) pageShare(r *http.Request, user api.ID) serve.Share {
	owner := user.String()
	if user.IsZero() {
		owner = auth.Network(address(r)).String()
	}
	return serve.Share{Room: s.pageRoom, Owner: owner}
}

// rowList is rows of a table as they are sent. Close gives its room back.
type rowList[R any] struct {
	table  table[R]
	fields selection
	share  serve.Share

	rows int
	full [][]byte
	last []byte
}

// Begin makes the list empty.
func (l *rowList[R]) Begin() {
	l.Close()
	l.rows, l.last = 0, l.last[:0]
}

// Add adds a row.
func (l *rowList[R]) Add(r R) error {
	row := l.table.row(l.fields, r)
	if len(l.last)+len(row) >= serve.Piece {
		if err := l.share.Grow(serve.Piece); err != nil {
			return err
		}
		l.full, l.last = append(l.full, l.last), make([]byte, 0, serve.Piece)
	}
	if l.rows++; l.rows > 1 {
		l.last = append(l.last, ',')
	}
	l.last = append(l.last, row...)
	return nil
}

// write sends the list, or the only row as an object if the client asks for that; it is an error
// if there is another number then.
func (l *rowList[R]) write(w http.ResponseWriter, r *http.Request, status int) error {
	return sendRows(w, r, status, l.rows, slices.Values(append(l.full[:len(l.full):len(l.full)], l.last)))
}

// write does the same with rows that are there.
func (t table[R]) write(w http.ResponseWriter, r *http.Request, status int, fields selection, all []R) error {
	return sendRows(w, r, status, len(all), func(yield func([]byte) bool) {
		for i, row := range all {
			text := []byte(t.row(fields, row))
			if i > 0 {
				text = append([]byte{','}, text...)
			}
			if !yield(text) {
				return
			}
		}
	})
}

// sendRows sends rows, whose text with the commas between them comes in pieces.
func sendRows(w http.ResponseWriter, r *http.Request, status, rows int, text iter.Seq[[]byte]) error {
	kind, begin, end := "application/json", "[", "]\n"
	if err := single(r, rows); err != nil {
		return err
	}
	if wantsObject(r) {
		kind, begin, end = objectJSON, "", "\n"
	}
	w.Header().Set("Content-Type", kind+"; charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, begin)
	for piece := range text {
		if _, err := w.Write(piece); err != nil {
			return nil // the client is gone
		}
	}
	io.WriteString(w, end)
	return nil
}

// Close lets go of the list.
func (l *rowList[R]) Close() {
	l.share.Close()
	l.full = nil
}
