package cache

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"satchel/api"
)

// An Event tells people what became of a change of theirs that met another
// device's: nothing is lost, but they may want to look. Its paths are of type
// [api.Name], which JSON keeps whatever their bytes.
type Event struct {
	Time time.Time `json:"time"`
	What string    `json:"what"`          // one of the constants below
	Path api.Name  `json:"path"`          // of the change, as far as it is known
	Now  api.Name  `json:"now,omitempty"` // where the work is now, if elsewhere: a name, or Recovered/ and one
	Why  string    `json:"why,omitempty"`
	Dir  api.ID    `json:"dir,omitzero"` // the directory that has Now, where somebody has to look; zero: nobody has to, or (refused) not known here
}

const (
	EventConflict = "conflict" // the other device was first; this one's is in Now
	EventRescued  = "rescued"  // what the other device wrote and this one replaced unseen is in Now
	EventReturned = "returned" // deleted by another device; edited here, so it came back
	EventKept     = "kept"     // not deleted: another device had changed it
	EventUndone   = "undone"   // the server refused it; the folder shows what it has
	EventStuck    = "stuck"    // the server fails on it; it is kept and tried again
	EventRefused  = "refused"  // the server refused the content; it is in Now
	EventEnded    = "ended"    // another's folder is shown no more; what was not sent of it, if anything, is kept in the cache directory Now
)

const (
	// maxEvents is how many events are remembered.
	maxEvents = 100
	// oldNews is when an event of which nothing is to be looked at is not told any more.
	oldNews = 7 * 24 * time.Hour
)

// events are those that still matter: whose work is where it was put, the server's failures as long as it fails, and
// what else happened lately. What somebody removed or gave another name is settled. Locked.
func (d *Drive) events() (all []Event, unsettled int) {
	for _, e := range d.syn.events {
		switch {
		case !e.Dir.IsZero():
			if d.settled(e) {
				continue
			}
			unsettled++
		case e.What == EventRefused && e.Now != "": // rescued into another drive, and whether it is there still is not known here
			unsettled++
		case e.What == EventStuck && d.journal.failing == 0, time.Since(e.Time) > oldNews:
			continue
		}
		all = append(all, e)
	}
	return all, unsettled
}

// settled tells whether an event's work is no longer where it was put, as far as that is known here; locked.
func (d *Drive) settled(e Event) bool {
	p, err := d.load(e.Dir)
	if err != nil {
		return false
	}
	if p == nil {
		return true
	}
	defer d.letGo(p)
	if p.dead {
		return true
	}
	name := api.Name(path.Base(string(e.Now)))
	switch {
	case p.list != nil:
		return p.list.byName[name] == nil
	case p.flags&flagComplete == 0:
		return false
	}
	_, c, err := d.st.Get(entryKey(e.Dir, name))
	if err == nil {
		c.Close()
	}
	return errors.Is(err, pebble.ErrNotFound)
}

// noteEvent notes an event for `satchel status`, and for whoever asked to be told. dir is the directory that has
// what now names, if somebody has to look at that. Locked.
func (d *Drive) noteEvent(what string, parent api.ID, name, now api.Name, why string, dir api.ID) {
	e := Event{Time: time.Now().UTC(), What: what, Path: api.Name(d.wholePath(parent, name)), Now: now, Why: why, Dir: dir}
	d.syn.events = append(d.syn.events, e)
	for len(d.syn.events) > maxEvents { // news goes before what somebody has to look at
		i := max(0, slices.IndexFunc(d.syn.events, func(e Event) bool { return e.Dir.IsZero() && e.What != EventRefused }))
		d.syn.events = slices.Delete(slices.Clone(d.syn.events), i, i+1)
	}
	d.syn.told = append(d.syn.told, e)
}

// noteUndone notes that what the server refused is not there any more, and had no content that could wait somewhere: a directory, whose
// files are refused by themselves, or a symlink, which is told with what it led to. Locked.
func (d *Drive) noteUndone(n *node, parent api.ID, name api.Name, why string) {
	if n.target != "" {
		why += fmt.Sprintf("; it led to %q", string(n.target))
	}
	d.noteEvent(EventUndone, parent, name, "", why, api.ID{})
}

// refusedAgain notes why the server does still not take what waits in Recovered and was offered once more; false: it is not
// known that it was refused before. Locked.
func (d *Drive) refusedAgain(now api.Name, why string, dir api.ID) bool {
	for i, e := range slices.Backward(d.syn.events) {
		if e.What == EventRefused && e.Dir == dir && e.Now == now {
			d.syn.events = slices.Clone(d.syn.events)
			d.syn.events[i].Why = why
			return true
		}
	}
	return false
}

// eventOf notes what became of a mutation that was not applied as made; locked.
func (d *Drive) eventOf(m *api.Mutation, o *api.Outcome) {
	now, parent, name := o.Name, m.Parent, m.Name
	switch {
	case o.Status == api.Dropped && (m.Op == api.OpUnlink || m.Op == api.OpRmdir):
		d.noteEvent(EventKept, parent, name, "", "another device changed it", api.ID{})
	case o.Status == api.Refused:
		// Content has an event of its own (refused).
		if m.Op != api.OpCreate && m.Op != api.OpWrite {
			d.noteEvent(EventUndone, parent, name, "", o.Message, api.ID{})
		}
	case o.Status != api.Adjusted || o.Conflict.IsZero() || o.Name == "":
	case m.Op == api.OpWrite && o.Conflict == m.Node:
		d.noteEvent(EventReturned, parent, name, now, "another device deleted it", api.ID{})
	case m.Op == api.OpRename && o.Conflict != m.Node:
		d.noteEvent(EventRescued, m.ToParent, m.ToName, now, "another device had changed what was replaced", m.ToParent)
	case m.Op == api.OpRename:
		d.noteEvent(EventConflict, m.ToParent, m.ToName, now, "another device used the name first", m.ToParent)
	case o.Conflict == m.Node:
		d.noteEvent(EventConflict, parent, name, now, "another device used the name first", parent)
	case m.Op == api.OpWrite:
		d.noteEvent(EventConflict, parent, name, now, "another device changed it first", parent)
	}
}

// takeTold returns the events that nobody was told of yet; locked.
func (d *Drive) takeTold() []Event {
	told := d.syn.told
	d.syn.told = nil
	return told
}
