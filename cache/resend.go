package cache

import (
	"context"
	"maps"
	"math"
	"slices"

	"satchel/api"
)

// A server that was restored from a backup, or lost content, has another epoch. What
// this machine had sent before may be unknown to it now. So before such a
// server's word is taken for the truth, everything of which this machine has the
// content and the server has not is journalled again. What was last changed before the backup
// was made the server did not lose by it: where it has something else, or nothing, that came after.

// A missing is an entry whose node, or whose content, the server lacks.
type missing struct {
	place place
	id    api.ID
	base  api.ID // the version that the server has instead; of a lost node zero
	newer bool   // it came after the backup: what is here is no edit of it
	whole bool   // the node itself is lost
}

// instead notes what the server has of a file; since is the last change that the restore left.
func (m *missing) instead(an *api.Node, since int64) {
	m.base, m.newer = an.Version, since > 0 && an.Rev > since
}

// epochs is all those of a drive, oldest first, of which the last one is not over.
func epochs(former []api.Former, now api.ID) []api.Former {
	return append(slices.Clone(former), api.Former{Epoch: now, Seq: math.MaxInt64})
}

// shared is the last change of the drive that both this device and the server know, which is in another epoch: what came after it the server
// has lost, or has heard since. Where the server was in a third one meanwhile, and not all was listed in that, it is one that all three know.
// 0: that can't be told. Locked.
func (d *Drive) shared(info *api.DriveInfo) int64 {
	ours, theirs := d.syn.epochs, epochs(info.Former, info.Epoch)
	for i := range slices.Backward(ours) {
		for k := range theirs {
			if theirs[k].Epoch == ours[i].Epoch {
				upTo := d.syn.least
				for _, f := range slices.Concat(ours[i:], theirs[k:]) {
					upTo = min(upTo, f.Seq)
				}
				return upTo
			}
		}
	}
	return 0
}

// forestall journals again what a server lacks that answers a batch in another epoch than the one in which this device heard of it,
// before that answer is applied: it may be that what the batch was about is gone, which would take it from here.
func (d *Drive) forestall(epoch api.ID) error {
	d.mu.Lock()
	dirs, err := d.listedDirs()
	known := epoch.IsZero() || d.syn.believed.IsZero() || epoch == d.syn.believed
	d.mu.Unlock()
	if known || err != nil {
		return err
	}
	info, err := d.cfg.Remote.Info(d.ctx)
	if err == nil && info.Epoch != epoch {
		err = errRestored
	}
	if err != nil {
		return err
	}
	return d.resend(d.parentsFirst(dirs), &info)
}

// errRestored means that the server spoke in another epoch than the one that was asked about, and that is believed.
var errRestored = api.Errorf(api.Resync, "the server was restored from a backup: it gets first what it lacks")

// resend journals again what the server lacks in its present epoch of the directories, which come
// parents first. From then on that epoch is believed.
func (d *Drive) resend(dirs []api.ID, info *api.DriveInfo) error {
	d.mu.Lock()
	since := d.shared(info)
	d.mu.Unlock()
	made := map[api.ID]bool{}
	err := d.eachListing(dirs, info.Epoch, func(dir api.ID, pages []api.Listing) error {
		there := map[api.Name]*api.Node{}
		for i := range pages {
			nodes := map[api.ID]*api.Node{}
			for j := range pages[i].Nodes {
				nodes[pages[i].Nodes[j].ID] = &pages[i].Nodes[j]
			}
			for _, e := range pages[i].Entries {
				there[e.Name] = nodes[e.Node]
			}
		}
		suspects, err := d.suspects(dir, there, made, since)
		if err != nil {
			return err
		}
		var lost []missing
		for _, m := range suspects {
			if is, err := d.lacks(d.ctx, &m, since); err != nil {
				return err
			} else if is {
				lost = append(lost, m)
			}
		}
		return d.journalAgain(dir, lost, made)
	})
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.begin()
	t.b.Set(metaKey("believed"), mustJSON(belief{info.Epoch, since}), nil)
	if err = t.commit(); err == nil {
		d.syn.believed, d.syn.least, d.syn.acked = info.Epoch, since, 0 // acked was a number of the old one
	}
	return err
}

// suspects are the entries of a directory that the server shows otherwise, of what changed after since. Of files without content here there is nothing to give back.
func (d *Drive) suspects(dir api.ID, there map[api.Name]*api.Node, made map[api.ID]bool, since int64) (found []missing, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.load(dir)
	if err != nil || p == nil || p.dead {
		return nil, err
	}
	l, err := d.dir(p, nil)
	if err != nil {
		return nil, err
	}
	t := d.begin()
	t.behind = true
	for _, k := range l.order {
		if k.name == "" {
			continue
		}
		n, err := d.load(k.id)
		if err != nil {
			t.close()
			return nil, err
		}
		if n == nil || n.flags&flagAcked == 0 && !made[n.id] {
			continue
		}
		m := missing{place: place{dir, k.name}, id: n.id}
		an := there[k.name]
		known := an != nil && an.ID == n.id
		switch {
		case known && (!n.isFile() || an.Version == n.version):
		case n.isFile() && n.slot == 0:
			n.sha = api.Hash{} // the same, written now, is not what the server has
			t.node(n)
		case n.flags&flagDated != 0 && n.rev <= since:
		case !known:
			m.whole = true
			found = append(found, m)
		case !d.journal.sending(n.id): // an edit of a lost version is one of what is there instead
			m.instead(an, since)
			found = append(found, m)
		}
		d.letGo(n)
	}
	return found, t.commit()
}

// lacks asks the server whether it knows a node, or the version that is here.
func (d *Drive) lacks(ctx context.Context, m *missing, since int64) (bool, error) {
	var err error
	if m.whole {
		var an api.Node
		if an, err = d.cfg.Remote.Node(ctx, m.id); err == nil && an.Type == api.File { // it was only moved, but perhaps also changed
			m.whole = false
			m.instead(&an, since)
		}
	}
	if gone := m.whole && api.KindOf(err) == api.NotFound; gone || err == nil && !m.whole { // what is in the trash is not lost
		d.mu.Lock()
		n, lerr := d.load(m.id)
		var version api.ID
		if lerr == nil && n != nil && n.slot != 0 && !d.journal.sending(n.id) {
			version = n.version
		}
		d.mu.Unlock()
		if lerr != nil || version.IsZero() || isLost(version) || version == m.base {
			return gone, lerr
		}
		body, cerr := d.cfg.Remote.Content(ctx, m.id, version, 0, 1)
		if err = cerr; err == nil {
			body.Close()
		}
		if api.KindOf(err) == api.Internal { // it knows the version, and its blob store has lost it: another one is current there
			return gone, nil
		}
	}
	if api.KindOf(err) == api.NotFound {
		return true, nil
	}
	return false, err
}

// journalAgain journals what the server lacks as if it were made now; made has the nodes
// for which that was done.
func (d *Drive) journalAgain(dir api.ID, lost []missing, made map[api.ID]bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.begin()
	t.behind = true
	for _, m := range lost {
		n, err := d.load(m.id)
		if err != nil {
			t.close()
			return err
		}
		if n == nil || n.dead || n.stale {
			continue
		}
		d.log.Warn("the server has lost this: it is sent again", "name", m.place.name, "node", n.id, "whole", m.whole)
		var was *entry // of the content, when that is pending
		if n.hot != nil {
			was = n.hot.entry
		}
		if n.isFile() && !made[n.id] && !d.reheat(t, n) {
			continue
		}
		switch {
		case !m.whole:
			if n.sha = (api.Hash{}); !m.newer {
				n.version = m.base
			}
			d.logWrite(t, n)
		case made[n.id]:
			t.log(api.Mutation{Op: api.OpLink, Node: n.id, Parent: dir, Name: m.place.name, Time: now()})
		default:
			made[n.id] = true
			n.flags &^= flagAcked
			n.version, n.sha = api.ID{}, api.Hash{}
			if n.isDir() && n.flags&flagComplete == 0 { // nobody can list it any more
				n.flags |= flagComplete
				n.list, n.nlink = newListing(), 2
			}
			e := t.log(d.creation(n, m.place))
			if n.isFile() {
				d.carry(n.hot, e)
			}
		}
		if was != nil && was.gone {
			d.journal.inherit(n.hot.entry, was)
		}
		t.node(n)
	}
	return t.commit()
}

// reheat makes a file's content count as unsent; locked. It is false when there is none.
func (d *Drive) reheat(t *tx, n *node) bool {
	c, err := d.attach(n)
	if err != nil {
		d.log.Error("content file of a lost file", "name", n.name, "err", err)
		return false
	}
	h := d.heat(n)
	h.opened++
	// Other devices send the same again: it must be the same version.
	h.ready, h.sent = nil, nil
	if !isLost(n.version) && n.sha != (api.Hash{}) { // else it was journalled again already
		h.again, h.againSHA = n.version, n.sha
	}
	c.rec.dirty = true
	t.slot(c)
	if h.entry != nil {
		t.drop(h.entry)
		h.entry = nil
	}
	d.settle(n)
	return true
}

// creation is the mutation that makes a node as it is now.
func (d *Drive) creation(n *node, at place) api.Mutation {
	mode, uid, gid, mtime := n.mode, n.uid, n.gid, n.mtime
	return api.Mutation{Op: api.OpCreate, Node: n.id, Parent: at.parent, Name: at.name, Time: now(), Attr: &api.Attr{
		Type: api.Type(n.typ), Mode: &mode, UID: &uid, GID: &gid, Mtime: &mtime, Rdev: n.rdev, Target: api.Name(n.target), Xattrs: maps.Clone(n.xattrs)}}
}
