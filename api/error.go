package api

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Kind classifies an error. Kinds cross the wire as these strings; each border
// (HTTP, errno) maps them in one table.
type Kind string

const (
	Invalid         Kind = "invalid"         // the request itself is wrong
	NameTooLong     Kind = "name_too_long"   // a name of more than [MaxName] bytes
	Unauthenticated Kind = "unauthenticated" // no valid identity
	Permission      Kind = "permission"      // known identity without the right
	NotFound        Kind = "not_found"       // absent, or hidden from the caller
	Exists          Kind = "exists"          // the name is taken
	NotEmpty        Kind = "not_empty"       // the directory has entries
	IsDirectory     Kind = "is_a_directory"  // a file was needed
	NotDirectory    Kind = "not_a_directory" // a directory was needed
	Conflict        Kind = "conflict"        // the base version is old
	Resync          Kind = "resync"          // the cursor is unknown: list again
	TooLarge        Kind = "too_large"       // over a size limit
	Quota           Kind = "quota"           // the owner's quota is used up
	NoSpace         Kind = "no_space"        // a disk is full
	RateLimited     Kind = "rate_limited"    // too many requests; see RetryAfter
	Unavailable     Kind = "unavailable"     // try again later
	MissingChunks   Kind = "missing_chunks"  // a commit names chunks that the server lacks: send them again
	Cancelled       Kind = "cancelled"       // the caller gave up
	Internal        Kind = "internal"        // a fault of ours
)

// Error is a classified error. Message is a sentence for a person.
type Error struct {
	Kind       Kind
	Message    string
	RetryAfter time.Duration // for RateLimited and Unavailable; 0 = not said
	Err        error         // the cause, if any; its text is in Message
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Err }

// Soon is when to come back to what is over in a moment: not all at the same one.
func Soon() time.Duration { return time.Second + rand.N(2*time.Second) }

// Errorf makes an error of a kind. A %w operand is kept as the cause.
func Errorf(kind Kind, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: err.Error(), Err: errors.Unwrap(err)}
}

// KindOf is the kind of the outermost classified error in err's chain;
// unclassified cancellations are [Cancelled], all others [Internal], nil is "".
func KindOf(err error) Kind {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Cancelled
	}
	return Internal
}
