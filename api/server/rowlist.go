package server

import (
	"io"
	"iter"
	"net/http"
	"slices"
	"sync"

	"satchel/api"
)

// A list is read to its end before the first byte of it is sent: its header says how many rows there are, and nobody waits for
// a client inside a transaction. What is held of it is the text that is sent, in pieces, of which all lists that are being
// read and sent have a bounded number. A piece that is not full is not counted, so that short lists need no room.
const (
	listPiece  = 1 << 20 // bytes
	listPieces = 512     // about a million files
)

// listRoom is the room for pieces. It is safe for concurrent use.
type listRoom struct {
	mu        sync.Mutex
	all, left int
}

func newListRoom(pieces int) *listRoom { return &listRoom{all: pieces, left: pieces} }

// take takes the room for one more piece of a list that has some.
func (l *listRoom) take(has int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case has >= l.all:
		return api.Errorf(api.TooLarge, "the list has more than %d MiB: ask for parts of it, by limit and offset, or for fewer columns", l.all*listPiece>>20)
	case l.left == 0:
		return &api.Error{Kind: api.Unavailable, Message: "the server has as many lists in hand as it can: try again in a moment", RetryAfter: api.Soon()}
	}
	l.left--
	return nil
}

func (l *listRoom) give(pieces int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left += pieces
}

// rowList is rows of a table as they are sent. Close gives its room back.
type rowList[R any] struct {
	table  table[R]
	fields selection
	room   *listRoom

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
	if len(l.last)+len(row) >= listPiece {
		if err := l.room.take(len(l.full)); err != nil {
			return err
		}
		l.full, l.last = append(l.full, l.last), make([]byte, 0, listPiece)
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
	l.room.give(len(l.full))
	l.full = nil
}
