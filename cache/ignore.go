package cache

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"satchel/api"
	"satchel/api/compat/gitignore"
)

// ignoreFile has, in the syntax of gitignore(5), the names below its directory that stay on the machine
// on which they are made.
const ignoreFile = ".satchelignore"

const maxIgnore = 1 << 20 // bytes of it that are read

// ignores is what is known of the drive's ignore files. Guarded by Drive.mu.
type ignores struct {
	gen    int           // counts what may have changed the rules of some directory
	unread bool          // some could not be read: again when the server can be reached
	wake   chan struct{} // for runStay
}

// A ruleset is the rules of a directory: of its own ignore file and of those above it. It
// does not change. nil has none.
type ruleset struct {
	texts   []ignoreText
	rules   gitignore.Rules
	unknown bool // one of them could not be read
}

type ignoreText struct{ dir, text string }

func (r *ruleset) with(dir, text string) *ruleset {
	var more ruleset
	if r != nil {
		more.texts, more.unknown = append(more.texts, r.texts...), r.unknown
	}
	more.texts = append(more.texts, ignoreText{dir, text})
	for _, t := range more.texts {
		more.rules.Add(t.dir, t.text)
	}
	return &more
}

// ignoreNews notes that the rules of some directories may have changed; locked.
func (d *Drive) ignoreNews() {
	d.ignores.gen++
	select {
	case d.ignores.wake <- struct{}{}:
	default:
	}
}

// ignored tells whether what is made under a name would stay on this machine: the directory does, or an
// ignore file says so, or one could not be read (known is false then). Locked, and given up while one is fetched.
func (d *Drive) ignored(p *node, name api.Name, dir bool, intr Interrupt) (stays, known bool, err error) {
	if d.stays(p) {
		return true, true, nil
	}
	r, err := d.rulesOf(p, intr)
	if err != nil || r == nil {
		return false, true, err
	}
	if r.unknown {
		return true, false, nil
	}
	return r.rules.Excludes(d.childPath(p, name), dir), true, nil
}

// doubtful tells whether an ignore file that may name what is made in a directory could not be read, as the last
// [Drive.ignored] of it found; locked.
func (d *Drive) doubtful(p *node) bool {
	return !d.stays(p) && p.rulesAt == d.ignores.gen && p.rules != nil && p.rules.unknown
}

// undecided is how many nodes stay on this machine only until ignore files can be read; locked.
func (d *Drive) undecided() (n int) {
	if d.journal.doubts == 0 {
		return 0
	}
	for _, e := range d.journal.staying {
		n += count(d.inDoubt(e))
	}
	return n
}

// inDoubt tells whether what an entry makes stays only until ignore files can be read; locked.
func (d *Drive) inDoubt(e *entry) bool {
	for up := d.journal.staying[e.m.Parent]; up != nil; up = d.journal.staying[e.m.Parent] {
		e = up
	}
	return e.doubt
}

// doubtUnread finds out without the server what is in doubt: that over which there is an ignore file whose content is not here.
func (d *Drive) doubtUnread() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.journal.staying {
		if d.journal.staying[e.m.Parent] != nil {
			continue // as what it is in
		}
		unread, err := d.unreadOver(e.m.Parent)
		if err != nil {
			return err
		}
		d.journal.setDoubt(e, unread)
	}
	return nil
}

// unreadOver tells whether a directory or one above it has an ignore file whose content is not here; locked.
func (d *Drive) unreadOver(dir api.ID) (bool, error) {
	for range 4096 { // not for ever in a damaged replica
		n, err := d.load(dir)
		if err != nil || n == nil {
			return false, err
		}
		f, err := d.ignoreFileIn(n)
		if err != nil {
			return false, err
		}
		if f != nil && f.slot == 0 || n == d.root {
			return f != nil && f.slot == 0, nil
		}
		dir = n.up
		d.letGo(n)
	}
	return false, nil
}

// childPath is the path of a name in a directory; locked.
func (d *Drive) childPath(p *node, name api.Name) string {
	if p == d.root {
		return string(name)
	}
	return d.wholePath(p.up, p.name) + "/" + string(name)
}

// rulesOf is the rules of a directory, nil when there are none; locked, and given up while an
// ignore file is fetched. Its errors are of kind Cancelled or the disk's: what can't be fetched is unknown.
func (d *Drive) rulesOf(n *node, intr Interrupt) (*ruleset, error) {
	gen := d.ignores.gen
	if n.rulesAt == gen {
		return n.rules, nil
	}
	var r *ruleset
	if n != d.root {
		p, err := d.load(n.up)
		if err != nil {
			return nil, err
		}
		if p != nil {
			if r, err = d.rulesOf(p, intr); err != nil {
				return nil, err
			}
			d.letGo(p)
		}
	}
	text, err := d.ignoreText(n, intr)
	switch kind := api.KindOf(err); {
	case kind == api.Cancelled:
		return nil, err
	case err != nil:
		d.log.Warn("an ignore file can't be read: what is made below it stays here until it can", "dir", d.childPath(n, ""), "err", err)
		r = r.with("", "")
		r.unknown, d.ignores.unread = true, true
	case text != "":
		dir := ""
		if n != d.root {
			dir = d.wholePath(n.up, n.name)
		}
		r = r.with(dir, text)
	}
	if gen == d.ignores.gen {
		n.rules, n.rulesAt = r, gen
	}
	return r, nil
}

// ignoreFileIn is the ignore file of a directory if there is something in it, else nil; locked.
func (d *Drive) ignoreFileIn(n *node) (*node, error) {
	var id api.ID
	switch {
	case n.list != nil:
		if k := n.list.byName[ignoreFile]; k != nil {
			id = k.id
		}
	case n.flags&flagComplete != 0:
		v, err := d.st.get(entryKey(n.id, ignoreFile))
		if errors.Is(err, pebble.ErrNotFound) {
			return nil, nil
		}
		k, err2 := decodeKid(v)
		if err = errors.Join(err, err2); err != nil {
			return nil, err
		}
		id = k.id
	}
	if id.IsZero() {
		return nil, nil
	}
	f, err := d.load(id)
	if err != nil || f == nil || !f.isFile() || f.size == 0 && f.hot == nil {
		return nil, err
	}
	return f, nil
}

// ignoreText is a directory's own ignore file, "" when there is none; locked, and given up while it is fetched.
func (d *Drive) ignoreText(n *node, intr Interrupt) (string, error) {
	f, err := d.ignoreFileIn(n)
	if err != nil || f == nil {
		return "", err
	}
	if err := d.local(f, intr); err != nil {
		return "", err
	}
	file, err := os.Open(d.slotPath(f.slot))
	d.letGo(f)
	if err != nil {
		return "", err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxIgnore))
	return string(b), err
}

// readIgnores tries again to read what could not be.
func (d *Drive) readIgnores() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ignores.unread {
		d.ignores.unread = false
		d.ignoreNews()
	}
}

// decide reads what could not be read, and sends what stayed here because of it.
func (d *Drive) decide() error {
	d.readIgnores()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sendUnignored()
}

// runStay sends what stayed here and is no longer ignored, until Close.
func (d *Drive) runStay() {
	for {
		d.mu.Lock()
		err := d.sendUnignored()
		d.mu.Unlock()
		if err != nil && d.ctx.Err() == nil {
			d.log.Error("send what is no longer ignored", "err", err)
		}
		select {
		case <-d.done:
			return
		case <-d.ignores.wake:
		}
		select { // a save has several steps
		case <-d.done:
			return
		case <-time.After(quiet):
		}
	}
}
