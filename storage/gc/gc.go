// Package gc removes what nothing refers to any more: rows of the past, chunks
// that no version names, packs without chunks, and objects that no row knows;
// and it rewrites packs that are mostly garbage, or damaged.
//
// It never holds up more than it must, and may be killed at any time: every
// step is one transaction, or the removal of one object that can't be read any
// more, and the next run goes on from what the database says. What it must not
// get wrong is written where it is done: package postgres, gc_chunks.go, for
// chunks that are garbage when it looks and are named the next moment.
package gc

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"satchel/api"
	"satchel/storage/blob"
	"satchel/storage/fault"
	"satchel/storage/postgres"
)

// Default ages.
const (
	DefaultGrace   = 24 * time.Hour
	DefaultChanges = 400 * 24 * time.Hour // longer than any retention of history
)

// Options say what is old enough to go.
type Options struct {
	// Grace is for what is on its way: content that was sent but not committed,
	// and objects that a reader may have open. A run that finds garbage condemns
	// it, one that begins a grace period later takes it out of its pack, and one that
	// begins another later deletes the object. So with 0 too it takes three runs.
	Grace time.Duration

	// Changes is for devices that were away: a cursor older than that is
	// refused, and the device lists its drive again.
	Changes time.Duration

	// Keep is how long the past is kept; its Events are for the history of runs too. KeepWhy says
	// in the report whose word that is.
	Keep    postgres.Retention
	KeepWhy string

	// Expire applies Keep, as it is at a time, and quotas to history and trash. Nil keeps them.
	Expire func(ctx context.Context, keep postgres.Retention, now time.Time) (postgres.Expired, error)

	// Extensions are those of which files are counted, for the admin's figures.
	Extensions []string

	// Progress is told how far a step is; total 0 means that nobody knows. It
	// may be nil.
	Progress func(step string, done, total int64)
}

// Report tells what a run did. Sizes are in bytes.
type Report struct {
	ExpiredVersions int64    `json:"expired_versions"` // of files that live on, beyond the retention policy or a quota
	ExpiredTrash    int64    `json:"expired_trash"`    // things in the trash beyond them
	ExpiredBytes    int64    `json:"expired_bytes"`    // sizes of the versions that went so
	Nodes           int64    `json:"nodes"`            // rows of nodes that nothing needs
	Versions        int64    `json:"versions"`         // of documents that are no more
	Batches         int64    `json:"batches"`          // answers that nobody will ask for
	Changes         int64    `json:"changes"`          // lines of history that no cursor may ask for
	Condemned       int64    `json:"condemned"`        // chunks that go when the grace period is over
	Chunks          int64    `json:"chunks"`           // that went
	ChunkBytes      int64    `json:"chunk_bytes"`      // of them
	Packs           int64    `json:"packs"`            // without chunks, discarded
	Repacked        int64    `json:"repacked"`         // packs that were rewritten
	RepackedInto    int64    `json:"repacked_into"`    // new packs
	RepackedBytes   int64    `json:"repacked_bytes"`   // garbage that was in them
	Deleted         int64    `json:"deleted"`          // objects of discarded packs
	DeletedBytes    int64    `json:"deleted_bytes"`    // of them
	Orphans         int64    `json:"orphans"`          // objects that no row knew
	OrphanBytes     int64    `json:"orphan_bytes"`     // of them
	Events          int64    `json:"events"`           // lines of the audit log that were kept long enough
	Damaged         []api.ID `json:"damaged"`          // packs in which chunks were found to be lost
	Seconds         float64  `json:"seconds"`          // that it took
	AnotherRunning  bool     `json:"another_running"`  // nothing was done: another process does it
	BehindSeconds   float64  `json:"behind_seconds"`   // by how much it took it to be earlier than the database's clock said

	// How long the past was kept, as the flags say it: "30d"; or "for ever".
	KeepVersions string `json:"keep_versions"`
	KeepDaily    string `json:"keep_daily"`
	KeepTrash    string `json:"keep_trash"`
	KeepEvents   string `json:"keep_events"`
	KeepWhy      string `json:"keep_why"` // "as the servers were told"
}

// collector is one run.
type collector struct {
	Options
	keeper *postgres.Keeper
	blobs  blob.Store
	log    *slog.Logger
	now    time.Time // by which all ages are told: tellTime
	before time.Time // the grace period's begin
	report Report
}

// Run collects garbage over all users' drives, unless another process does.
// When it fails, or ctx ends, the report tells what was done until then.
func Run(ctx context.Context, keeper *postgres.Keeper, blobs blob.Store, o Options, log *slog.Logger) (Report, error) {
	begin := time.Now()
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	c := &collector{Options: o, keeper: keeper, blobs: blobs, log: log, report: Report{
		Damaged: []api.ID{}, KeepVersions: postgres.Span(o.Keep.Versions), KeepDaily: postgres.Span(o.Keep.Daily), KeepTrash: postgres.Span(o.Keep.Trash),
		KeepEvents: postgres.Span(o.Keep.EventsKept()), KeepWhy: o.KeepWhy,
	}}
	err := c.run(ctx)
	c.report.Seconds = time.Since(begin).Seconds()
	return c.report, err
}

func (c *collector) run(ctx context.Context) error {
	mine, err := c.keeper.TryLock(ctx)
	if err != nil {
		return err
	}
	if !mine {
		c.report.AnotherRunning = true
		return nil
	}
	if err := c.tellTime(ctx); err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"collect the rows of drives", c.drives},
		{"collect chunks", c.chunks},
		{"repack", c.repack},
		{"delete discarded packs", c.discarded},
		{"delete orphans", c.orphans},
		{"forget events", c.events},
		{"count files", func(ctx context.Context) error { return c.keeper.CountExtensions(ctx, c.Extensions) }},
	} {
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// drives removes rows of every drive's past.
func (c *collector) drives(ctx context.Context) error {
	drives, err := c.keeper.Drives(ctx)
	if err != nil {
		return err
	}
	const step = "drives"
	c.Progress(step, 0, int64(len(drives)))
	for i, d := range drives {
		n, err := c.keeper.RemoveNodes(ctx, d.ID, c.before, func() { fault.At(fault.NodesGone) })
		c.report.Nodes += n
		if err != nil {
			return err
		}
		n, err = c.keeper.ForgetChanges(ctx, d.ID, c.now.Add(-c.Changes), func() { fault.At(fault.ChangesCut) })
		c.report.Changes += n
		if err != nil {
			return err
		}
		c.Progress(step, int64(i+1), int64(len(drives)))
	}
	// After the nodes, which may keep versions that expired.
	if c.Expire != nil {
		gone, err := c.Expire(ctx, c.Keep, c.now)
		c.report.ExpiredVersions, c.report.ExpiredTrash, c.report.ExpiredBytes = int64(gone.Versions), int64(gone.Trashed), gone.Bytes
		if err != nil {
			return err
		}
	}
	for _, d := range drives {
		n, err := c.keeper.RemoveVersions(ctx, d.ID, c.before, func() { fault.At(fault.VersionsGone) })
		c.report.Versions += n
		if err != nil {
			return err
		}
	}
	c.report.Batches, err = c.keeper.RemoveBatches(ctx, c.before)
	return err
}

// events removes what was kept for long enough of the audit log, and of the history of runs: of that what later runs ask
// for stays in any case.
func (c *collector) events(ctx context.Context) (err error) {
	if c.Keep.Events <= 0 {
		return nil
	}
	c.report.Events, err = c.keeper.ForgetEvents(ctx, c.now.Add(-c.Keep.Events))
	if err != nil {
		return err
	}
	return c.keeper.ForgetRuns(ctx, c.now.Add(-max(c.Keep.Events, 2*stride)))
}

// chunks removes every owner's chunks that have been garbage for the grace
// period, condemns what became garbage since, and discards empty packs.
func (c *collector) chunks(ctx context.Context) error {
	owners, err := c.keeper.Owners(ctx)
	if err != nil {
		return err
	}
	const step = "chunks"
	c.Progress(step, 0, int64(len(owners)))
	for i, owner := range owners {
		if err := c.sweep(ctx, owner); err != nil {
			return err
		}
		n, err := c.keeper.DiscardPacks(ctx, owner, c.before)
		if err != nil {
			return err
		}
		c.report.Packs += n
		fault.At(fault.PacksDiscarded)
		c.Progress(step, int64(i+1), int64(len(owners)))
	}
	return nil
}

func (c *collector) sweep(ctx context.Context, owner api.ID) error {
	mark, err := c.keeper.Mark(ctx, owner)
	if err != nil {
		return err
	}
	fault.At(fault.ChunksMarked)
	n, err := c.keeper.Condemn(ctx, mark, c.before, func() { fault.At(fault.Condemned) })
	c.report.Condemned += n
	if err != nil {
		return err
	}
	fault.At(fault.Fenced)
	chunks, bytes, err := c.keeper.RemoveChunks(ctx, mark, c.before, func() { fault.At(fault.ChunkRowsGone) })
	c.report.Chunks += chunks
	c.report.ChunkBytes += bytes
	return err
}
