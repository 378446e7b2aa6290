// Command transfer measures what travels between a device and the server: large files up and down, and a
// day's first look at a drive from far away. Each figure stands beside one of an ordinary program for the same
// bytes on the same machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
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
		fmt.Fprintln(os.Stderr, "transfer:", err)
		os.Exit(1)
	}
}

// row is one thing to be measured.
type row struct {
	word, what string
	run        func(ctx context.Context, l *lab, out *report) error
}

var rows = []row{
	{"upload", "cp of a large file and sync --wait, against openssl sha256 of it", upload},
	{"download", "cat of a cold large file, against curl from nginx", download},
	{"far", "a new device, far away: first byte of the large file, find, grep -r", far},
	{"untar", "untar far away and sync --wait, against the same near by", untar},
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("transfer", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var (
		base   = flags.String("base", "", "work below this directory, on the disk to be measured (default: the temporary directory)")
		only   = flags.String("rows", "", "which rows (default: all): upload, download, far, untar")
		rounds = flags.Int("rounds", 3, "how often; the median counts")
		size   = flags.Int64("size", 1<<30, "bytes of the large file")
		trip   = flags.Duration("trip", 50*time.Millisecond, "the round trip of who is far away")
	)
	if err := flags.Parse(args); err != nil {
		return err
	}
	l, err := newLab(ctx, *base, *size, *trip)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	out := &report{log: stderr}
	for round := range *rounds {
		for _, r := range rows {
			if *only != "" && !slices.Contains(strings.Split(*only, ","), r.word) {
				continue
			}
			fmt.Fprintf(stderr, "round %d: %s\n", round+1, r.what)
			if err := r.run(ctx, l, out); err != nil {
				return fmt.Errorf("%s: %w", r.word, err)
			}
		}
	}
	out.write(stdout)
	return nil
}

// report collects times and prints their medians.
type report struct {
	log   io.Writer
	names []string
	times map[string][]time.Duration
}

func (r *report) add(name string, took time.Duration) {
	if r.times == nil {
		r.times = map[string][]time.Duration{}
	}
	if r.times[name] == nil {
		r.names = append(r.names, name)
	}
	r.times[name] = append(r.times[name], took)
	fmt.Fprintf(r.log, "  %-52s %8.3f s\n", name, took.Seconds())
}

func (r *report) write(w io.Writer) {
	fmt.Fprintln(w, "| what | median |\n|---|---|")
	for _, name := range r.names {
		t := slices.Sorted(slices.Values(r.times[name]))
		fmt.Fprintf(w, "| %s | %.3f s |\n", name, t[len(t)/2].Seconds())
	}
}

// timed runs fn and reports how long it took.
func (r *report) timed(name string, fn func() error) error {
	start := time.Now()
	if err := fn(); err != nil {
		return err
	}
	r.add(name, time.Since(start))
	return nil
}
