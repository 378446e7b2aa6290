package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// times is how long the calls of one kind took. It is safe for concurrent use.
type times struct {
	mu  sync.Mutex
	all []time.Duration
}

func (t *times) add(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, d)
}

// sorted is all of them, the shortest first.
func (t *times) sorted() []time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.Sort(t.all)
	return t.all
}

// percentiles says what half and 99 of a hundred calls did not exceed.
func percentiles(sorted []time.Duration) string {
	if len(sorted) == 0 {
		return "–"
	}
	return fmt.Sprintf("%s / %s", ms(sorted[len(sorted)/2]), ms(sorted[min(len(sorted)-1, len(sorted)*99/100)]))
}

func ms(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

// perHour is the slope of a line through samples of a value, by least squares.
func perHour(samples []sample, value func(sample) float64) float64 {
	var n, sx, sy, sxx, sxy float64
	for _, s := range samples {
		x, y := s.at.Sub(samples[0].at).Hours(), value(s)
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	if d := n*sxx - sx*sx; d > 0 {
		return (n*sxy - sx*sy) / d
	}
	return 0
}

// column is what one phase came to.
type column struct {
	name                 string
	took                 time.Duration
	writes, reads, lists []time.Duration
	heard                []time.Duration
	bytes                int64
	refused              int // and done later
	stood                time.Duration
	interrupted          int // calls that failed while the program stood still, and were made again
	samples              []sample
	before, after        sample
}

// rows is the column's figures by the name of their row, in order.
func (c column) rows() [][2]string {
	rate := func(n int) string { return fmt.Sprintf("%.0f", float64(n)/c.took.Seconds()) }
	var high sample
	for _, s := range c.samples {
		high.resident, high.goroutines, high.connections = max(high.resident, s.resident), max(high.goroutines, s.goroutines), max(high.connections, s.connections)
		high.most = s.most
	}
	steady := c.samples[len(c.samples)/3:] // what is cached and pooled was so by then
	slopes := "too short"
	if last := steady[len(steady)-1].at.Sub(steady[0].at); last >= 5*time.Minute {
		slopes = fmt.Sprintf("%+.1f MiB, %+.1f", perHour(steady, func(s sample) float64 { return float64(s.resident) / (1 << 20) }),
			perHour(steady, func(s sample) float64 { return float64(s.goroutines) }))
	}
	return [][2]string{
		{"for", c.took.Round(time.Second).String()},
		{"writes a second; p50 / p99", rate(len(c.writes)) + "; " + percentiles(c.writes)},
		{"reads a second; p50 / p99", rate(len(c.reads)) + "; " + percentiles(c.reads)},
		{"lists of 200 files a second; p50 / p99", rate(len(c.lists)) + "; " + percentiles(c.lists)},
		{"MB/s, both ways", fmt.Sprintf("%.1f", float64(c.bytes)/1e6/c.took.Seconds())},
		{"another device hears of a write after; p50 / p99", percentiles(c.heard)},
		{"refused with Retry-After, and done later", fmt.Sprint(c.refused)},
		{"stopped for; calls that failed by it, and done later", fmt.Sprintf("%v; %d", c.stood.Round(time.Second), c.interrupted)},
		{"satcheld's resident memory at most, at the end", fmt.Sprintf("%d, %d MiB", high.resident>>20, c.samples[len(c.samples)-1].resident>>20)},
		{"satcheld's processors", fmt.Sprintf("%.2f", (c.samples[len(c.samples)-1].processor-c.before.processor).Seconds()/c.took.Seconds())},
		{"goroutines before, at most, after", fmt.Sprintf("%d, %d, %d", c.before.goroutines, high.goroutines, c.after.goroutines)},
		{"connections to PostgreSQL at most, allowed", fmt.Sprintf("%d, %d", high.connections, high.most)},
		{"in an hour, by the last two thirds: memory, goroutines", slopes},
	}
}

func (c column) String() string {
	var b strings.Builder
	for _, row := range c.rows() {
		fmt.Fprintf(&b, "  %s: %s\n", row[0], row[1])
	}
	return strings.TrimRight(b.String(), "\n")
}

type table struct{ columns []column }

func (t *table) markdown(p plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d clients wait for changes, %d write, %d read; the clients and PostgreSQL are on the same machine. At a pace a writer pauses %v, a reader %v.\n\n| |", p.idle, p.writing, p.reading, p.pause, p.pause/2)
	for _, c := range t.columns {
		b.WriteString(" " + c.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(t.columns)) + "\n")
	for i, row := range t.columns[0].rows() {
		b.WriteString("| " + row[0] + " |")
		for _, c := range t.columns {
			b.WriteString(" " + c.rows()[i][1] + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}
