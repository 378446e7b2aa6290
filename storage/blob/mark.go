package blob

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"satchel/api"
)

// MarkKey is the key of the object that says whose a store is. It is no pack;
// [Store.List] yields it like any other.
const MarkKey = "satchel-installation"

// Holding is what a store is for.
type Holding string

// A store is for one of these.
const (
	Content Holding = "content" // packs of a running installation
	Backups Holding = "backups" // backups, and the packs that they name
)

// Mark says whose a store is. Only its installation may remove what is there:
// every other one would take it for garbage.
type Mark struct {
	Installation api.ID    `json:"installation"`
	Holds        Holding   `json:"holds"`
	Host         string    `json:"host"` // which wrote it, for people
	Since        time.Time `json:"since"`
}

// maxMark bounds what is read of a mark, in bytes.
const maxMark = 64 << 10

// ReadMark reads a store's mark: [api.NotFound] if it has none, [api.Invalid] if
// it is not what Satchel writes.
func ReadMark(ctx context.Context, s Store) (m Mark, err error) {
	body, err := s.Get(ctx, MarkKey, 0, -1)
	if err != nil {
		return m, err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxMark))
	if err != nil {
		return m, fmt.Errorf("read the blob store's mark: %w", err)
	}
	if err := json.Unmarshal(text, &m); err != nil || m.Installation == (api.ID{}) || m.Holds != Content && m.Holds != Backups {
		return m, api.Errorf(api.Invalid, "the object %s in the blob store is not what Satchel writes", MarkKey)
	}
	return m, nil
}

// Write makes m the mark of a store.
func (m Mark) Write(ctx context.Context, s Store) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return s.Put(ctx, MarkKey, bytes.NewReader(text))
}
