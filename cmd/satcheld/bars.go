package main

import (
	"io"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// stepBars shows how far the steps of a long command are, one bar for each. On
// anything but a terminal it shows nothing.
type stepBars struct {
	bars *mpb.Progress
	bar  *mpb.Bar
	step string
}

func newStepBars(w io.Writer, quiet bool) *stepBars {
	f, ok := w.(*os.File)
	if quiet || !ok || !term.IsTerminal(int(f.Fd())) {
		return &stepBars{}
	}
	return &stepBars{bars: mpb.New(mpb.WithOutput(w), mpb.WithWidth(40), mpb.WithRefreshRate(200*time.Millisecond))}
}

// show tells how far a step is. A total of 0 means that nobody knows.
func (s *stepBars) show(step string, done, total int64) {
	if s.bars == nil {
		return
	}
	if s.step != step {
		s.end()
		count := decor.CountersNoUnit("%d of %d")
		switch {
		case step == "content" || step == "copy":
			count = decor.CountersKibiByte("% .1f of % .1f")
		case total == 0:
			count = decor.CurrentNoUnit("%d")
		}
		after := []decor.Decorator{count}
		if step == "content" || step == "copy" {
			after = append(after, decor.Name("  "), decor.AverageSpeed(decor.SizeB1024(0), "% .1f"))
		}
		if total > 0 {
			after = append(after, decor.Name("  "), decor.AverageETA(decor.ET_STYLE_GO), decor.Name(" left"))
		}
		s.step = step
		s.bar = s.bars.AddBar(total, mpb.PrependDecorators(decor.Name(step+" ")), mpb.AppendDecorators(after...))
	}
	s.bar.SetTotal(max(total, done+1), false) // a full bar would take no more
	s.bar.SetCurrent(done)
}

// end completes the current bar.
func (s *stepBars) end() {
	if s.bar != nil {
		s.bar.SetTotal(-1, true)
		s.bar = nil
	}
}

// close ends all. It may be called again.
func (s *stepBars) close() {
	if s.bars != nil {
		s.end()
		s.bars.Wait()
		s.bars = nil
	}
}
