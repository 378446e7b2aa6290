package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

type pauseCmd struct {
	Dir string        `arg:"" optional:"" help:"Which mounted folder, when there are several." complete:"mounted"`
	For time.Duration `placeholder:"D" help:"Go on by itself after this long, such as 30m or 8h."`
}

func (cmd *pauseCmd) Run(sh *shell) error {
	m, err := sh.running(cmd.Dir)
	if err != nil {
		return err
	}
	r, err := m.ask(sh.ctx, controlRequest{Op: opPause, For: cmd.For}, nil)
	if err != nil {
		return err
	}
	until := ""
	if !r.PausedUntil.IsZero() {
		until = "until " + clock(r.PausedUntil) + ", "
	}
	return sh.answer(r, "nothing is sent now, %salso after the next mount; go on with: %s", until, sh.command("resume"))
}

type resumeCmd struct {
	Dir string `arg:"" optional:"" help:"Which mounted folder, when there are several." complete:"mounted"`
}

func (cmd *resumeCmd) Run(sh *shell) error {
	m, err := sh.running(cmd.Dir)
	if err != nil {
		return err
	}
	r, err := m.ask(sh.ctx, controlRequest{Op: opResume}, nil)
	if err != nil {
		return err
	}
	return sh.answer(r, "sending: %s", r.pending())
}

// hold is why a drive's sending waits: a person wants it, or the connection is
// paid by the byte, which a person may overrule until that changes.
type hold struct {
	mu      sync.Mutex
	wanted  string    // why a person wants it; "" = nobody does
	until   time.Time // when that ends by itself; zero = not at all
	timer   *time.Timer
	turn    int // how often wanted has changed
	metered bool

	now func() time.Time // the clock on the wall; nil = time.Now
}

// pauseLook is how often it is looked whether a pause is over: a timer does not count the time that the computer sleeps.
const pauseLook = 30 * time.Second

// reason is why sending waits now; locked.
func (h *hold) reason() string {
	switch {
	case h.wanted != "":
		return h.wanted
	case h.metered:
		return "the connection is metered"
	}
	return ""
}

// set takes down that a person wants sending to wait, until a time or (zero)
// for good; locked. over is called when that time comes, with this turn.
func (h *hold) set(until time.Time, over func(turn int)) {
	h.clear()
	h.wanted, h.until = "by satchel pause", until
	if until.IsZero() {
		return
	}
	h.wanted += ", until " + clock(until)
	h.await(until.Round(0), h.turn, over) // without the monotonic reading, which does not count that time either
}

// await calls over when a time has come by the clock on the wall, unless the turn is over before; locked.
func (h *hold) await(until time.Time, turn int, over func(turn int)) {
	now := time.Now
	if h.now != nil {
		now = h.now
	}
	h.timer = time.AfterFunc(min(until.Sub(now().Round(0)), pauseLook), func() {
		if !now().Round(0).Before(until) {
			over(turn)
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if turn == h.turn {
			h.await(until, turn, over)
		}
	})
}

// clock is when something that was asked for ends, for people.
func clock(t time.Time) string {
	layout := "15:04"
	if time.Until(t) > 12*time.Hour {
		layout = "2006-01-02 15:04"
	}
	return t.Local().Format(layout)
}

// tell adds who wants sending to wait, and until when, to a report of a drive that waits.
func (h *hold) tell(r *report) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.wanted != "":
		r.PausedBy, r.PausedUntil = "user", h.until
	case h.metered:
		r.PausedBy = "metered"
	}
}

// clear takes down that nobody wants it; locked.
func (h *hold) clear() {
	if h.timer != nil {
		h.timer.Stop()
	}
	h.wanted, h.until, h.timer = "", time.Time{}, nil
	h.turn++
}

// hush keeps the drive and what is shown in it from sending, for a reason; ""
// lets them.
func (d *daemon) hush(reason string) {
	d.drive.Pause(reason)
	d.bound.pause(reason)
}

// kept is a person's pause in a file beside the cache: it holds until it is
// taken back or over, whatever becomes of the daemon.
type kept struct {
	Until time.Time `json:"until,omitzero"` // zero = until satchel resume
}

func (d *daemon) pauseFile() string { return pauseFile(d.self.CacheDir) }

func pauseFile(cacheDir string) string { return filepath.Join(cacheDir, "paused.json") }

func (d *daemon) pause(howLong time.Duration) error {
	var k kept
	if howLong > 0 {
		k.Until = time.Now().Add(howLong)
	}
	b, err := json.Marshal(k)
	if err != nil {
		return err
	}
	d.hold.mu.Lock()
	defer d.hold.mu.Unlock()
	if err := writeFile(d.pauseFile(), b); err != nil {
		return fmt.Errorf("keep the pause: %w", err)
	}
	d.hold.set(k.Until, d.wokenUp)
	d.hush(d.hold.reason())
	return nil
}

// stayPaused goes on with a pause from before the mount. What can't be read is
// taken for one: who wants it again says so, and who pays by the byte would not know.
func (d *daemon) stayPaused() {
	b, err := os.ReadFile(d.pauseFile())
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var k kept
	if err == nil {
		err = json.Unmarshal(b, &k)
	}
	if err != nil {
		d.log.Warn("whether it was paused can't be read: it is", "err", err)
		k = kept{}
	}
	d.hold.mu.Lock()
	defer d.hold.mu.Unlock()
	if !k.Until.IsZero() && time.Now().After(k.Until) {
		d.forgetPause()
		return
	}
	d.hold.set(k.Until, d.wokenUp)
	d.hush(d.hold.reason())
}

func (d *daemon) forgetPause() {
	if err := os.Remove(d.pauseFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.log.Error("the pause is over, but the next mount will not know", "err", err)
	}
}

// wokenUp ends the pause of a turn, whose time is over.
func (d *daemon) wokenUp(turn int) {
	d.hold.mu.Lock()
	defer d.hold.mu.Unlock()
	if turn != d.hold.turn {
		return // resumed or paused anew in this moment
	}
	d.forgetPause()
	d.hold.clear()
	d.hush(d.hold.reason())
}

func (d *daemon) resume() {
	d.hold.mu.Lock()
	defer d.hold.mu.Unlock()
	d.forgetPause()
	d.hold.clear()
	d.hold.metered = false
	d.hush("")
}

// metered is told when the connection begins or ends to be paid by the byte.
func (d *daemon) metered(yes bool) {
	d.hold.mu.Lock()
	defer d.hold.mu.Unlock()
	d.hold.metered = yes
	d.hush(d.hold.reason())
}
