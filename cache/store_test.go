package cache

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"

	"satchel/api"
)

// BenchmarkNode is the look-up of a node that is not in memory, in a replica that has just taken so many, and one in vain.
func BenchmarkNode(b *testing.B) {
	for _, many := range []int{100_000, 1_000_000} {
		cfg := Config{Dir: scratch(b), Remote: newShelf(), DeviceName: "test", Log: slog.New(slog.DiscardHandler)}
		d, err := Open(cfg)
		must(b, err)
		defer d.Close()
		there, absent := make([]api.ID, many), make([]api.ID, many)
		for i := range many {
			there[i], absent[i] = api.NewID(), api.NewID()
		}
		for i := 0; i < many; i += 1000 {
			t := d.begin()
			for j := i; j < i+1000; j++ {
				r := record{typ: 'f', mode: 0o644, uid: api.Self, gid: api.Self, nlink: 1, size: int64(j), mtime: now(), ctime: now(), version: api.NewID(),
					up: there[i], name: api.Name(fmt.Sprint("file ", j))}
				for k := range r.sha {
					r.sha[k] = byte(rand.Uint32())
				}
				t.b.Set(nodeKey(there[j]), r.append(nil), nil)
				t.b.Set(entryKey(there[i], r.name), (&kid{id: there[j], typ: 'f'}).append(nil), nil)
			}
			must(b, d.st.commit(t.b))
		}
		must(b, d.st.Flush())
		for _, what := range []struct {
			name string
			ids  []api.ID
		}{{"there", there}, {"absent", absent}} {
			b.Run(fmt.Sprint(what.name, "/", many), func(b *testing.B) {
				ids := what.ids
				rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
				used, i := processorTime(b), 0
				for b.Loop() {
					d.mu.Lock()
					n, err := d.load(ids[i%len(ids)])
					if n != nil {
						d.letGo(n)
					}
					d.mu.Unlock()
					must(b, err)
					i++
				}
				b.ReportMetric(float64(processorTime(b)-used)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}
