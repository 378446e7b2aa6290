package storage

import (
	"context"
	"fmt"
	"testing"
	"time"

	"satchel/api"
)

// BenchmarkCommitCreates creates files of one chunk in batches of 2000, 100 in a directory.
func BenchmarkCommitCreates(b *testing.B) {
	for _, size := range []int{1, 100, 2000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) { benchmarkCreates(b, size) })
	}
}

func benchmarkCreates(b *testing.B, size int) {
	w := newWorld(b)
	d := w.home(b, w.user(b, "editor"))
	v := d.content(b, "the same content, so that chunks cost what they do in practice")
	files := 0
	for b.Loop() {
		b.StopTimer()
		batch := make([]api.Mutation, 0, size)
		var dir api.ID
		for i := range size {
			if i%100 == 0 {
				m := createDir(d.Root(), api.Name(fmt.Sprint("dir", files, ".", i)))
				dir = m.Node
				batch = append(batch, m)
				if size > 1 {
					continue
				}
				dir = d.Root()
				batch = batch[:0]
			}
			version := *v
			version.ID = api.NewID()
			batch = append(batch, api.Mutation{
				Op: api.OpCreate, Node: api.NewID(), Parent: dir, Name: api.Name(fmt.Sprintf("file%d.%d.txt", files, i)),
				Attr: &api.Attr{Type: api.File}, Version: &version, Time: time.Now().UnixNano(),
			})
		}
		b.StartTimer()
		d.number++
		c, err := d.Commit(context.Background(), api.Batch{Incarnation: d.incarnation, Number: d.number, Mutations: batch})
		if err != nil {
			b.Fatal(err)
		}
		for _, o := range c.Outcomes {
			if o.Status != api.Applied {
				b.Fatal(o)
			}
		}
		files += len(batch)
	}
	b.ReportMetric(float64(files)/b.Elapsed().Seconds(), "files/s")
}
