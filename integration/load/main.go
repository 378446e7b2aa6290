// Command load lets many clients use a server at once: some wait for changes,
// some write, some read. It does so with one satcheld and with two that share
// database and store, as fast as the clients can and at a pace, and prints
// Markdown tables of what came of it; then the same files are read and written
// through WebDAV, rclone's WebDAV server and nginx.
//
// It is a test as well: content that is not what was written, a write that was acknowledged
// and is not there, an answer of 5xx that is no 503 with Retry-After, more connections to
// PostgreSQL than the pool may have, and goroutines that stay when the clients are gone are errors.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"satchel/integration/rig"
)

func main() {
	rig.Janitor()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			os.Exit(2)
		}
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// plan is how many do what for how long.
type plan struct {
	idle, writing, reading int
	fast, paced            time.Duration
	pause                  time.Duration // of a writer between two writes at a pace; a reader's is half of it
	compared               time.Duration
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var p plan
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&p.idle, "idle", 500, "clients that only wait for changes; as many of them as write are devices of those who do")
	flags.IntVar(&p.writing, "writing", 50, "clients that write")
	flags.IntVar(&p.reading, "reading", 50, "clients that read, at most as many as write")
	flags.DurationVar(&p.fast, "fast", 30*time.Second, "for how long they do so as fast as they can")
	flags.DurationVar(&p.paced, "duration", time.Hour, "for how long they do so at a pace, with each number of servers")
	flags.DurationVar(&p.pause, "pause", 2*time.Second, "how long a writer pauses then after a write; a reader pauses for half of it")
	flags.DurationVar(&p.compared, "compared", 10*time.Second, "for how long each server is compared in each way; 0: not at all")
	servers := flags.Int("servers", 2, "with one server, with one and then with two (2), or only the comparison (0)")
	base := flags.String("base", "", "work below this directory (default: the temporary directory)")
	write := flags.String("write", "", "put the tables into this Markdown `file`, between its load markers")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if p.writing < 1 || p.reading < 1 || p.reading > p.writing || p.idle < p.writing || *servers < 0 || *servers > 2 {
		return errors.New("-writing and -reading must be positive, -reading at most as -writing, -idle at least as -writing, and -servers 0, 1 or 2")
	}
	if *servers == 0 && p.compared <= 0 {
		return errors.New("there is nothing to do: -servers has to be 1 or 2, or -compared more than 0")
	}
	r, err := rig.New(*base)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := r.Programs(ctx); err != nil {
		return err
	}
	var t table
	for n := range *servers {
		if err := measure(ctx, r, p, n+1, &t, stderr); err != nil {
			return fmt.Errorf("with %d: %w", n+1, err)
		}
	}
	text := ""
	if *servers > 0 {
		text = t.markdown(p)
	}
	if p.compared > 0 {
		c, err := compare(ctx, r, p, stderr)
		if err != nil {
			return fmt.Errorf("compare: %w", err)
		}
		text += "\n" + c
	}
	fmt.Fprint(stdout, text)
	if *write != "" {
		return rig.ReplaceSection(*write, "load", rig.Machine(r.Dir)+"\n\n"+text)
	}
	return nil
}

// measure starts so many servers, lets all clients work with them, first fast and then
// at a pace, and adds two columns to the table.
func measure(ctx context.Context, r *rig.Rig, p plan, servers int, t *table, log io.Writer) (err error) {
	s, err := startSite(ctx, r, []string{"one", "two"}[servers-1], servers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	c, err := newCrowd(ctx, s, p)
	if err != nil {
		return err
	}
	name := []string{"one satcheld", "two"}[servers-1]
	for _, phase := range []struct {
		name  string
		last  time.Duration
		pause time.Duration
	}{{"as fast as they can", p.fast, 0}, {"at a pace", p.paced, p.pause}} {
		if phase.last == 0 {
			continue
		}
		fmt.Fprintf(log, "%s, %s: %v\n", name, phase.name, phase.last)
		col, err := c.work(ctx, phase.last, phase.pause)
		if err != nil {
			return fmt.Errorf("%s: %w", phase.name, err)
		}
		col.name = name + ", " + phase.name
		t.columns = append(t.columns, col)
		fmt.Fprintln(log, col)
	}
	return c.check(ctx)
}
