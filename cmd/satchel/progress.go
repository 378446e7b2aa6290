package main

import (
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// isTerminal tells whether a person watches w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// printable replaces what could steer a terminal. Names may have any bytes.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

// pendingBar shows how unsent work shrinks. On anything but a terminal it
// shows nothing.
type pendingBar struct {
	bars  *mpb.Progress
	bar   *mpb.Bar
	title string
	most  int64
}

func newPendingBar(w io.Writer, title string) *pendingBar {
	if !isTerminal(w) {
		return &pendingBar{}
	}
	return &pendingBar{bars: mpb.New(mpb.WithOutput(w), mpb.WithWidth(40)), title: title}
}

// show moves the bar. Each change counts like 4 KiB, so that many small ones
// are seen to move too.
func (p *pendingBar) show(r report) {
	left := r.PendingBytes + int64(r.PendingMutations)<<12
	if p.bars == nil || left == 0 && p.bar == nil {
		return
	}
	if p.bar == nil {
		p.bar = p.bars.AddBar(left,
			mpb.PrependDecorators(decor.Name(p.title+" ")),
			mpb.AppendDecorators(decor.CountersKibiByte("% .1f of % .1f")))
	}
	if left > p.most { // work came in meanwhile
		p.bar.SetTotal(left, false)
		p.most = left
	}
	p.bar.SetCurrent(p.most - left)
}

func (p *pendingBar) close() {
	if p.bar != nil {
		p.bar.Abort(true)
	}
	if p.bars != nil {
		p.bars.Wait()
	}
}

// transferBar counts bytes of a transfer whose size is not known before. On
// anything but a terminal it shows nothing.
type transferBar struct {
	bars *mpb.Progress
	bar  *mpb.Bar
}

func newTransferBar(w io.Writer, title string) *transferBar {
	if !isTerminal(w) {
		return &transferBar{}
	}
	bars := mpb.New(mpb.WithOutput(w), mpb.WithWidth(20), mpb.WithRefreshRate(200*time.Millisecond))
	return &transferBar{bars, bars.New(0, mpb.SpinnerStyle(),
		mpb.PrependDecorators(decor.Name(title+" ")),
		mpb.AppendDecorators(decor.CurrentKibiByte("% .1f"), decor.Name("  "), decor.AverageSpeed(decor.SizeB1024(0), "% .1f")))}
}

// moved tells of n more bytes. It may be called from several goroutines.
func (p *transferBar) moved(n int) {
	if p.bar != nil {
		p.bar.IncrBy(n)
	}
}

func (p *transferBar) close() {
	if p.bar != nil {
		p.bar.Abort(true)
		p.bars.Wait()
	}
}

// Write counts what is written to it.
func (p *transferBar) Write(b []byte) (int, error) {
	p.moved(len(b))
	return len(b), nil
}
