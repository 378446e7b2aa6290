// Package blob is where packs are kept: immutable objects under keys that
// PostgreSQL remembers. Every store keeps the contract of [Store]; package
// blobtest proves it.
package blob

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"time"

	"satchel/api"
)

// Store keeps immutable objects. All methods may be called concurrently, and
// by several processes on the same store. Errors of a store's own are of kind
// [api.Unavailable] where trying again may help, [api.NoSpace] when it is
// full, and [api.Internal] otherwise.
type Store interface {
	// Put stores what r yields, to its end, under key. When it returns nil the
	// object is durable and whole; when it fails, because of r, ctx or the
	// store, nothing is found under key. (But if the store went away with its
	// answer, and can't be told to remove it, the whole object may be.) An error
	// of r is returned wrapped. Where there is an object already, the new one
	// takes its place at once: until then, and when r fails, the old one is
	// found; when the store fails, one of both or none.
	Put(ctx context.Context, key string, r io.Reader) error

	// Get reads n bytes from offset off; n < 0 means to the end. A missing
	// object, or a range that begins after its end, is [api.NotFound]; a range that
	// reaches over the end is cut. The caller closes the reader, and must read to
	// io.EOF to know that it got everything. What is before bytes that the store
	// has lost can be read; [Gone] knows the error of those.
	Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)

	// Delete removes the object, durably. A missing one is no error. Whether
	// readers that have it open may read on is not defined; they fail or get
	// all of it.
	Delete(ctx context.Context, key string) error

	// List yields all objects in no particular order. Objects that are put or
	// deleted meanwhile may be yielded or not; objects not yet whole are not.
	// After an error it ends.
	List(ctx context.Context) iter.Seq2[Info, error]
}

// ErrLost is of bytes that an object should have and a store has lost: trying again does not help.
var ErrLost = errors.New("bytes are lost")

// Until is a source for Put that fails once ctx is over.
func Until(ctx context.Context, r io.Reader) io.Reader { return &until{ctx, r} }

type until struct {
	ctx context.Context
	r   io.Reader
}

func (u *until) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(b)
}

// A Sender is what [Store.Get] returns when the bytes are in a file of this
// machine. SendTo writes the next n bytes to w, by w's [io.ReaderFrom] if it has
// one, so that the kernel can send them without a copy. Fewer bytes without an
// error of w are an error.
type Sender interface {
	SendTo(w io.Writer, n int64) (sent int64, err error)
}

// Info describes an object.
type Info struct {
	Key      string
	Size     int64 // bytes
	Modified time.Time
}

// MaxKey is the longest key in bytes.
const MaxKey = 128

// CheckKey tells whether a key is one that every store can hold: 2 to
// [MaxKey] bytes of a–z, 0–9 and "-". The error is of kind [api.Invalid].
func CheckKey(key string) error {
	if len(key) < 2 || len(key) > MaxKey || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return api.Errorf(api.Invalid, "%q can't be a blob's key", key)
	}
	return nil
}
