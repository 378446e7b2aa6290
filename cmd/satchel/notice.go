package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"satchel/cache"
)

const (
	noticePause = 2 * time.Second // events come together, when a device is back after a while
	noticeLines = 5               // of one notice; status has the rest
)

// notices shows events on the desktop, where there is one: `satchel status`
// has them all.
type notices struct {
	events chan []cache.Event
	full   chan bool
	bubble bubbles
	log    *slog.Logger
}

func newNotices(log *slog.Logger) *notices {
	return &notices{events: make(chan []cache.Event, 16), full: make(chan bool, 16), log: log}
}

// tell takes events without waiting; a flood beyond the channel is left to status.
func (n *notices) tell(events []cache.Event) {
	select {
	case n.events <- events:
	default:
	}
}

// tellFull takes, without waiting, that the disk is full or is so no more.
func (n *notices) tellFull(full bool) {
	select {
	case n.full <- full:
	default:
	}
}

// run shows what was told until ctx ends.
func (n *notices) run(ctx context.Context) {
	defer n.bubble.close()
	warning := uint32(0) // the one that the disk is full, while it is shown
	for {
		var events []cache.Event
		var err error
		select {
		case <-ctx.Done():
			return
		case full := <-n.full:
			full = n.settled(ctx, full)
			switch {
			case full && warning == 0:
				warning, err = n.bubble.show(ctx, bubble{urgent: true, title: "The disk is full",
					text: "Satchel refuses to write until there is room. What was written is kept; make room on the disk that has the cache."})
			case !full && warning != 0:
				err = n.bubble.take(ctx, warning)
				warning = 0
			}
		case events = <-n.events:
			if events = n.gather(ctx, events); ctx.Err() == nil {
				_, err = n.bubble.show(ctx, bubble{title: "Satchel kept both", text: noticeText(events)})
			}
		}
		if err != nil {
			n.log.Debug("no desktop notice", "err", err)
		}
	}
}

// settled waits whether the disk stays as full as it was told to be: room may
// be made a moment later, which nobody needs to hear of.
func (n *notices) settled(ctx context.Context, full bool) bool {
	for end := time.After(noticePause); ; {
		select {
		case <-ctx.Done():
			return full
		case full = <-n.full:
		case <-end:
			return full
		}
	}
}

// gather waits for more that belongs to the same notice.
func (n *notices) gather(ctx context.Context, events []cache.Event) []cache.Event {
	for end := time.After(noticePause); ; {
		select {
		case <-ctx.Done():
			return events
		case more := <-n.events:
			events = append(events, more...)
		case <-end:
			return events
		}
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
	case cache.EventStuck:
		return fmt.Sprintf("%s: the server fails on it (%s); kept here and tried again", e.Path, e.Why)
	case cache.EventEnded:
		if e.Now == "" {
			return fmt.Sprintf("%s: %s", e.Path, e.Why)
		}
		return fmt.Sprintf("%s: %s; copy that out with: satchel export-unsent DIR --cache-dir %s (then remove that directory)", e.Path, e.Why, quoted(string(e.Now)))
	case cache.EventRefused:
		return fmt.Sprintf("%s: refused by the server (%s); kept as %q", e.Path, e.Why, e.Now)
	}
	return fmt.Sprintf("%s: undone, %s", e.Path, e.Why)
}
