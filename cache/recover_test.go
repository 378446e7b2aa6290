package cache

import (
	"fmt"
	"log/slog"
	"testing"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// A record of a content file that is not its node's any more goes when the cache is opened, whether it comes before the one that
// is or after it; the node keeps its content.
func TestRecordsOfOneNodesContentFiles(t *testing.T) {
	v := neighbours(t, "laptop")[0]
	must(t, v.write("letter", "dear anybody"))
	must(t, v.write("other", "text"))
	mustQuiet(t, v)
	_, rec := v.slotOf(t, "letter")
	v.d.mu.Lock()
	slot := v.d.byID[rec.node].slot
	tx := v.d.begin()
	others := []uint64{slot - 1, 1 << 40}
	for i := range others {
		if v.d.slots.held[others[i]] != nil { // the neighbour's
			others[i] = 1 << 41
		}
		tx.b.Set(slotKey(others[i]), rec.append(nil), nil)
	}
	must(t, tx.commit())
	v.d.mu.Unlock()
	v.restart()
	v.wire.cut()
	if got, err := v.read("letter"); err != nil || got != "dear anybody" {
		t.Errorf("without the server the letter is %q, %v", got, err)
	}
	for _, other := range others {
		if _, err := v.d.slotRecord(other); err == nil {
			t.Errorf("the record of content file %x is there yet", other)
		}
	}
	v.wire.mend()
	mustQuiet(t, v)
}

// BenchmarkOpen is the opening of a cache that has many files, after a clean end and after another.
func BenchmarkOpen(b *testing.B) {
	const files = 50_000
	for _, how := range []string{"clean", "rebooted"} {
		b.Run(how, func(b *testing.B) {
			cfg := Config{Dir: scratch(b), Remote: newShelf(), DeviceName: "test", Limit: 1 << 40, Log: slog.New(slog.DiscardHandler)}
			open := func() *Drive {
				if how == "rebooted" {
					cfg.seam.boot = api.NewID().String()
				}
				d, err := Open(cfg)
				must(b, err)
				d.working.Go(d.slots.worker)
				return d
			}
			d := open()
			for i := range files {
				d.makeClean(b, fmt.Sprint("file ", i))
			}
			must(b, d.Close())
			used := processorTime(b)
			for b.Loop() {
				must(b, open().Close())
			}
			b.ReportMetric(float64(processorTime(b)-used)/float64(b.N)/1e6, "cpu-ms/op")
		})
	}
}

// makeClean makes a file as if the server had it.
func (d *Drive) makeClean(t testing.TB, name string) {
	a, _, err := d.Create(rootFID, name, 0o600, unix.O_RDWR|unix.O_CREAT, Cred{}, nil)
	must(t, err)
	d.Release(a.FID, unix.O_RDWR)
	d.mu.Lock()
	n := d.byFID[a.FID]
	tx := d.begin()
	tx.drop(n.hot.entry)
	n.flags |= flagAcked
	n.version = api.NewID()
	tx.node(n)
	d.clean(tx, n)
	must(t, tx.commit())
	d.mu.Unlock()
	d.Forget(a.FID, 1)
}

// processorTime is what this process used so far, ns.
func processorTime(t testing.TB) int64 {
	var u unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return u.Utime.Nano() + u.Stime.Nano()
}
