package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"satchel/api"
	"satchel/storage/extract"
	"satchel/storage/postgres"
)

// Found is something that a search found.
type Found = postgres.Found

// Search finds at most limit things below a directory: files whose content has
// the words (as web searches have them: "a phrase", -without, or), and what has
// the text in its name or, if there is a slash in it, in its path from there, in whatever case and form of Unicode.
// A guest needs to list the directory ([api.Permission]), and finds what he may read, and list. Of words that
// more than 10,000 files below it have it is the best of some 10,000 of them.
func (d *Drive) Search(ctx context.Context, dir api.ID, words, name string, limit int) (found []Found, err error) {
	for _, text := range []string{words, name} {
		if strings.ContainsRune(text, 0) || len(text) > 1000 {
			return nil, api.Errorf(api.Invalid, "a search has at most 1000 bytes, and no NUL")
		}
	}
	words, name = strings.ToValidUTF8(words, ""), strings.ToValidUTF8(name, "")
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		if err := d.holding(ctx, tx, dir, api.PermList); err != nil {
			return err
		}
		if strings.Contains(name, "/") {
			found, err = searchPaths(ctx, tx, d.id, dir, words, name, limit)
		} else {
			found, err = tx.Search(ctx, d.id, dir, words, name, limit)
		}
		return err
	})
	return found, err
}

// pathHits is how many things that have the last name of a part of a path are looked at, at least.
const pathHits = 1000

// searchPaths is [Drive.Search] for what has a part of a path in its own: its name has the last of its names.
func searchPaths(ctx context.Context, tx *postgres.Tx, drive, dir api.ID, words, part string, limit int) ([]Found, error) {
	last := path.Base(part) // "/" alone is in no name
	found, err := tx.Search(ctx, drive, dir, "", last, max(limit, pathHits))
	if err != nil {
		return nil, err
	}
	part = Folded(api.Name(part))
	found = slices.DeleteFunc(found, func(f Found) bool { return !strings.Contains("/"+Folded(f.Path)+"/", part) })
	inContent, err := tx.Search(ctx, drive, dir, words, "", limit)
	for _, f := range inContent {
		if !slices.ContainsFunc(found, func(other Found) bool { return other.Path == f.Path }) {
			found = append(found, f)
		}
	}
	return found[:min(limit, len(found))], err
}

// Reindex has the words of all files found again, in the background, for an admin. Until then what was found before is.
func (s *Service) Reindex(ctx context.Context, c Caller) error {
	if !c.Admin {
		return api.Errorf(api.Permission, "only an admin rebuilds the index")
	}
	if err := s.db.As(ctx, c.User, func(ctx context.Context, tx *postgres.Tx) error { return tx.RenewTexts(ctx) }); err != nil {
		return err
	}
	s.index.wakeAll()
	return nil
}

// indexing knows which drives changed, and how far the index is with those that it is in the middle of. It is safe for concurrent use.
type indexing struct {
	mu    sync.Mutex
	all   bool
	dirty map[api.ID]*pass // nil for one that is not begun
	woken chan struct{}    // holds one
}

func newIndexing() *indexing {
	return &indexing{dirty: map[api.ID]*pass{}, woken: make(chan struct{}, 1)}
}

func (x *indexing) wake(drive api.ID) {
	x.mu.Lock()
	if p := x.dirty[drive]; p != nil {
		p.changed = true
	} else {
		x.dirty[drive] = nil
	}
	x.mu.Unlock()
	x.signal()
}

// goOn has a pass go on when the other drives that changed had their turns.
func (x *indexing) goOn(drive api.ID, p *pass) {
	x.mu.Lock()
	_, changed := x.dirty[drive]
	p.changed = p.changed || changed || x.all
	x.dirty[drive] = p
	x.mu.Unlock()
	x.signal()
}

func (x *indexing) wakeAll() {
	x.mu.Lock()
	x.all = true
	for _, p := range x.dirty {
		if p != nil {
			p.changed = true
		}
	}
	x.mu.Unlock()
	x.signal()
}

func (x *indexing) signal() {
	select {
	case x.woken <- struct{}{}:
	default:
	}
}

// take is the drives that changed since it was asked last, or that are not done; all means that
// others may have changed, too.
func (x *indexing) take() (dirty map[api.ID]*pass, all bool) {
	dirty = x.fresh()
	x.mu.Lock()
	defer x.mu.Unlock()
	all, x.all = x.all, false
	return dirty, all
}

// fresh is the drives that changed since it was asked last, or that are not done.
func (x *indexing) fresh() map[api.ID]*pass {
	x.mu.Lock()
	defer x.mu.Unlock()
	dirty := x.dirty
	x.dirty = map[api.ID]*pass{}
	return dirty
}

// How many times as long as it worked the index rests, and how long at the most. Of what came in thousands nobody looks for the last
// one at once, but they are read and counted on the machine on which somebody works, perhaps, and his other requests are answered.
const (
	indexRest = 3
	restMost  = time.Second
)

// pause is how long the index waits before the next turns, after some that took so long. It rests in the middle of a
// drive, but not while another one waits.
func (x *indexing) pause(worked time.Duration) time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	middle := false
	for _, p := range x.dirty {
		middle = middle || p != nil
	}
	switch {
	case !middle:
		return indexQuiet
	case len(x.dirty) > 1:
		return 0
	}
	return min(indexRest*worked, restMost)
}

// How long files may be written before their words are looked for, and how
// often all drives are looked at, for what another process left undone.
const (
	indexQuiet = 200 * time.Millisecond
	indexEvery = 5 * time.Minute
)

// RunIndex finds the words of files as they arrive, until ctx ends. It needs
// [Service.Run] to hear of them at once. Several processes may do it: what they do
// twice they do alike.
func (s *Service) RunIndex(ctx context.Context) {
	s.index.wakeAll()
	every := time.NewTicker(indexEvery)
	defer every.Stop()
	for worked := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			s.index.wakeAll()
			continue
		case <-s.index.woken:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(s.index.pause(worked)):
		}
		began := time.Now()
		s.indexDirty(ctx)
		worked = time.Since(began)
	}
}

// indexDirty gives each drive that changed a turn.
func (s *Service) indexDirty(ctx context.Context) {
	dirty, all := s.index.take()
	var drives []postgres.OwnedDrive
	err := s.db.AsReadOnly(ctx, api.ID{}, func(ctx context.Context, tx *postgres.Tx) (err error) {
		drives, err = tx.AllDrives(ctx)
		return err
	})
	one := func(d postgres.OwnedDrive, p *pass) error {
		drive := &Drive{s: s, caller: Caller{User: d.Owner}, id: d.Drive, owner: d.Owner}
		err := drive.index(ctx, p)
		if err != nil && ctx.Err() == nil {
			s.log.Warn("a drive's words were not found", "drive", d.Drive, "err", err)
			err = nil
		}
		return err
	}
	// Whoever wrote something just now looks for it sooner than those of whom nothing is known.
	err = errors.Join(err, changedFirst(drives, dirty, all, s.index.fresh, one))
	if err != nil && ctx.Err() == nil {
		s.log.Warn("the index waits for the database", "err", err)
		s.index.wakeAll()
		select {
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
		}
	}
}

// changedFirst calls one for each drive that changed and, if all, for each of the others after that; what changes meanwhile (fresh)
// comes in between. It ends with one's first error.
func changedFirst(drives []postgres.OwnedDrive, dirty map[api.ID]*pass, all bool, fresh func() map[api.ID]*pass, one func(postgres.OwnedDrive, *pass) error) error {
	done := map[api.ID]bool{}
	changed := func(dirty map[api.ID]*pass) error {
		for _, d := range drives {
			if p, is := dirty[d.Drive]; is {
				done[d.Drive] = true
				if err := one(d, p); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := changed(dirty); err != nil || !all {
		return err
	}
	for _, d := range drives {
		if err := changed(fresh()); err != nil {
			return err
		}
		if done[d.Drive] {
			continue
		}
		if err := one(d, nil); err != nil {
			return err
		}
	}
	return nil
}

// pass is a look at what changed in a drive after one change and up to another.
type pass struct {
	state   postgres.IndexState  // when it began
	files   []postgres.Unindexed // to be read next
	after   api.ID               // the last one of them
	last    bool                 // there are none after it
	changed bool                 // the drive was, between its turns
	missed  error                // of the first file that was unavailable
	inRow   int                  // how many could not, one after the other
}

// indexPage is how many files are looked up at once.
const indexPage = 200

// wordsAtOnce is how many bytes of content, or of the text in it, a turn has, beside the last file's.
var wordsAtOnce = 1 << 20

// missesInRow is after how many unavailable files, one after the other, a pass is given up: the store is away.
// One pack may have that many that are lost to it alone.
var missesInRow = 1000

// index finds words of what changed in the drive since it did so last. It is a turn of the pass, or the first one of a new
// pass for nil; what is left goes on in the drive's next turn. An unavailable file ends the turn, and keeps
// none of the others from being found; a later pass reads it.
func (d *Drive) index(ctx context.Context, p *pass) error {
	if p == nil {
		p = &pass{}
		if err := d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) (err error) {
			p.state, err = tx.IndexState(ctx, d.id)
			return err
		}); err != nil || p.state.Seq == p.state.Indexed && !p.state.Whole {
			return err
		}
	}
	if len(p.files) == 0 {
		if err := d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) (err error) {
			p.files, err = tx.Unindexed(ctx, d.id, p.state, p.after, indexPage)
			return err
		}); err != nil {
			return err
		}
		p.last = len(p.files) < indexPage
		if !p.last {
			p.after = p.files[indexPage-1].Node
		}
	}
	found := foundWords{generation: p.state.Generation}
	for len(p.files) > 0 && found.bytes < wordsAtOnce {
		f := p.files[0]
		p.files = p.files[1:]
		limit := extract.Limit(string(f.Name), f.Size)
		if limit == 0 {
			continue // what is known of a former version does not count
		}
		text, err := d.words(ctx, f)
		if err != nil {
			p.missed = cmp.Or(p.missed, fmt.Errorf("file %s: %w", f.Node, err))
			if p.inRow++; ctx.Err() != nil || p.inRow == missesInRow {
				return errors.Join(p.missed, found.keep(ctx, d))
			}
			break
		}
		p.inRow = 0
		found.files, found.texts = append(found.files, f), append(found.texts, text)
		found.bytes += max(len(text), int(min(limit, f.Size)))
	}
	if err := found.keep(ctx, d); err != nil {
		return err
	}
	if len(p.files) > 0 || !p.last {
		d.s.index.goOn(d.id, p)
		return nil
	}
	if p.changed {
		d.s.index.wake(d.id)
	}
	if p.missed != nil {
		return p.missed
	}
	return d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error { return tx.SetIndexed(ctx, d.id, p.state) })
}

// foundWords is the texts of files that no row has yet. They are kept together: a transaction for each would be one more that
// waits for the disk for every file that is written.
type foundWords struct {
	files      []postgres.Unindexed
	texts      []string
	bytes      int
	generation int64
}

func (w *foundWords) keep(ctx context.Context, d *Drive) error {
	if len(w.files) == 0 {
		return nil
	}
	return d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		for i, f := range w.files {
			if err := tx.SetText(ctx, d.id, d.owner, f, w.generation, w.texts[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// words is the text of a file; empty for one that has none, that can't be
// understood, whose content is lost, or that is gone. What may be read later is an error.
func (d *Drive) words(ctx context.Context, f postgres.Unindexed) (string, error) {
	c, err := d.Content(ctx, f.Node, f.Version)
	if api.KindOf(err) == api.NotFound {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	limit := extract.Limit(string(f.Name), c.Size)
	if limit == 0 {
		return "", nil
	}
	content, err := c.beginning(ctx, limit)
	switch {
	case ctx.Err() != nil || api.KindOf(err) == api.Unavailable:
		return "", err
	case err != nil:
		d.s.log.Warn("a file's words can't be read", "drive", d.id, "node", f.Node, "err", err)
		return "", nil
	}
	find := extract.Text
	if extract.Document(string(f.Name)) {
		find = d.s.extract
	}
	text, err := find(ctx, string(f.Name), content)
	if api.KindOf(err) == api.Unavailable {
		return "", err
	}
	if err != nil {
		d.s.log.Debug("a file's words were not understood", "drive", d.id, "node", f.Node, "err", err)
	}
	return text, ctx.Err()
}

// beginning is the first bytes of the content, or all of it.
func (c *Content) beginning(ctx context.Context, limit int64) ([]byte, error) {
	body, err := c.Open(ctx, 0, min(limit, c.Size))
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}
