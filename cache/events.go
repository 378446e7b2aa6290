package cache

import (
	"time"

	"satchel/api"
)

// An Event tells people what became of a change of theirs that met another
// device's: nothing is lost, but they may want to look.
type Event struct {
	Time time.Time `json:"time"`
	What string    `json:"what"`          // one of the constants below
	Path string    `json:"path"`          // of the change, as far as it is known
	Now  string    `json:"now,omitempty"` // where the work is now, if elsewhere
	Why  string    `json:"why,omitempty"`
}

const (
	EventConflict = "conflict" // the other device was first; this one's is in Now
	EventRescued  = "rescued"  // what the other device wrote and this one replaced unseen is in Now
	EventReturned = "returned" // deleted by another device; edited here, so it came back
	EventKept     = "kept"     // not deleted: another device had changed it
	EventUndone   = "undone"   // the server refused it; the folder shows what it has
	EventStuck    = "stuck"    // the server fails on it; it is kept and tried again
	EventRefused  = "refused"  // the server refused the content; it is in Now
)

// maxEvents is how many events are remembered.
const maxEvents = 20

// noteEvent notes an event for `satchel status`, and for whoever asked to be told; locked.
func (d *Drive) noteEvent(what string, parent api.ID, name api.Name, now, why string) {
	path := string(name)
	if p := d.byID[parent]; p != nil && p != d.root {
		path = d.pathOf(p) + "/" + path
	}
	e := Event{Time: time.Now().UTC(), What: what, Path: path, Now: now, Why: why}
	d.syn.events = append(d.syn.events, e)
	if n := len(d.syn.events) - maxEvents; n > 0 {
		d.syn.events = append([]Event(nil), d.syn.events[n:]...)
	}
	d.syn.told = append(d.syn.told, e)
}

// eventOf notes what became of a mutation that was not applied as made; locked.
func (d *Drive) eventOf(m *api.Mutation, o *api.Outcome) {
	now, parent, name := string(o.Name), m.Parent, m.Name
	switch {
	case o.Status == api.Dropped && (m.Op == api.OpUnlink || m.Op == api.OpRmdir):
		d.noteEvent(EventKept, parent, name, "", "another device changed it")
	case o.Status == api.Refused:
		// Content has an event of its own (refused).
		if m.Op != api.OpCreate && m.Op != api.OpWrite {
			d.noteEvent(EventUndone, parent, name, "", o.Message)
		}
	case o.Status != api.Adjusted || o.Conflict.IsZero() || o.Name == "":
	case m.Op == api.OpWrite && o.Conflict == m.Node:
		d.noteEvent(EventReturned, parent, name, now, "another device deleted it")
	case m.Op == api.OpRename && o.Conflict != m.Node:
		d.noteEvent(EventRescued, m.ToParent, m.ToName, now, "another device had changed what was replaced")
	case m.Op == api.OpRename:
		d.noteEvent(EventConflict, m.ToParent, m.ToName, now, "another device used the name first")
	case o.Conflict == m.Node:
		d.noteEvent(EventConflict, parent, name, now, "another device used the name first")
	case m.Op == api.OpWrite:
		d.noteEvent(EventConflict, parent, name, now, "another device changed it first")
	}
}

// takeTold returns the events that nobody was told of yet; locked.
func (d *Drive) takeTold() []Event {
	told := d.syn.told
	d.syn.told = nil
	return told
}
