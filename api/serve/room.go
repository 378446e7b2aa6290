package serve

import (
	"sync"

	"satchel/api"
)

// Piece is the unit of a [Room], in bytes.
const Piece = 1 << 20

// Room is what all lists together may hold in memory that are being read and sent. One owner may have a part of it, so that others have
// some however slow he takes his lists. It is safe for concurrent use.
type Room struct {
	mu   sync.Mutex
	left int // pieces
	each int // pieces that one owner may have
	of   map[string]int
}

// NewRoom makes a room of some pieces, of which each owner may have so many.
func NewRoom(pieces, each int) *Room { return &Room{left: pieces, each: each, of: map[string]int{}} }

// Left is how many pieces are free.
func (r *Room) Left() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.left
}

// take takes one more piece for a list of an owner that has some.
func (r *Room) take(owner string, has int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case has >= r.each:
		return api.Errorf(api.TooLarge, "the list has more than %d MiB: ask for a part of it", r.each*Piece>>20)
	case r.left == 0 || r.of[owner] >= r.each:
		return &api.Error{Kind: api.Unavailable, Message: "the server has as many lists in hand as it can, or as it may of one account: try again in a moment", RetryAfter: api.Soon()}
	}
	r.left--
	r.of[owner]++
	return nil
}

func (r *Room) give(owner string, pieces int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left += pieces
	if r.of[owner] -= pieces; r.of[owner] == 0 {
		delete(r.of, owner)
	}
}

// Share is what one list has of a room. It is used by one goroutine.
type Share struct {
	Room   *Room
	Owner  string // an account, or where nobody is signed in a network; the same until Close
	bytes  int
	pieces int
}

// Grow takes room for so many bytes more. A piece that is not full is not counted, so that short lists need no room.
// More than an owner may have is [api.TooLarge], and more than there is now, or than he has left, [api.Unavailable].
func (s *Share) Grow(bytes int) error {
	for s.bytes += bytes; s.bytes >= (s.pieces+1)*Piece; s.pieces++ {
		if err := s.Room.take(s.Owner, s.pieces); err != nil {
			return err
		}
	}
	return nil
}

// Close gives all of it back. The share can be used again.
func (s *Share) Close() {
	s.Room.give(s.Owner, s.pieces)
	s.bytes, s.pieces = 0, 0
}
