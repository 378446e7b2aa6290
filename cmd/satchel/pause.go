package main

import (
	"fmt"
	"sync"
	"time"
)

type pauseCmd struct {
	Dir string        `arg:"" optional:"" help:"Which mounted folder, when there are several." complete:"mounted"`
	For time.Duration `placeholder:"D" help:"Go on by itself after this long, such as 30m or 8h."`
}

func (cmd *pauseCmd) Run(sh *shell) error {
	if cmd.For < 0 {
		return usageError{"--for must be a time to come"}
	}
	m, err := sh.running(cmd.Dir)
	if err != nil {
		return err
	}
	r, err := m.ask(sh.ctx, controlRequest{Op: opPause, For: cmd.For}, nil)
	if err != nil {
		return err
	}
	return sh.answer(r, "nothing is sent now; go on with: satchel resume")
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
	wanted  string // why a person wants it; "" = nobody does
	timer   *time.Timer
	metered bool
}

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

// hush keeps the drive and what is shown in it from sending, for a reason; ""
// lets them.
func (d *daemon) hush(reason string) {
	d.drive.Pause(reason)
	d.bound.pause(reason)
}

func (d *daemon) pause(howLong time.Duration) {
	h := &d.hold
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
	h.wanted = "until satchel resume"
	if howLong > 0 {
		h.wanted = fmt.Sprintf("until %s", time.Now().Add(howLong).Format("15:04"))
		h.timer = time.AfterFunc(howLong, d.wokenUp)
	}
	d.hush(h.reason())
}

// wokenUp ends a pause whose time is over.
func (d *daemon) wokenUp() {
	d.hold.mu.Lock()
	defer d.hold.mu.Unlock()
	d.hold.wanted = ""
	d.hush(d.hold.reason())
}

func (d *daemon) resume() {
	h := &d.hold
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
	h.wanted, h.metered = "", false
	d.hush("")
}

// metered is told when the connection begins or ends to be paid by the byte.
func (d *daemon) metered(yes bool) {
	d.hold.mu.Lock()
	defer d.hold.mu.Unlock()
	d.hold.metered = yes
	d.hush(d.hold.reason())
}
