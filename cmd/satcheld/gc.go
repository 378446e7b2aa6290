package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"satchel/api"
	"satchel/api/admin"
	"satchel/cmd/internal/cli"
	"satchel/storage"
	"satchel/storage/gc"
	"satchel/storage/postgres"
)

type gcCmd struct {
	Grace time.Duration `zero:"" default:"24h" help:"Leave alone what came, or became garbage, within this time (${default})."`
	otherRetention
}

// Run collects garbage now, beside a running server or without.
func (cmd *gcCmd) Run(p *program) error {
	if cmd.Grace < 0 {
		return usageError{"--grace can't be negative"}
	}
	bars := newStepBars(p.stderr, p.json)
	defer bars.close()
	return p.keep(func(u *upkeep, db *database) error {
		app, err := postgres.Open(p.ctx, db.app)
		if err != nil {
			return err
		}
		defer app.Close()
		u.expire, u.instead = storage.New(app, u.blobs, p.log).Expire, cmd.otherRetention
		found, err := u.run(p.ctx, postgres.Run{ID: api.NewID(), Kind: admin.GC, Via: "command"}, cmd.Grace, bars.show, func() {})
		bars.close()
		report, ok := found.(gc.Report)
		if errors.Is(err, errRunning) && !ok {
			report.AnotherRunning, report.Damaged = true, []api.ID{}
		}
		if err != nil && !report.AnotherRunning {
			return err
		}
		if p.json {
			return cli.PrintJSON(p.stdout, report)
		}
		describeGC(p.stdout, report)
		return nil
	})
}

// describeGC says in words what a run did, and how long it kept the past.
func describeGC(w io.Writer, r gc.Report) {
	if r.AnotherRunning {
		fmt.Fprintln(w, "another process is collecting garbage, or checking the store: nothing was done")
		return
	}
	fmt.Fprintf(w, "kept are versions %s, daily %s, trash %s, events %s: %s\n", r.KeepVersions, r.KeepDaily, r.KeepTrash, r.KeepEvents, r.KeepWhy)
	line := func(n int64, format string, args ...any) {
		if n > 0 {
			fmt.Fprintf(w, format+"\n", append([]any{n}, args...)...)
		}
	}
	line(r.ExpiredVersions, "%d old versions and %d things in the trash went, as the retention policy and the quotas say: %s", r.ExpiredTrash, bytesText(r.ExpiredBytes))
	if r.ExpiredVersions == 0 {
		line(r.ExpiredTrash, "%d things in the trash went, as the retention policy and the quotas say: %s", bytesText(r.ExpiredBytes))
	}
	line(r.Nodes, "%d rows of deleted files were removed")
	line(r.Versions, "%d versions of files that are no more were removed")
	line(r.Batches, "%d answers that no device will ask for were removed")
	line(r.Changes, "%d changes that no device will ask for were forgotten")
	line(r.Chunks, "%d chunks that nothing refers to were removed: %s", bytesText(r.ChunkBytes))
	line(r.Repacked, "%d packs that were mostly garbage, or damaged, became %d: %s saved when they are deleted", r.RepackedInto, bytesText(r.RepackedBytes))
	line(r.Packs, "%d packs had no chunks left")
	line(r.Deleted, "%d objects of former packs were deleted: %s freed", bytesText(r.DeletedBytes))
	line(r.Orphans, "%d objects that belonged to nothing were deleted: %s freed", bytesText(r.OrphanBytes))
	line(r.Events, "%d lines of the audit log were kept long enough")
	line(r.Condemned, "%d chunks are garbage since now, and go when the grace period is over")
	line(int64(len(r.Damaged)), "%d packs are damaged; what is whole in them was moved to others: see satcheld fsck --deep")
	if r.BehindSeconds > 0 {
		fmt.Fprintf(w, "all was taken to be %s younger: the database's clock differs from this machine's, or it jumped, or nothing ran for days; in a day it is believed\n",
			time.Duration(r.BehindSeconds*float64(time.Second)).Round(time.Minute))
	}
	fmt.Fprintf(w, "done in %s\n", time.Duration(r.Seconds*float64(time.Second)).Round(time.Millisecond))
}

// keep runs fn with what works on all users' rows and objects.
func (p *program) keep(fn func(*upkeep, *database) error) error {
	if err := p.check(); err != nil {
		return err
	}
	db, err := p.openDatabase(p.ctx)
	if err != nil {
		return err
	}
	defer db.close()
	open, err := p.blobStore()
	if err != nil {
		return err
	}
	blobs, closeBlobs, err := open(p.ctx, db, p.log)
	if err != nil {
		return err
	}
	defer closeBlobs()
	return fn(&upkeep{ownerURL: db.owner, blobs: blobs, store: p.storeName(), log: p.log}, db)
}

// wait waits about an interval, a third more or less, so that servers that start
// together don't meet each time; false when ctx has ended.
func wait(ctx context.Context, interval time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(interval*2/3 + rand.N(interval*2/3+1)):
		return true
	}
}

// bytesText is a number of bytes for people.
func bytesText(n int64) string {
	const units = "KMGTPE"
	if n < 1<<10 {
		return fmt.Sprintf("%d bytes", n)
	}
	f, i := float64(n)/(1<<10), 0
	for ; f >= 1<<10; i++ {
		f /= 1 << 10
	}
	return fmt.Sprintf("%.1f %ciB", f, units[i])
}
