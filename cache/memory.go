package cache

import (
	"github.com/dgraph-io/ristretto/v2"

	"satchel/api"
)

// A memory decides what of the droppable things in memory stays, within one
// budget: ristretto admits and evicts, the owner of a thing lets go of it when told.
// ristretto may drop anything at any time and only ever decides about
// what Pebble has too.
type memory struct {
	c *ristretto.Cache[uint64, api.ID]
}

// newMemory makes a memory of so many bytes. dropped is called, from another
// goroutine, for each thing that must go.
func newMemory(bytes int64, dropped func(api.ID)) (*memory, error) {
	drop := func(i *ristretto.Item[api.ID]) { dropped(i.Value) }
	c, err := ristretto.NewCache(&ristretto.Config[uint64, api.ID]{
		NumCounters:            max(bytes/4096*10, 1000),
		MaxCost:                bytes,
		BufferItems:            64,
		OnEvict:                drop,
		OnReject:               drop,
		IgnoreInternalCost:     true,
		TtlTickerDurationInSec: 86400, // nothing here expires; an idle machine is left asleep
	})
	return &memory{c}, err
}

// used notes an access.
func (m *memory) used(id api.ID) { m.c.Get(id.Hash64()) }

// keep asks to keep a thing of so many bytes; false means that it was not noted and
// must be asked again.
func (m *memory) keep(id api.ID, bytes int64) bool { return m.c.Set(id.Hash64(), id, bytes) }

func (m *memory) close() { m.c.Close() }
