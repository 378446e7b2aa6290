package everyday

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// System is a folder to work in.
type System struct {
	Name    string
	Dir     string
	About   string                          // for the text under the table
	Against string                          // the system that it is held to, in a column of its own; "": none
	As      func(func() error) error        // does something as who works there; nil: as whoever we are
	Settle  func(ctx context.Context) error // waits until it does nothing in the background; nil: it never does
}

func (s *System) as(fn func() error) error {
	if s.As == nil {
		return fn()
	}
	return s.As(fn)
}

// rowLimit is how long one row may take on one system.
const rowLimit = 15 * time.Minute

// Results has every time taken, by row's word and system's name.
type Results struct {
	systems []*System
	every   []Row // all there are: one that was not chosen may be needed by one that was
	rows    []Row // those chosen
	rounds  int
	times   map[cell][]time.Duration
	errs    map[cell]error
}

type cell struct{ row, system string }

// Measure does every row on every system, rounds times. Systems take turns
// within each row and a different one begins each time, so that what one
// leaves to the disk and the CPU hits all alike.
func Measure(ctx context.Context, systems []*System, every, rows []Row, rounds int, log io.Writer) (*Results, error) {
	r := &Results{systems: systems, every: every, rows: rows, rounds: rounds, times: map[cell][]time.Duration{}, errs: map[cell]error{}}
	for round := range rounds {
		done := map[cell]bool{}
		for i, row := range rows {
			for j := range systems {
				s := systems[(i+j+round)%len(systems)]
				c := cell{row.Word, s.Name}
				if r.errs[c] != nil {
					continue
				}
				dir := filepath.Join(s.Dir, fmt.Sprintf("round-%d", round))
				took, err := r.one(ctx, s, row, dir, done)
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				if err != nil {
					r.errs[c] = err
					fmt.Fprintf(log, "round %d  %-10s %-8s failed: %v\n", round+1, s.Name, row.Word, err)
					continue
				}
				r.times[c] = append(r.times[c], took)
				fmt.Fprintf(log, "round %d  %-10s %-8s %8.3f s\n", round+1, s.Name, row.Word, took.Seconds())
			}
		}
		for _, s := range systems {
			_ = s.as(func() error { return os.RemoveAll(filepath.Join(s.Dir, fmt.Sprintf("round-%d", round))) })
		}
	}
	return r, nil
}

// one times one row. What it needs and no chosen row has made is made first.
func (r *Results) one(ctx context.Context, s *System, w Row, dir string, done map[cell]bool) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, rowLimit, fmt.Errorf("took longer than %v", rowLimit))
	defer cancel()
	need := cell{w.needs, s.Name}
	err := s.as(func() error {
		if err := os.MkdirAll(dir, 0o755); err != nil || w.needs == "" || done[need] {
			return err
		}
		i := slices.IndexFunc(r.every, func(o Row) bool { return o.Word == w.needs })
		return r.every[i].run(ctx, dir)
	})
	if err != nil {
		return 0, fmt.Errorf("preparing: %w", err)
	}
	done[need] = true
	for _, each := range r.systems {
		if each.Settle != nil {
			if err := each.Settle(ctx); err != nil {
				return 0, fmt.Errorf("settling %s: %w", each.Name, err)
			}
		}
	}
	unix.Sync()
	var took time.Duration
	err = s.as(func() error {
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
	done[cell{w.Word, s.Name}] = true
	return took, err
}

// Median is how long a row, by its word, took on a system; 0 when it failed.
func (r *Results) Median(row, system string) time.Duration {
	t := slices.Sorted(slices.Values(r.times[cell{row, system}]))
	if len(t) == 0 || r.errs[cell{row, system}] != nil {
		return 0
	}
	return t[len(t)/2]
}

// Failed is an error when a row failed on Satchel or on what it is compared
// with. That rclone can't do all of this is a result.
func (r *Results) Failed() error {
	var all []error
	for c, err := range r.errs {
		if c.system != "rclone" {
			all = append(all, fmt.Errorf("%s on %s: %w", c.row, c.system, err))
		}
	}
	return errors.Join(all...)
}

// Choose keeps the rows that the comma-separated words name, in their order.
func Choose(rows []Row, words string) ([]Row, error) {
	if words == "" {
		return rows, nil
	}
	wanted := map[string]bool{}
	for w := range strings.SplitSeq(words, ",") {
		wanted[strings.TrimSpace(w)] = true
	}
	var kept []Row
	for _, r := range rows {
		if wanted[r.Word] {
			kept = append(kept, r)
			delete(wanted, r.Word)
		}
	}
	for w := range wanted {
		return nil, fmt.Errorf("there is no row %q", w)
	}
	return kept, nil
}
