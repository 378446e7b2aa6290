package dav

import (
	"slices"
	"testing"

	"satchel/api"
)

// However much is said of the nodes of a directory, little of it is in memory at once.
func TestPropertiesInBatches(t *testing.T) {
	sizes := map[api.ID]int64{}
	var ids, with []api.ID
	for i := range 1000 {
		id := api.NewID()
		ids = append(ids, id)
		if i%3 > 0 {
			sizes[id] = int64(i%7) << 16
			if i%250 == 1 {
				sizes[id] = 2 * atOnce
			}
		}
		if sizes[id] > 0 {
			with = append(with, id)
		}
	}
	q := &request{}
	q.remark(slices.Clone(ids), sizes)
	for _, id := range ids {
		if bytes, listed := q.said[id]; !listed || bytes != sizes[id] {
			t.Fatalf("of %s %d bytes are known, not %d", id, bytes, sizes[id])
		}
	}
	var read []api.ID
	for i, id := range with {
		if i < len(read) {
			continue // it came with one before
		}
		batch, bytes := q.batch(id), int64(0)
		for _, id := range batch {
			bytes += sizes[id]
		}
		if bytes > atOnce && len(batch) > 1 || len(read)+len(batch) < len(with) && bytes+sizes[with[len(read)+len(batch)]] <= atOnce {
			t.Errorf("%d nodes with %d bytes are read at once", len(batch), bytes)
		}
		read = append(read, batch...)
	}
	if !slices.Equal(read, with) {
		t.Errorf("%d nodes are read, %d have properties", len(read), len(with))
	}
}
