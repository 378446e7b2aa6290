package storage

import (
	"context"
	"fmt"
	"testing"

	"satchel/api"
)

// BenchmarkCommitMixed writes, renames, chmods and unlinks files of a drive that
// has grown from nothing to 50,000 over the same connections, 2000 at once: plans
// that were made for empty tables must still do.
func BenchmarkCommitMixed(b *testing.B) {
	w := newWorld(b)
	d := w.home(b, w.user(b, "editor"))
	v := d.content(b, "content")
	mode := uint32(0o600)
	var files []api.Mutation
	send := func(batch []api.Mutation) {
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
	}
	create := func(n int) {
		var batch []api.Mutation
		dir := createDir(d.Root(), api.Name(fmt.Sprint("dir", len(files))))
		batch = append(batch, dir)
		for i := range n {
			version := *v
			version.ID = api.NewID()
			batch = append(batch, api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: dir.Node, Name: api.Name(fmt.Sprint(len(files), ".", i)),
				Attr: &api.Attr{Type: api.File}, Version: &version, Time: 1})
		}
		send(batch)
		files = append(files, batch[1:]...)
	}
	for range 25 {
		create(2000)
	}
	n, mutations := 0, 0
	for b.Loop() {
		batch := make([]api.Mutation, 0, 2000)
		for len(batch) < 2000 {
			f := files[n]
			n++
			version := *v
			version.ID = api.NewID()
			batch = append(batch,
				api.Mutation{Op: api.OpWrite, Node: f.Node, Parent: f.Parent, Name: f.Name, Base: f.Version.ID, Version: &version, Time: 2},
				api.Mutation{Op: api.OpSetattr, Node: f.Node, Attr: &api.Attr{Mode: &mode}, Time: 2},
				api.Mutation{Op: api.OpRename, Node: f.Node, Parent: f.Parent, Name: f.Name, ToParent: f.Parent, ToName: f.Name + "x", Time: 2})
			if n%2 == 0 {
				batch = append(batch, api.Mutation{Op: api.OpUnlink, Node: f.Node, Parent: f.Parent, Name: f.Name + "x", Base: version.ID, Time: 2})
			}
		}
		send(batch)
		mutations += len(batch)
		if n+2000 > len(files) {
			b.StopTimer()
			create(2000)
			b.StartTimer()
		}
	}
	b.ReportMetric(float64(mutations)/b.Elapsed().Seconds(), "mutations/s")
}
