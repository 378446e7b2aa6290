package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// rowLimit is how long one row may take on one system.
const rowLimit = 15 * time.Minute

// results has every time taken, by row's word and system's name.
type results struct {
	systems []*system
	every   []row // all there are: one that was not chosen may be needed by one that was
	rows    []row // those chosen
	rounds  int
	times   map[cell][]time.Duration
	errs    map[cell]error
}

type cell struct{ row, system string }

// measure does every row on every system, rounds times. Systems take turns
// within each row and a different one begins each time, so that what one
// leaves to the disk and the CPU hits all alike.
func measure(ctx context.Context, systems []*system, every, rows []row, rounds int, log io.Writer) (*results, error) {
	r := &results{systems: systems, every: every, rows: rows, rounds: rounds, times: map[cell][]time.Duration{}, errs: map[cell]error{}}
	for round := range rounds {
		done := map[cell]bool{}
		for i, row := range rows {
			for j := range systems {
				s := systems[(i+j+round)%len(systems)]
				c := cell{row.word, s.name}
				if r.errs[c] != nil {
					continue
				}
				dir := filepath.Join(s.dir, fmt.Sprintf("round-%d", round))
				took, err := r.one(ctx, s, row, dir, done)
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				if err != nil {
					r.errs[c] = err
					fmt.Fprintf(log, "round %d  %-10s %-8s failed: %v\n", round+1, s.name, row.word, err)
					continue
				}
				r.times[c] = append(r.times[c], took)
				fmt.Fprintf(log, "round %d  %-10s %-8s %8.3f s\n", round+1, s.name, row.word, took.Seconds())
			}
		}
		for _, s := range systems {
			_ = as(s.cred, func() error { return os.RemoveAll(filepath.Join(s.dir, fmt.Sprintf("round-%d", round))) })
		}
	}
	return r, nil
}

// one times one row. What it needs and no chosen row has made is made first.
func (r *results) one(ctx context.Context, s *system, w row, dir string, done map[cell]bool) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, rowLimit, fmt.Errorf("took longer than %v", rowLimit))
	defer cancel()
	need := cell{w.needs, s.name}
	err := as(s.cred, func() error {
		if err := os.MkdirAll(dir, 0o755); err != nil || w.needs == "" || done[need] {
			return err
		}
		i := slices.IndexFunc(r.every, func(o row) bool { return o.word == w.needs })
		return r.every[i].run(ctx, dir)
	})
	if err != nil {
		return 0, fmt.Errorf("preparing: %w", err)
	}
	done[need] = true
	for _, each := range r.systems {
		if each.settle != nil {
			if err := each.settle(ctx); err != nil {
				return 0, fmt.Errorf("settling %s: %w", each.name, err)
			}
		}
	}
	unix.Sync()
	var took time.Duration
	err = as(s.cred, func() error {
		start := time.Now()
		err := w.run(ctx, dir)
		took = time.Since(start)
		if err == nil && w.check != nil {
			err = w.check(ctx, dir)
		}
		return err
	})
	if cause := context.Cause(ctx); cause != nil && err != nil {
		err = errors.Join(cause, err)
	}
	done[cell{w.word, s.name}] = true
	return took, err
}

// median of a cell; 0 when it failed.
func (r *results) median(row, system string) time.Duration {
	t := slices.Sorted(slices.Values(r.times[cell{row, system}]))
	if len(t) == 0 || r.errs[cell{row, system}] != nil {
		return 0
	}
	return t[len(t)/2]
}

// failed is an error when a row failed on Satchel or on what it is compared
// with. That rclone can't do all of this is a result.
func (r *results) failed() error {
	var all []error
	for c, err := range r.errs {
		if c.system != "rclone" {
			all = append(all, fmt.Errorf("%s on %s: %w", c.row, c.system, err))
		}
	}
	return errors.Join(all...)
}
