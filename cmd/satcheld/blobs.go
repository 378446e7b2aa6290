package main

import (
	"context"
	"errors"
	"fmt"

	"satchel/api"
	"satchel/cmd/internal/cli"
	"satchel/storage/blob"
	"satchel/storage/mirror"
	"satchel/storage/postgres"
)

type blobsCmd struct {
	Copy  blobsCopyCmd  `cmd:"" help:"Copy all content from one blob store to another, to move to it."`
	Claim blobsClaimCmd `cmd:"" help:"Make a blob store this installation's, of one that is no more."`
}

type blobsCopyCmd struct {
	From     string `arg:"" help:"The store to copy from, as --blobs names it."`
	To       string `arg:"" help:"The store to copy to."`
	Parallel int    `default:"4" help:"How many objects are copied at a time (${default})."`
	Quick    bool   `help:"Take what is there with an equal size for the same, and don't compare its bytes."`
}

// Run copies what is not there yet, verified.
func (cmd *blobsCopyCmd) Run(p *program) error {
	if err := p.check(); err != nil {
		return err
	}
	stores, places := [2]openBlobs{}, [2]installation{}
	for i, name := range []string{cmd.From, cmd.To} {
		in := p.installation
		in.Blobs = name
		open, err := in.blobStore()
		if err != nil {
			return err
		}
		stores[i], places[i] = open, in
	}
	if places[0].sameStore(places[1]) {
		return usageError{"the two stores are the same"}
	}
	db, me := &database{}, postgres.Installation{}
	if cmd.From == inDatabase || cmd.To == inDatabase {
		var err error
		if db, err = p.openDatabase(p.ctx); err != nil {
			return err
		}
		defer db.close()
		if me, err = identity(p.ctx, db.owner); err != nil {
			return err
		}
	}
	from, closeFrom, err := stores[0](p.ctx, db, p.log)
	if err != nil {
		return err
	}
	defer closeFrom()
	to, closeTo, err := stores[1](p.ctx, db, p.log)
	if err != nil {
		return err
	}
	defer closeTo()
	mark, err := cmd.mark(p.ctx, me, from, to)
	if err != nil {
		return err
	}
	return cmd.copy(p.ctx, p, from, to, mark)
}

func (cmd *blobsCopyCmd) copy(ctx context.Context, p *program, from, to blob.Store, mark *blob.Mark) error {
	bars := newStepBars(p.stderr, p.json)
	defer bars.close()
	r, err := mirror.Copy(ctx, from, to, mirror.Options{Parallel: cmd.Parallel, Quick: func(string) bool { return cmd.Quick }, Progress: bars.show})
	bars.close()
	if err != nil {
		return fmt.Errorf("%w\n%d objects are copied; the same command goes on from there", err, r.Copied+r.Skipped)
	}
	if mark != nil { // last: what has it has all that there was when the copy began
		if err := mark.Write(ctx, to); err != nil {
			return err
		}
	}
	if p.json {
		if err := cli.PrintJSON(p.stdout, r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(p.stdout, "copied %d objects (%s), verified; %d of %d were there already\n", r.Copied, bytesText(r.CopiedBytes), r.Skipped, r.Objects)
		if r.Replaced > 0 {
			fmt.Fprintf(p.stdout, "%d objects were there with other bytes, and were replaced\n", r.Replaced)
		}
		fmt.Fprintf(p.stdout, "to switch: stop the server, run this once more with --quick (it copies what came meanwhile), start it with --blobs %s\n", cmd.To)
	}
	if len(r.Damaged) > 0 {
		for _, key := range r.Damaged {
			fmt.Fprintln(p.stderr, "damaged in the source:", cli.Printable(key))
		}
		return errors.New("some objects are damaged in the source, and so in the copy: see satcheld fsck --deep")
	}
	return nil
}

// mark is what the copy is to be marked with, nil if nobody has marked the source,
// or if it is in the database. What another installation has is not written to.
func (cmd *blobsCopyCmd) mark(ctx context.Context, me postgres.Installation, from, to blob.Store) (*blob.Mark, error) {
	source, err := cmd.whose(ctx, me, from, cmd.From)
	if err != nil {
		return nil, err
	}
	there, err := cmd.whose(ctx, me, to, cmd.To)
	if err != nil {
		return nil, err
	}
	unmarked := source == nil && cmd.To == inDatabase
	if there != nil && !unmarked && (source == nil || source.Installation != there.Installation || source.Holds != there.Holds) {
		return nil, api.Errorf(api.Exists, "%s is not for a copy of %s: another installation has it, or another kind of store is there\nchoose an empty place", cmd.To, cmd.From)
	}
	if cmd.To == inDatabase {
		return nil, nil // which needs none
	}
	return source, nil
}

// whose reads a store's mark; that in the database is this installation's.
func (cmd *blobsCopyCmd) whose(ctx context.Context, me postgres.Installation, s blob.Store, name string) (*blob.Mark, error) {
	if name == inDatabase {
		m := newMark(me, blob.Content)
		return &m, nil
	}
	return readMark(ctx, s, name)
}
