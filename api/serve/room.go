package serve

import (
	"sync"

	"satchel/api"
)

// Piece is the unit of a [Room], in bytes.
const Piece = 1 << 20

// Room is what all lists together may hold in memory that are being read and sent. It is safe for concurrent use.
type Room struct {
	mu        sync.Mutex
	all, left int // pieces
}

// NewRoom makes a room of some pieces.
func NewRoom(pieces int) *Room { return &Room{all: pieces, left: pieces} }

// Left is how many pieces are free.
func (r *Room) Left() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.left
}

// take takes one more piece for a list that has some.
func (r *Room) take(has int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case has >= r.all:
		return api.Errorf(api.TooLarge, "the list has more than %d MiB: ask for a part of it", r.all*Piece>>20)
	case r.left == 0:
		return &api.Error{Kind: api.Unavailable, Message: "the server has as many lists in hand as it can: try again in a moment", RetryAfter: api.Soon()}
	}
	r.left--
	return nil
}

func (r *Room) give(pieces int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left += pieces
}

// Share is what one list has of a room. It is used by one goroutine.
type Share struct {
	Room   *Room
	bytes  int
	pieces int
}

// Grow takes room for so many bytes more. A piece that is not full is not counted, so that short lists need no room.
// More than there is at all is [api.TooLarge], and more than there is now [api.Unavailable].
func (s *Share) Grow(bytes int) error {
	for s.bytes += bytes; s.bytes >= (s.pieces+1)*Piece; s.pieces++ {
		if err := s.Room.take(s.pieces); err != nil {
			return err
		}
	}
	return nil
}

// Close gives all of it back. The share can be used again.
func (s *Share) Close() {
	s.Room.give(s.pieces)
	s.bytes, s.pieces = 0, 0
}
