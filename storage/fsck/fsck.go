// Package fsck checks that the store is whole: that rows agree with each other
// and with the objects in the blob store, and that content is what its hashes
// say. It can mend what follows from other rows, and never removes what anyone
// stored. Content that it finds lost it marks, so that who has it is asked for it.
package fsck

import (
	"context"
	"fmt"
	"time"

	"satchel/api"
	"satchel/storage/blob"
	"satchel/storage/postgres"
)

// Options say how much is done.
type Options struct {
	// Repair mends counters, link counts and rows that follow from others, and
	// gives what no name leads to a name in the drive's directory Recovered.
	Repair bool

	// Deep reads all content and compares its hashes; without it objects are
	// compared by their sizes.
	Deep bool

	// Grace is the age up to which an object without a row is an upload in flight.
	Grace time.Duration

	// Progress is told how far a step is; total 0 means that nobody knows. It
	// may be nil.
	Progress func(step string, done, total int64)
}

// Fault is one thing that is wrong.
type Fault struct {
	What     string `json:"what"`             // in words, singular
	Owner    string `json:"owner,omitempty"`  // the e-mail address of whom it concerns
	Drive    string `json:"drive,omitempty"`  // the drive's name
	Node     string `json:"node,omitempty"`   // its id
	Object   string `json:"object,omitempty"` // in the blob store
	Detail   string `json:"detail,omitempty"`
	Files    []File `json:"files,omitempty"` // that have, or had, what is damaged
	Repaired bool   `json:"repaired"`
}

// File is a file whose content is damaged.
type File struct {
	Path    string `json:"path"` // escaped names; the last one only when it is in the trash
	Version string `json:"version"`
	Current bool   `json:"current"` // else the version is of the file's past
	Trashed bool   `json:"trashed"`
}

// Report is all that was found. Sizes are in bytes.
type Report struct {
	postgres.Totals
	Hashed      int64   `json:"hashed_bytes"` // that were read and compared
	Verified    int64   `json:"verified"`     // versions whose whole SHA-256 was found right for the first time
	Orphans     int64   `json:"orphans"`      // objects that no row knows; gc removes them
	OrphanBytes int64   `json:"orphan_bytes"`
	Strangers   int64   `json:"strangers"`  // objects whose names are not ours
	Lost        int64   `json:"lost"`       // chunks that are marked as lost, and asked for when somebody has them
	LostBytes   int64   `json:"lost_bytes"` // of them
	Faults      []Fault `json:"faults"`
	Left        int     `json:"left"` // faults that were not repaired
	Seconds     float64 `json:"seconds"`
	Busy        bool    `json:"busy"` // nothing was checked: garbage collection, or another check, is at work
}

// Clean tells that nothing is wrong, or that all was repaired.
func (r Report) Clean() bool { return r.Left == 0 && !r.Busy }

// check is one run.
type check struct {
	Options
	keeper  *postgres.Keeper
	blobs   blob.Store
	drives  map[api.ID]postgres.KeptDrive
	emails  map[api.ID]string
	fresh   map[api.ID]bool       // objects that may be uploads in flight
	damaged map[api.ID][]api.Hash // by owner: chunks that are lost
	report  Report
}

// Run checks the store, while servers work on it, unless garbage is being
// collected. When it fails, or ctx ends, the report tells what was found until then.
func Run(ctx context.Context, keeper *postgres.Keeper, blobs blob.Store, o Options) (Report, error) {
	begin := time.Now()
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	c := &check{
		Options: o, keeper: keeper, blobs: blobs,
		drives: map[api.ID]postgres.KeptDrive{}, emails: map[api.ID]string{}, damaged: map[api.ID][]api.Hash{}, fresh: map[api.ID]bool{},
		report: Report{Faults: []Fault{}},
	}
	err := c.run(ctx)
	for _, f := range c.report.Faults {
		if !f.Repaired {
			c.report.Left++
		}
	}
	c.report.Seconds = time.Since(begin).Seconds()
	return c.report, err
}

func (c *check) run(ctx context.Context) error {
	mine, err := c.keeper.TryLock(ctx)
	if err != nil {
		return err
	}
	if !mine {
		c.report.Busy = true
		return nil
	}
	if c.report.Totals, err = c.keeper.Totals(ctx); err != nil {
		return err
	}
	drives, err := c.keeper.Drives(ctx)
	if err != nil {
		return err
	}
	for _, d := range drives {
		c.drives[d.ID], c.emails[d.Owner] = d, d.Email
	}
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"check drives", func(ctx context.Context) error { return c.trees(ctx, drives) }},
		{"check packs", c.packs},
		{"check versions", c.versions},
	} {
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return c.blame(ctx)
}

func (c *check) fault(f Fault) { c.report.Faults = append(c.report.Faults, f) }

// trees checks each drive's rows, and mends them.
func (c *check) trees(ctx context.Context, drives []postgres.KeptDrive) error {
	const step = "drives"
	for i, d := range drives {
		c.Progress(step, int64(i), int64(len(drives)))
		found, err := c.keeper.CheckTree(ctx, d.ID)
		if err != nil {
			return err
		}
		left := found
		if c.Repair && len(found) > 0 {
			if err := c.keeper.RepairTree(ctx, d.ID); err != nil {
				return err
			}
			if left, err = c.keeper.CheckTree(ctx, d.ID); err != nil {
				return err
			}
		}
		still := map[string]bool{}
		for _, f := range left {
			still[f.Words] = true
		}
		for _, f := range found {
			for _, row := range f.Faults {
				fault := Fault{What: f.Words, Owner: d.Email, Drive: d.Name, Detail: row.Detail, Repaired: c.Repair && !still[f.Words]}
				if !row.Node.IsZero() {
					fault.Node = row.Node.String()
				}
				c.fault(fault)
			}
		}
	}
	c.Progress(step, int64(len(drives)), int64(len(drives)))
	return nil
}

// versions looks for the chunks of every version, and reads those whose
// SHA-256 only their client claims.
func (c *check) versions(ctx context.Context) error {
	const step = "versions"
	done := int64(0)
	for id, d := range c.drives {
		c.Progress(step, done, int64(len(c.drives)))
		done++
		lacking, err := c.keeper.Lacking(ctx, id)
		if err != nil {
			return err
		}
		for _, l := range lacking {
			f := Fault{What: "version whose chunks are lost", Owner: d.Email, Drive: d.Name,
				Detail: fmt.Sprintf("version %s: %d chunks missing, %d of another length", l.Version, l.Missing, l.Wrong)}
			if l.Missing == 0 {
				f.What = "version that does not add up"
				f.Detail += fmt.Sprintf("; %d bytes of %d", l.Sum, l.Size)
			}
			if f.Files, err = c.files(c.keeper.AffectedByVersions(ctx, l.Owner, []api.ID{l.Version})); err != nil {
				return err
			}
			c.fault(f)
		}
	}
	c.Progress(step, done, int64(len(c.drives)))
	if !c.Deep {
		return nil
	}
	return c.wholes(ctx)
}

// blame names the files that damaged chunks belong to.
func (c *check) blame(ctx context.Context) error {
	for owner, hashes := range c.damaged {
		files, err := c.files(c.keeper.AffectedByChunks(ctx, owner, hashes))
		if err != nil {
			return err
		}
		if len(files) > 0 {
			c.fault(Fault{What: "content that can't be read, of the files named", Owner: c.emails[owner],
				Detail: fmt.Sprintf("%d chunks", len(hashes)), Files: files})
		}
	}
	return nil
}

func (c *check) files(affected []postgres.Affected, err error) ([]File, error) {
	files := make([]File, len(affected))
	for i, a := range affected {
		files[i] = File{Path: a.Path, Version: a.Version.String(), Current: a.Current, Trashed: a.Trashed}
		if a.Path == "" {
			files[i].Path = "node " + a.Node.String()
		}
	}
	return files, err
}
