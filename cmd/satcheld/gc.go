package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"satchel/api"
	"satchel/storage"
	"satchel/storage/blob"
	"satchel/storage/gc"
	"satchel/storage/postgres"
)

type gcCmd struct {
	Grace time.Duration `default:"24h" help:"Leave alone what came, or became garbage, within this time (${default})."`
	JSON  bool          `name:"json" help:"Print the figures as JSON."`
	retention
}

// Run collects garbage now, beside a running server or without.
func (cmd *gcCmd) Run(p *program) error {
	if cmd.Grace < 0 {
		return usageError{"--grace can't be negative"}
	}
	bars := newStepBars(p.stderr, cmd.JSON)
	defer bars.close()
	return p.keep(func(k *postgres.Keeper, blobs blob.Store, db *database) error {
		app, err := postgres.Open(p.ctx, db.app)
		if err != nil {
			return err
		}
		defer app.Close()
		report, err := gc.Run(p.ctx, k, blobs, gc.Options{
			Grace: cmd.Grace, Changes: gc.DefaultChanges, Expire: expire(storage.New(app, blobs, p.log), cmd.policy()), Progress: bars.show,
		}, p.log)
		bars.close()
		if err != nil {
			return err
		}
		if cmd.JSON {
			return printJSON(p.stdout, report)
		}
		describeGC(p.stdout, report)
		return nil
	})
}

func expire(drives *storage.Service, keep storage.Retention) func(context.Context) (postgres.Expired, error) {
	return func(ctx context.Context) (postgres.Expired, error) {
		return drives.Expire(ctx, keep)
	}
}

// describeGC says in words what a run did.
func describeGC(w io.Writer, r gc.Report) {
	if r.AnotherRunning {
		fmt.Fprintln(w, "another process is collecting garbage, or checking the store: nothing was done")
		return
	}
	line := func(n int64, format string, args ...any) {
		if n > 0 {
			fmt.Fprintf(w, format+"\n", append([]any{n}, args...)...)
		}
	}
	line(r.ExpiredVersions, "%d old versions and %d things in the trash went, as the retention policy says: %s", r.ExpiredTrash, bytesText(r.ExpiredBytes))
	if r.ExpiredVersions == 0 {
		line(r.ExpiredTrash, "%d things in the trash went, as the retention policy says: %s", bytesText(r.ExpiredBytes))
	}
	line(r.Nodes, "%d rows of deleted files were removed")
	line(r.Versions, "%d versions of files that are no more were removed")
	line(r.Batches, "%d answers that no device will ask for were removed")
	line(r.Changes, "%d changes that no device will ask for were forgotten")
	line(r.Chunks, "%d chunks that nothing refers to were removed: %s", bytesText(r.ChunkBytes))
	line(r.Repacked, "%d packs that were mostly garbage became %d: %s saved when they are deleted", r.RepackedInto, bytesText(r.RepackedBytes))
	line(r.Packs, "%d packs had no chunks left")
	line(r.Deleted, "%d objects of former packs were deleted: %s freed", bytesText(r.DeletedBytes))
	line(r.Orphans, "%d objects that belonged to nothing were deleted: %s freed", bytesText(r.OrphanBytes))
	line(r.Condemned, "%d chunks are garbage since now, and go when the grace period is over")
	line(int64(len(r.Damaged)), "%d packs are damaged and were left alone: see satcheld fsck --deep")
	fmt.Fprintf(w, "done in %s\n", time.Duration(r.Seconds*float64(time.Second)).Round(time.Millisecond))
}

// keep runs fn with what works on all users' rows and objects.
func (p *program) keep(fn func(*postgres.Keeper, blob.Store, *database) error) error {
	if err := p.check(); err != nil {
		return err
	}
	db, err := p.openDatabase(p.ctx, true)
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
	k, err := postgres.OpenKeeper(p.ctx, db.owner)
	if err != nil {
		return err
	}
	defer k.Close()
	return fn(k, blobs, db)
}

// collectGarbage collects garbage about every so often until ctx ends. Of
// several servers of one database whichever comes first does it.
func collectGarbage(ctx context.Context, every time.Duration, ownerURL string, blobs blob.Store, expire func(context.Context) (postgres.Expired, error), log *slog.Logger) {
	for {
		// A third more or less, so that servers that start together don't meet
		// each time.
		wait := every*2/3 + rand.N(every*2/3+1)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		report, err := collectOnce(ctx, ownerURL, blobs, expire, log)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Warn("garbage was not collected to the end", "err", err)
		case !report.AnotherRunning:
			log.Info("garbage collected", "chunks", report.Chunks, "bytes", report.DeletedBytes+report.OrphanBytes,
				"repacked", report.Repacked, "damaged", len(report.Damaged), "seconds", report.Seconds)
		}
	}
}

func collectOnce(ctx context.Context, ownerURL string, blobs blob.Store, expire func(context.Context) (postgres.Expired, error), log *slog.Logger) (gc.Report, error) {
	k, err := postgres.OpenKeeper(ctx, ownerURL)
	if err != nil {
		return gc.Report{}, err
	}
	defer k.Close()
	return gc.Run(ctx, k, blobs, gc.Options{Grace: gc.DefaultGrace, Changes: gc.DefaultChanges, Expire: expire}, log)
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return api.Errorf(api.Internal, "print the figures: %w", err)
	}
	return nil
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
