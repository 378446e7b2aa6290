package cache

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// What the server refuses of a drive in which its user may make no Recovered folder goes to [Config.Rescue], and then from here. A
// program may have such a file open, and go on writing while it is copied, or long after. So nothing is rescued to which somebody could write, and nothing
// is undone to which somebody could have written since it was rescued: that goes back into the journal, as if it had not been sent, and is offered again when nobody
// can write any more.

// A rescued is where [Config.Rescue] kept content.
type rescued struct {
	As    api.Name `json:"as"`
	Ctime int64    `json:"ctime"` // of the content file then

	opened uint64 // hot.opened then; 0 in what an earlier start kept
}

// rescue gives what of a batch was refused, and has content, to [Config.Rescue]. Not locked: what it is
// given to may ask this drive.
func (d *Drive) rescue(f *flight, outcomes []api.Outcome, byID map[api.ID]*api.Node) error {
	if d.cfg.Rescue == nil {
		return nil
	}
	for i, o := range outcomes {
		if m := &f.Batch.Mutations[i]; refusedContent(m, &o, byID) {
			if err := d.rescueOne(m.Node); err != nil {
				return fmt.Errorf("keep what was refused: %w", err)
			}
		}
	}
	return nil
}

// refusedContent tells whether the server refused what may have content.
func refusedContent(m *api.Mutation, o *api.Outcome, byID map[api.ID]*api.Node) bool {
	return o.Status == api.Refused && (m.Op == api.OpCreate || m.Op == api.OpWrite) && !madeAlready(m, o, byID)
}

// rescueOne does so with one file, unless that was done for an earlier answer to its batch and nothing was written since, or
// somebody can write to it yet.
func (d *Drive) rescueOne(id api.ID) error {
	d.mu.Lock()
	n, err := d.load(id)
	if err != nil || n == nil || n.dead || !n.isFile() || n.slot == 0 {
		d.mu.Unlock()
		return err
	}
	name, fd := string(n.name), -1
	kept := rescued{opened: n.openedToWrite()}
	c, err := d.attach(n)
	if err == nil && n.unwritten() {
		kept.Ctime = c.ctime()
		was, ok := d.syn.rescued[id]
		if ok && was.Ctime == kept.Ctime && (was.opened == kept.opened || was.opened == 0) {
			kept.As = was.As
			d.syn.rescued[id] = kept
		} else {
			fd, err = unix.Dup(c.fd)
		}
	}
	d.letGo(n)
	d.mu.Unlock()
	if err != nil || fd < 0 {
		return err
	}
	content := os.NewFile(uintptr(fd), name)
	defer content.Close()
	as, err := d.cfg.Rescue(name, io.NewSectionReader(content, 0, 1<<62))
	if err != nil {
		return err
	}
	kept.As = api.Name(as)
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.begin()
	t.behind = true
	d.syn.rescued[id] = kept
	t.b.Set(metaKey("rescued"), mustJSON(d.syn.rescued), nil)
	return t.commit()
}

// unwritten tells whether nobody has a file open for writing, or mapped so; locked. Its content file is in memory.
func (n *node) unwritten() bool { return n.writers == 0 && n.c.unwritten() }

// openedToWrite counts the opens for writing of what is hot; locked.
func (n *node) openedToWrite() uint64 {
	if n.hot == nil {
		return 0
	}
	return n.hot.opened
}

// rescuedWhole tells whether all that was written to a file is where [Config.Rescue] put it; locked. Nobody can write to it.
func (d *Drive) rescuedWhole(n *node) bool {
	kept, ok := d.syn.rescued[n.id]
	return ok && kept.opened == n.openedToWrite() && kept.Ctime == n.c.ctime()
}

// withhold puts back into the journal what was refused of files that are not rescued as they are, and tells which mutations of the batch that
// are; locked. While somebody can write to one it is set aside.
func (d *Drive) withhold(t *tx, f *flight, outcomes []api.Outcome, byID map[api.ID]*api.Node) (withheld map[int]bool) {
	if d.cfg.Rescue == nil {
		return nil
	}
	files := map[api.ID]bool{} // whether somebody can write to them yet
	for i, o := range outcomes {
		m := &f.Batch.Mutations[i]
		n := d.syn.hots[m.Node]
		if !refusedContent(m, &o, byID) || n == nil || n.dead || n.slot == 0 || d.journal.find(f.Entries[i]) == nil {
			continue
		}
		if _, err := d.attach(n); err != nil {
			d.log.Error("content file of a refused file", "name", n.name, "err", err)
		} else if free := n.unwritten(); !free || !d.rescuedWhole(n) {
			files[n.id] = !free
			delete(d.syn.rescued, n.id)
		}
	}
	for i, o := range outcomes {
		m := &f.Batch.Mutations[i]
		open, is := files[m.Node]
		e := d.journal.find(f.Entries[i])
		if !is || e == nil || o.Status != api.Refused {
			continue
		}
		if withheld == nil {
			withheld = map[int]bool{}
		}
		withheld[i] = true
		d.putBack(t, e, false)
		if open && refusedContent(m, &o, byID) {
			d.log.Info("refused, and open: kept until it is closed", "op", m.Op, "node", m.Node, "name", m.Name, "why", o.Message)
			d.setAside(e.seq, api.Errorf(o.Kind, "%s", o.Message))
		}
	}
	return withheld
}

// undo takes back what was refused, after its content was given to [Config.Rescue]; locked.
func (d *Drive) undo(t *tx, n *node, m *api.Mutation, o api.Outcome, theirs *api.Node) {
	up, name := n.up, n.name
	if m.Op == api.OpWrite && n.isFile() && n.slot != 0 {
		d.divert(t, n, api.NewID(), theirs) // whoever has it open to read goes on with what is no file any more
	}
	d.perish(t, n)
	if w := d.byID[m.Node]; w != nil && w != n && theirs == nil {
		w.up, w.name = up, name
		d.perish(t, w) // the server has no such node
	}
	now := d.syn.rescued[m.Node].As
	delete(d.syn.rescued, m.Node)
	if now == "" { // it has no content
		d.noteUndone(n, up, name, o.Message)
		return
	}
	d.noteEvent(EventRefused, up, name, now, o.Message, api.ID{}) // it is in another drive
}
