package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"satchel/api"
	"satchel/api/client"
	"satchel/cache"
	"satchel/fusefs"
)

// Each bound folder has a cache of its own; these are the parts of the budgets
// for the whole mount that one may use.
const (
	boundCachePart  = 8
	boundMemoryPart = 16
	boundMemoryMin  = 8 << 20
)

// askBinds is how often the binds are asked for when nothing is heard of them.
const askBinds = time.Minute

// boundFolders shows in the mount what is bound into the user's drive: folders that others
// share with him. One goroutine (run) opens and closes them.
type boundFolders struct {
	home  *client.Drive
	drive func(id api.ID) *client.Drive
	base  cache.Config // of the mounted drive
	fs    *fusefs.Server
	log   *slog.Logger

	mountpoint string // of the home drive
	profile    string // whose commands the messages name

	news  chan struct{}
	asked chan chan<- error // who waits until what is bound now is shown; each has room for the answer
	twin  atomic.Bool       // something of the drive itself is bound in it: its feed must tell all

	hidden map[api.ID]bool // binds that could not be shown when they were last to be; of show and who calls it

	opening  sync.Mutex // held while a drive is opened, closed or exported
	rescuing sync.Mutex // held while something is kept that was refused

	mu     sync.Mutex // guards what is below; only run changes shown
	shown  map[api.ID]*boundFolder
	over   map[api.ID]bool // binds that show nothing any more, and whose directories are still there
	paused string          // why nothing is sent; "" = it is
}

// boundFolder is one that is shown.
type boundFolder struct {
	api.Bind
	drive   *cache.Drive
	binding *fusefs.Binding
}

// stir asks for the binds soon.
func (b *boundFolders) stir() {
	select {
	case b.news <- struct{}{}:
	default:
	}
}

// run keeps what is shown true until ctx ends.
func (b *boundFolders) run(ctx context.Context) {
	wait := time.Duration(0)
	told := b.hidden // which were the reason of an answer, or could not be shown from the beginning
	for {
		var asking chan<- error
		select {
		case <-ctx.Done():
			return
		case <-b.news:
		case asking = <-b.asked:
		case <-time.After(wait):
		}
		wait = askBinds
		binds, err := b.ask(ctx)
		if err != nil {
			if ctx.Err() == nil && api.KindOf(err) != api.Unavailable {
				b.log.Warn("ask for shared folders", "err", err)
			}
			wait = 5 * time.Second
		} else if err := b.show(ctx, binds); err != nil {
			b.log.Warn("show shared folders", "err", err)
			wait = 5 * time.Second
		}
		if asking != nil {
			asking <- errors.Join(err, newly(b.hidden, told))
			told = b.hidden
		}
	}
}

// newly is an error (Unavailable) when more is hidden than was told of.
func newly(hidden, told map[api.ID]bool) error {
	for id := range hidden {
		if !told[id] {
			return api.Errorf(api.Unavailable, "a shared folder can't be shown")
		}
	}
	return nil
}

// refresh returns when what is bound now is shown. The error is of kind Unavailable when something new can't be, or the server can't be asked.
func (b *boundFolders) refresh(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case b.asked <- done:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *boundFolders) ask(ctx context.Context) ([]api.Bind, error) {
	if b.home.ID().IsZero() {
		if _, err := b.home.Info(ctx); err != nil {
			return nil, err
		}
	}
	return b.home.Binds(ctx)
}

// known shows what was bound when the binds were last heard of: the server may
// be out of reach.
func (b *boundFolders) known(ctx context.Context) {
	binds, err := readBinds(b.base.Dir)
	if err == nil {
		err = b.show(ctx, binds)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.log.Warn("show shared folders", "err", err)
	}
}

// bindsAtMount is how long a mount waits to hear what is bound.
const bindsAtMount = 2 * time.Second

// first shows what is bound before programs come to the folder: what they wrote into the place of a bind that does not show yet
// would be hidden by it. A server that does not answer is not waited for long: then what was known shows.
func (b *boundFolders) first(ctx context.Context) {
	b.known(ctx)
	ctx, cancel := context.WithTimeout(ctx, bindsAtMount)
	defer cancel()
	binds, err := b.ask(ctx)
	if err == nil {
		err = b.show(ctx, binds)
	}
	if err != nil {
		b.log.Debug("what is bound is heard later", "err", err)
	}
}

// readBinds reads what was bound into a cache's drive when the binds were last heard of.
func readBinds(cacheDir string) (binds []api.Bind, err error) {
	text, err := os.ReadFile(filepath.Join(cacheDir, bindsFile))
	if err == nil {
		err = json.Unmarshal(text, &binds)
	}
	return binds, err
}

// bindsFile is in the cache of the drive.
const bindsFile = "bound/binds.json"

func (b *boundFolders) dir() string                { return filepath.Join(b.base.Dir, "bound") }
func (b *boundFolders) file() string               { return filepath.Join(b.base.Dir, bindsFile) }
func (b *boundFolders) cacheOf(bind api.ID) string { return filepath.Join(b.dir(), bind.String()) }

// show opens and closes until what is shown is what is bound.
func (b *boundFolders) show(ctx context.Context, binds []api.Bind) error {
	var failed error
	wanted, over := map[api.ID]api.Bind{}, map[api.ID]bool{}
	own := b.home.ID()
	twin := false
	var bars []api.ID
	for _, bind := range binds {
		if bind.Ended {
			over[bind.ID] = true
			bars = append(bars, bind.Node)
			continue
		}
		wanted[bind.ID] = bind
		twin = twin || bind.SourceDrive == own
	}
	b.twin.Store(twin)
	b.fs.Bar(bars) // before what they showed goes
	b.mu.Lock()
	b.over = over
	b.mu.Unlock()
	for id, f := range b.shown {
		w, ok := wanted[id]
		if ok {
			f.Path = w.Path
		}
		switch {
		case !ok || w.Node != f.Node || w.SourceDrive != f.SourceDrive || w.SourceNode != f.SourceNode:
			b.set(id, nil)
			failed = errors.Join(failed, b.close(f))
		case w.Permissions != f.Permissions:
			f.Permissions = w.Permissions
			f.binding.Allow(w.Permissions)
		}
	}
	hidden := map[api.ID]bool{}
	for id, bind := range wanted {
		if b.shown[id] == nil && ctx.Err() == nil {
			f, err := b.open(bind)
			if err != nil {
				failed = errors.Join(failed, err)
				hidden[id] = true
				continue
			}
			b.set(id, f)
		}
	}
	b.hidden = hidden
	return errors.Join(failed, b.noteOver(binds), b.save(binds))
}

// set notes that a folder is shown; nil: no more.
func (b *boundFolders) set(id api.ID, f *boundFolder) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f == nil {
		delete(b.shown, id)
	} else {
		f.drive.Pause(b.paused)
		b.shown[id] = f
	}
}

// pause is [cache.Drive.Pause] of what is shown, and of what will be.
func (b *boundFolders) pause(reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.paused = reason
	for _, f := range b.shown {
		f.drive.Pause(reason)
	}
}

func (b *boundFolders) save(binds []api.Bind) error {
	text, err := json.Marshal(binds)
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(b.file()); len(binds) == 0 && err != nil || string(old) == string(text) {
		return nil
	}
	if err := os.MkdirAll(b.dir(), 0o700); err != nil {
		return err
	}
	next := b.file() + ".new"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	return os.Rename(next, b.file())
}

func (b *boundFolders) open(bind api.Bind) (*boundFolder, error) {
	b.opening.Lock()
	defer b.opening.Unlock()
	if err := os.MkdirAll(b.dir(), 0o700); err != nil {
		return nil, err
	}
	config := b.base
	config.Dir = b.cacheOf(bind.ID)
	config.Limit = b.base.Limit / boundCachePart
	config.Memory = max(b.base.Memory/boundMemoryPart, boundMemoryMin)
	config.Log = b.log.With("bound", bind.ID)
	config.Rescue = b.rescue
	config.Remote = &boundRemote{b.drive(bind.SourceDrive), bind.SourceNode, b.stir}
	d, err := cache.Open(config)
	if err != nil {
		return nil, fmt.Errorf("open a shared folder: %w", err)
	}
	os.Remove(filepath.Join(config.Dir, endedFile))
	b.log.Info("a shared folder is shown", "bind", bind.ID, "permissions", bind.Permissions.Names())
	return &boundFolder{bind, d, b.fs.Bind(bind.Node, d, bind.Permissions)}, nil
}

// settled tells whether work that was refused in a shared folder is no longer where rescue put it: somebody has seen to it.
func (b *boundFolders) settled(e cache.Event) bool {
	if e.What != cache.EventRefused || !e.Dir.IsZero() || e.Now == "" {
		return false
	}
	if kind, err := mountedType(b.mountpoint); err != nil || kind != fsType {
		return false
	}
	_, err := os.Lstat(filepath.Join(b.mountpoint, string(e.Now)))
	return errors.Is(err, os.ErrNotExist)
}

// proofWait is how long a folder that is bound no more waits for what was just saved in it to be sent and proven.
const proofWait = 2 * time.Second

// close ends what is bound no more, or may not be seen any more. Its cache goes,
// unless it has what is nowhere else: that comes back if the folder does.
func (b *boundFolders) close(f *boundFolder) error {
	f.binding.Close()
	b.opening.Lock()
	defer b.opening.Unlock()
	status := f.drive.Status() // no program opens anything any more
	for end := time.Now().Add(proofWait); status.Unproven > 0 && time.Now().Before(end); status = f.drive.Status() {
		time.Sleep(50 * time.Millisecond)
	}
	err := errors.Join(f.drive.Close(), b.noteRefused(f.Bind, status.Events))
	if here := max(status.PendingMutations+status.LocalOnly, status.Unproven); here > 0 { // unproven: a program has it mapped, and stores tell nobody
		b.log.Warn("a shared folder is not shown any more, and changes in it were not sent: they are kept", "changes", here, "in", b.cacheOf(f.ID))
		return errors.Join(err, b.noteEnded(f.Bind, here))
	}
	b.log.Info("a shared folder is not shown any more", "bind", f.ID)
	return errors.Join(err, os.RemoveAll(b.cacheOf(f.ID)))
}

// closeAll closes the drives after the unmount; what they have stays. Who calls it holds opening.
func (b *boundFolders) closeAll() (err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, f := range b.shown {
		delete(b.shown, id)
		err = errors.Join(err, f.drive.Close())
	}
	return err
}

// all are the drives that are shown.
func (b *boundFolders) all() []*cache.Drive {
	b.mu.Lock()
	defer b.mu.Unlock()
	drives := make([]*cache.Drive, 0, len(b.shown))
	for _, f := range b.shown {
		drives = append(drives, f.drive)
	}
	return drives
}

// drives are the same, by the bind.
func (b *boundFolders) drives() map[api.ID]*cache.Drive {
	b.mu.Lock()
	defer b.mu.Unlock()
	drives := make(map[api.ID]*cache.Drive, len(b.shown))
	for id, f := range b.shown {
		drives[id] = f.drive
	}
	return drives
}

// places are the directories of the drive in which others' are shown.
func (b *boundFolders) places() map[api.ID]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	in := make(map[api.ID]bool, len(b.shown))
	for _, f := range b.shown {
		in[f.Node] = true
	}
	return in
}

// status adds what is true of the shown folders to a drive's status.
func (b *boundFolders) status(s cache.Status) cache.Status {
	for _, d := range b.all() {
		o := d.Status()
		s.PendingMutations += o.PendingMutations
		s.PendingBytes += o.PendingBytes
		s.Unproven += o.Unproven
		s.Uploading += o.Uploading
		s.Conflicts += o.Conflicts
		s.Refused += o.Refused
		s.Unsettled += o.Unsettled
		s.LocalOnly += o.LocalOnly
		s.Undecided += o.Undecided
		s.CacheBytes += o.CacheBytes
		s.MemoryBytes += o.MemoryBytes
		s.Pinned += o.Pinned
		s.PinnedMissing += o.PinnedMissing
		s.LoginEnded = s.LoginEnded || o.LoginEnded
		for _, e := range o.Events {
			if b.settled(e) {
				s.Unsettled--
			} else {
				s.Events = append(s.Events, e)
			}
		}
		if s.Problem == "" {
			s.Problem = o.Problem
		}
	}
	over := append(b.ended(), b.refused()...)
	s.Events = append(s.Events, over...)
	s.Unsettled += len(over)
	return s
}

// sync is [cache.Drive.Sync] of what is shown.
func (b *boundFolders) sync(ctx context.Context, wait bool, progress func(cache.Status)) error {
	for _, d := range b.all() {
		if err := d.Sync(ctx, wait, progress); err != nil {
			return err
		}
	}
	return nil
}
