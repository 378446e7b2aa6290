package main

import (
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"time"

	"satchel/cache"
)

const (
	noticePause = 2 * time.Second // events come together, when a device is back after a while
	noticeLines = 5               // of one notice; status has the rest
)

// notices shows events on the desktop with notify-send(1), where it is installed.
type notices struct {
	events  chan []cache.Event
	program string // "" = none: then only `satchel status` tells
	log     *slog.Logger
}

func newNotices(log *slog.Logger) *notices {
	program, _ := exec.LookPath("notify-send")
	return &notices{events: make(chan []cache.Event, 16), program: program, log: log}
}

// tell takes events without waiting; a flood beyond the channel is left to status.
func (n *notices) tell(events []cache.Event) {
	select {
	case n.events <- events:
	default:
	}
}

// run shows what was told until ctx ends.
func (n *notices) run(ctx context.Context) {
	for {
		var events []cache.Event
		select {
		case <-ctx.Done():
			return
		case events = <-n.events:
		}
		for gather := time.After(noticePause); gather != nil; {
			select {
			case <-ctx.Done():
				return
			case more := <-n.events:
				events = append(events, more...)
			case <-gather:
				gather = nil
			}
		}
		if n.program == "" {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		cmd := exec.CommandContext(ctx, n.program, "--app-name=Satchel", "--icon=dialog-information", "Satchel kept both", noticeText(events))
		if out, err := cmd.CombinedOutput(); err != nil {
			n.log.Debug("no desktop notice", "err", err, "output", string(out))
		}
		cancel()
	}
}

// noticeText is one line for each event, the first ones.
func noticeText(events []cache.Event) string {
	var lines []string
	for i, e := range events {
		if i == noticeLines {
			lines = append(lines, fmt.Sprintf("and %d more: satchel status", len(events)-i))
			break
		}
		lines = append(lines, eventLine(e))
	}
	return strings.Join(lines, "\n")
}

// eventLine says in a sentence what became of a change.
func eventLine(e cache.Event) string {
	switch e.What {
	case cache.EventConflict:
		return fmt.Sprintf("%s: %s; yours is %q", e.Path, e.Why, e.Now)
	case cache.EventRescued:
		return fmt.Sprintf("%s: %s; that is %q", e.Path, e.Why, e.Now)
	case cache.EventReturned:
		return fmt.Sprintf("%s: %s; your edit brought it back", e.Path, e.Why)
	case cache.EventKept:
		return fmt.Sprintf("%s: not deleted, %s", e.Path, e.Why)
	case cache.EventRefused:
		return fmt.Sprintf("%s: refused by the server (%s); kept as %q", e.Path, e.Why, e.Now)
	}
	return fmt.Sprintf("%s: undone, %s", e.Path, e.Why)
}
