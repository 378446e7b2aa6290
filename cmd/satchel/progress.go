package main

import (
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"satchel/cmd/internal/cli"
)

// patience is how long something takes before a bar shows how far it is.
const patience = time.Second

// progress shows how many bytes of how many are done, the rate and the time
// that is left. On anything but a terminal, and before patience, it shows
// nothing. It is safe for concurrent use.
type progress struct {
	w     io.Writer
	title string
	start time.Time
	timer *time.Timer // nil: nobody watches

	mu          sync.Mutex
	done, total int64 // total 0: not known
	bars        *mpb.Progress
	bar         *mpb.Bar
	closed      bool
}

// newProgress begins. A total of 0 is one that is not known.
func newProgress(w io.Writer, title string, total int64) *progress {
	p := &progress{w: w, title: title, total: total, start: time.Now()}
	if cli.IsTerminal(w) {
		p.timer = time.AfterFunc(patience, p.show)
	}
	return p
}

func (p *progress) show() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.bars = mpb.New(mpb.WithOutput(p.w), mpb.WithWidth(30), mpb.WithRefreshRate(200*time.Millisecond))
	name := mpb.PrependDecorators(decor.Name(p.title + " "))
	speed := decor.NewAverageSpeed(decor.SizeB1024(0), "% .1f", p.start)
	if p.total == 0 {
		p.bar = p.bars.New(0, mpb.SpinnerStyle(), name,
			mpb.AppendDecorators(decor.CurrentKibiByte("% .1f"), decor.Name("  "), speed))
	} else {
		p.bar = p.bars.AddBar(p.total, name,
			mpb.AppendDecorators(decor.CountersKibiByte("% .1f of % .1f"), decor.Name("  "), speed,
				decor.Name("  "), decor.NewAverageETA(decor.ET_STYLE_GO, p.start, nil), decor.Name(" left")))
	}
	p.draw()
}

// draw tells the bar; locked.
func (p *progress) draw() {
	if p.bar == nil {
		return
	}
	if p.total > 0 {
		p.bar.SetTotal(max(p.total, p.done+1), false) // a full bar would take no more
	}
	p.bar.SetCurrent(p.done)
}

// add tells of n more bytes that are done.
func (p *progress) add(n int64) {
	if p.timer == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	p.draw()
}

// expect tells of n more bytes to do.
func (p *progress) expect(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total += n
}

// remain tells how many bytes are left, which may be more than before.
func (p *progress) remain(left int64) {
	if p.timer == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total = max(p.total, left)
	p.done = p.total - left
	p.draw()
}

// close takes the bar away. It may be called again.
func (p *progress) close() {
	if p.timer == nil {
		return
	}
	p.timer.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil && !p.closed {
		p.bar.Abort(true)
		p.bars.Wait()
	}
	p.closed = true
}

// Write counts what is written to it.
func (p *progress) Write(b []byte) (int, error) {
	p.add(int64(len(b)))
	return len(b), nil
}

// unsent is what a daemon has not sent, in bytes. Each change counts like
// 4 KiB, so that many small ones are seen to go too.
func unsent(r report) int64 { return r.PendingBytes + int64(r.PendingMutations+r.Undecided)<<12 }
