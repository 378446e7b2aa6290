package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"satchel/api"
	"satchel/api/admin"
	"satchel/cmd/internal/cli"
	"satchel/storage/fsck"
	"satchel/storage/gc"
	"satchel/storage/postgres"
)

type fsckCmd struct {
	Repair bool `help:"Mend what follows from other rows; give lost files a name in Recovered. Content is never removed."`
	Deep   bool `help:"Read all content and compare its hashes, not only its sizes."`
}

// errFaults says that the store is not whole: exit code 1.
var errFaults = errors.New("the store has faults")

// Run checks the store, beside a running server or without.
func (cmd *fsckCmd) Run(p *program) error {
	bars := newStepBars(p.stderr, p.json)
	defer bars.close()
	return p.keep(func(u *upkeep, _ *database) error {
		found, err := u.run(p.ctx, postgres.Run{ID: api.NewID(), Kind: admin.Fsck, Deep: cmd.Deep, Repair: cmd.Repair, Via: "command"}, gc.DefaultGrace, bars.show, func() {})
		bars.close()
		report, ok := found.(fsck.Report)
		if errors.Is(err, errRunning) && !ok {
			report.Busy, report.Faults = true, []fsck.Fault{}
		}
		if err != nil && !report.Busy && !errors.Is(err, errFound) {
			return err
		}
		if p.json {
			if err := cli.PrintJSON(p.stdout, report); err != nil {
				return err
			}
		} else {
			describeFsck(p.stdout, report, cmd)
		}
		switch {
		case report.Busy:
			return errors.New("garbage is being collected, or the store checked, by another process: try again later")
		case !report.Clean():
			return errFaults
		}
		return nil
	})
}

// describeFsck says in words what was found.
func describeFsck(w io.Writer, r fsck.Report, cmd *fsckCmd) {
	if r.Busy {
		return
	}
	for _, f := range r.Faults {
		parts := []string{f.What}
		for _, s := range []string{f.Owner, f.Drive, f.Node, f.Object, f.Detail} {
			if s != "" {
				parts = append(parts, s)
			}
		}
		if f.Repaired {
			parts = append(parts, "repaired")
		}
		fmt.Fprintln(w, cli.Printable(strings.Join(parts, ": ")))
		for _, file := range f.Files {
			state := ""
			switch {
			case file.Trashed:
				state = " (in the trash)"
			case !file.Current:
				state = " (an old version)"
			}
			fmt.Fprintf(w, "    %s%s\n", cli.Printable(file.Path), state)
		}
	}
	fmt.Fprintf(w, "checked %d drives, %d nodes, %d versions, %d chunks in %d packs (%s)", r.Drives, r.Nodes, r.Versions, r.Chunks, r.Packs, bytesText(r.PackBytes))
	if cmd.Deep {
		fmt.Fprintf(w, "; read %s", bytesText(r.Hashed))
	}
	fmt.Fprintf(w, " in %s\n", time.Duration(r.Seconds*float64(time.Second)).Round(time.Millisecond))
	if r.Orphans > 0 {
		fmt.Fprintf(w, "%d objects (%s) belong to nothing; satcheld gc removes them\n", r.Orphans, bytesText(r.OrphanBytes))
	}
	if r.Strangers > 0 {
		fmt.Fprintf(w, "%d objects in the blob store are not Satchel's\n", r.Strangers)
	}
	if r.Lost > 0 {
		fmt.Fprintf(w, "%d chunks (%s) are lost: whoever still has a file of them saves it, or puts it there again, and all versions with the same content are whole\n", r.Lost, bytesText(r.LostBytes))
		if !cmd.Deep {
			fmt.Fprintln(w, "--deep finds all that is lost, and what is there again")
		}
	}
	switch mended := len(r.Faults) - r.Left; {
	case len(r.Faults) == 0:
		fmt.Fprintln(w, "all is well")
	case r.Left == 0:
		fmt.Fprintf(w, "%d faults, all repaired\n", mended)
	case cmd.Repair:
		fmt.Fprintf(w, "%d faults, %d of them repaired\n", len(r.Faults), mended)
	default:
		fmt.Fprintf(w, "%d faults; --repair mends what follows from other rows\n", len(r.Faults))
	}
}
