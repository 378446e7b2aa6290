package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"satchel/api"
	"satchel/api/client"
	"satchel/cache"
	"satchel/cmd/internal/cli"
	"satchel/fusefs"
)

const (
	// offlineGrace is how long an unmount that waits for unsent work puts up
	// with a server that does not answer.
	offlineGrace = 3 * time.Second
	// tellEvery is how often a command is told how far what it asked for is.
	tellEvery = 200 * time.Millisecond
	// lastCalls is how long programs that still have files open get after the
	// daemon was told to end.
	lastCalls = 5 * time.Second
	// leavePatience is how long the server may take, at the end, to hear of a login whose place another took.
	leavePatience = 2 * time.Second
)

// daemon is a mounted drive.
type daemon struct {
	self  mounted
	login login
	drive *cache.Drive
	bound *boundFolders
	fs    *fusefs.Server
	log   *slog.Logger

	unfollow func() // ends the following of binds

	served chan struct{} // closed when the file system is unmounted, by whomever, everywhere
	ended  chan struct{} // closed when it was unmounted here because somebody asked for it
	finish func() error  // closes the drive, once; after served
	end    func()        // closes ended, once
	mu     sync.Mutex
	last   report // once the drive is closed
	hold   hold   // why sending waits
	left   string // the file that tells other commands what is kept after the end
	closed bool

	readOnly bool        // the folder refuses changes
	hurried  atomic.Bool // who unmounted it waits for nothing
}

// moreProcs lets more goroutines be in system calls at once. Readers of /dev/fuse and fsyncs sit
// in them, and Go gives their processors to others only when it notices, up to 10 ms later.
func moreProcs() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(4, 2*runtime.NumCPU()))
	}
}

// serve mounts the drive and stays until it is unmounted.
func (cmd *mountCmd) serve(sh *shell) error {
	l, dir, err := cmd.check(sh)
	if err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil { // keep no other file system busy
		return err
	}
	if os.Getenv("GOMEMLIMIT") == "" { // else a heap may double before it is collected
		boundMemory(int64(cmd.Memory)+programMemory, cache.StoreMemory(int64(cmd.Memory)))
	}
	log := slog.New(slog.NewTextHandler(sh.stderr, nil))
	c, err := sh.client(l)
	if err != nil {
		return err
	}
	defer c.Close()
	desktop := newNotices(log)
	go desktop.run(sh.ctx)
	bound := &boundFolders{home: c.Drive("home"), drive: func(id api.ID) *client.Drive { return c.Drive(id.String()) },
		log: log, mountpoint: dir, news: make(chan struct{}, 1), asked: make(chan chan<- error), shown: map[api.ID]*boundFolder{}}
	config := cache.Config{
		Dir: cmd.CacheDir, Remote: &homeRemote{bound.home, bound}, User: l.User, Device: l.Device, DeviceName: l.DeviceName,
		Limit: int64(cmd.CacheSize), Memory: int64(cmd.Memory), FsyncServer: cmd.Fsync == "server",
		UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Notice: desktop.tell, Full: desktop.tellFull, Log: log,
	}
	made := !isFilled(cmd.CacheDir)
	drive, err := sh.openCache(config)
	if api.KindOf(err) == api.Unavailable {
		return fmt.Errorf("the first mount needs the server: %w", err)
	}
	if err != nil {
		return err
	}
	if _, noted := whoseIn(cmd.CacheDir); noted || made { // else nobody has found out yet whose it is
		if err := l.whose(sh.profile).note(cmd.CacheDir); err != nil {
			log.Warn("after a login under another address of the server this cache will not be found", "err", err)
		}
	}
	bound.base, bound.profile = config, sh.profile
	d := &daemon{login: l, drive: drive, bound: bound, log: log, served: make(chan struct{}), ended: make(chan struct{}), readOnly: cmd.ReadOnly}
	d.self = mounted{PID: os.Getpid(), Mountpoint: dir, Profile: sh.profile, CacheDir: cmd.CacheDir, Device: l.Device}
	d.left = sh.places.leftFile(cmd.CacheDir)
	d.finish, d.end = sync.OnceValue(d.close), sync.OnceFunc(func() { close(d.ended) })
	d.stayPaused() // before anything is sent
	if err := d.run(sh, cmd); err != nil {
		drive.Close()
		return err
	}
	return nil
}

// dying is how long a daemon that was killed may take to let go of its cache.
const dying = 5 * time.Second

// openCache opens a drive's cache. One that is in use by nobody who answers is
// that of a daemon that was killed a moment ago.
func (sh *shell) openCache(c cache.Config) (*cache.Drive, error) {
	for end := time.Now().Add(dying); ; time.Sleep(10 * time.Millisecond) {
		drive, err := cache.Open(c)
		if api.KindOf(err) != api.Exists || time.Now().After(end) || sh.ctx.Err() != nil {
			return drive, err
		}
		if _, alive := sh.places.runningOn(c.Dir); alive {
			return drive, err
		}
	}
}

// run mounts the opened drive, answers the control socket, and returns when
// all is closed. With an error nothing is mounted and the drive is still open.
func (d *daemon) run(sh *shell, cmd *mountCmd) error {
	listener, err := listenControl(sh.places.runtime, d.self.CacheDir)
	if err != nil {
		return fmt.Errorf("open the control socket: %w", err)
	}
	d.self.Socket = listener.Addr().String()
	if err := clearMountpoint(d.self.Mountpoint); err != nil {
		listener.Close()
		return err
	}
	d.fs, err = fusefs.Mount(d.self.Mountpoint, d.drive, fusefs.Options{
		AllowOther: cmd.AllowOther, ReadOnly: cmd.ReadOnly, NoPassthrough: cmd.NoPassthrough, Writeback: cmd.Writeback, NoXattr: cmd.NoXattr,
		FsName: d.login.Server, Helper: cmd.HelperSocket, Log: d.log,
	})
	if err != nil {
		listener.Close()
		return err
	}
	d.bound.fs = d.fs
	d.bound.first(sh.ctx)
	following, stop := context.WithCancel(sh.ctx)
	var follower sync.WaitGroup
	follower.Go(func() { d.bound.run(following) })
	d.unfollow = func() { stop(); follower.Wait() }
	moreProcs() // not before: go-fuse takes as many readers, and the kernel wakes them in turn
	go func() {
		d.fs.Wait()
		close(d.served)
	}()
	control := newControl(listener, d, d.log)
	go control.serve()
	if events, err := networkEvents(); err != nil {
		d.log.Debug("changes of the network are not told of", "err", err)
	} else {
		go watchNetwork(sh.ctx, events, ownAddresses, settling, d.reconnect)
	}
	if cmd.Metered == "pause" {
		go watchMetered(sh.ctx, d.metered, d.log)
	}
	if err := sh.places.register(d.self); err != nil {
		// It can be used all the same, but status and umount won't find it.
		d.log.Error("this mount could not be made known to other commands", "err", err)
	}
	defer sh.places.forget(d.self)
	if err := os.Remove(d.left); err != nil && !errors.Is(err, os.ErrNotExist) {
		d.log.Warn("what was kept until this mount goes on being told", "err", err)
	}
	d.log.Info("mounted", "dir", d.self.Mountpoint, "server", d.login.Server, "cache", d.self.CacheDir, "passthrough", d.fs.Passthrough())
	go d.endReplaced(sh, endPatience)
	cmd.parent.tell(readiness{})
	tellSystemd("READY=1")
	if cmd.Foreground {
		fmt.Fprintf(sh.stdout, "mounted at %s; Ctrl-C unmounts\n", cmd.Dir)
	}

	select {
	case <-d.served:
	case <-d.ended:
	case <-sh.ctx.Done():
		tellSystemd("STOPPING=1")
		signal.Reset(os.Interrupt, syscall.SIGTERM) // a second one ends the process
		d.leave()
	}
	if err := d.finish(); err != nil {
		d.log.Error("the drive did not close in order", "err", err)
	}
	if !d.hurried.Load() {
		d.endReplaced(sh, leavePatience)
	}
	control.close()
	d.log.Info("unmounted", "dir", d.self.Mountpoint)
	return nil
}

// leave unmounts even while programs work in the folder: their files stay
// theirs for a moment more.
func (d *daemon) leave() {
	err := d.fs.Unmount()
	if err == nil {
		return
	}
	d.log.Warn("programs still work in the folder: it is unmounted under them", "err", err)
	if err := detach(d.self.Mountpoint); err != nil {
		d.log.Error("unmount", "err", err)
	}
}

// close closes the drive once nothing calls it any more. If programs do not let
// go of their files, or a container of its copy of the mount, the drive stays as after a crash, from which every start recovers.
func (d *daemon) close() error {
	idle := true
	select {
	case <-d.served:
	case <-time.After(lastCalls):
		idle = false
	}
	d.unfollow()
	now := d.reportOf(d.bound.status(d.drive.Status()))
	d.mu.Lock()
	d.last, d.closed = now, true
	d.mu.Unlock()
	if err := now.leave(d.left, d.self); err != nil {
		d.log.Warn("other commands will not know what is kept until the next mount", "err", err)
	}
	if !idle {
		d.log.Warn("something still uses the mount: programs that have files open, or a container or service that has a copy of it", "after", lastCalls)
		return nil
	}
	d.bound.opening.Lock() // an export gives up, now that nothing is mounted
	defer d.bound.opening.Unlock()
	return errors.Join(d.drive.Close(), d.bound.closeAll())
}

func (d *daemon) report() report {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return d.last
	}
	return d.reportOf(d.bound.status(d.drive.Status()))
}

func (d *daemon) reportOf(s cache.Status) report {
	r := report{
		PID: d.self.PID, Mountpoint: d.self.Mountpoint, Server: d.login.Server, User: d.login.Email, Device: d.login.DeviceName, DeviceID: d.login.Device,
		Passthrough: d.fs.Passthrough(), Writeback: d.fs.Writeback(), ReadOnly: d.readOnly, Status: s,
	}
	d.hold.tell(&r)
	return r
}

func (d *daemon) sync(ctx context.Context, wait bool, progress func(report)) error {
	if s := d.drive.Status(); s.Paused != "" && wait {
		return api.Errorf(api.Unavailable, "nothing is sent: it is paused (%s)\ngo on with: %s", s.Paused, d.goOn())
	}
	return d.syncAll(ctx, wait, func() { progress(d.report()) })
}

// goOn is the command that ends a pause.
func (d *daemon) goOn() string { return commandLine(d.self.Profile, "resume") }

// syncAll is [cache.Drive.Sync] of the drive and of what is shown in it.
func (d *daemon) syncAll(ctx context.Context, wait bool, progress func()) error {
	if err := cmp.Or(d.drive.Sync(ctx, false, nil), d.bound.sync(ctx, false, nil)); err != nil || !wait { // all at once
		return err
	}
	tell := func(cache.Status) { progress() }
	bound := d.bound.sync(ctx, true, tell) // before the drive, which gets what is refused there
	return cmp.Or(d.drive.Sync(ctx, true, tell), bound)
}

func (d *daemon) pin(ctx context.Context, path string, progress func(report)) error {
	places := d.bound.places()
	if err := d.drive.Walk(ctx, path, func(id api.ID) error {
		if places[id] {
			return api.Errorf(api.Invalid, "%s is shown from another's drive, and only what is in your own can be pinned\nto have all of it here, copy it with: %s DIR", cli.Printable(path), commandLine(d.self.Profile, "shared get", path))
		}
		return nil
	}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var telling sync.WaitGroup
	telling.Go(func() {
		for ctx.Err() == nil {
			progress(d.report())
			select {
			case <-ctx.Done():
			case <-time.After(tellEvery):
			}
		}
	})
	err := d.drive.Pin(ctx, path)
	cancel()
	telling.Wait()
	if s := d.drive.Status(); s.Paused != "" && api.KindOf(err) == api.Unavailable {
		err = fmt.Errorf("%w\ngo on with: %s", err, d.goOn())
	}
	return err
}

func (d *daemon) unpin(ctx context.Context, path string) error { return d.drive.Unpin(ctx, path) }

func (d *daemon) pins() ([]cache.Pin, error) { return d.drive.Pins() }

func (d *daemon) unsent() []api.Name { return d.drive.UnsentFiles() }

// await returns when programs see in the folder what a command changed on the server.
func (d *daemon) await(ctx context.Context, n news) error {
	if n.Drive != d.drive.ID() {
		return nil
	}
	var err error
	if n.Binds {
		err = d.bound.refresh(ctx)
	}
	return errors.Join(err, d.drive.Await(ctx, n.Seq))
}

// export copies out what the server lacks, until the drive is unmounted.
func (d *daemon) export(ctx context.Context, dir string) (cache.Exported, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-d.served:
			cancel()
		case <-ctx.Done():
		}
	}()
	d.bound.opening.Lock()
	defer d.bound.opening.Unlock()
	select {
	case <-d.served:
		return cache.Exported{}, api.Errorf(api.Cancelled, "%s is unmounted: try again", d.self.Mountpoint)
	default:
		return exportAll(ctx, d.drive, d.self.CacheDir, d.bound.drives(), dir)
	}
}

// endReplaced is [shell.endReplaced] where nobody waits for it.
func (d *daemon) endReplaced(sh *shell, patience time.Duration) {
	if err := sh.endReplaced(patience); err != nil {
		d.log.Warn("a login that another took the place of was not ended: the next mount tries it again", "err", err)
	}
}

// umount waits for unsent work while the server can be reached, and unmounts.
func (d *daemon) umount(ctx context.Context, wait bool, progress func(report)) error {
	if wait {
		if err := d.sendRest(ctx, progress); err != nil {
			return err
		}
	}
	d.hurried.Store(!wait)
	if err := d.fs.Unmount(); err != nil {
		d.log.Info("still in use", "err", err)
		return inUse(d.self.Mountpoint, holders(d.self.Mountpoint))
	}
	d.end()
	return d.finish()
}

// sendRest returns when all is sent or the server can't be reached. The error
// is that whoever asked has given up.
func (d *daemon) sendRest(ctx context.Context, progress func(report)) error {
	reached, stop := context.WithCancel(ctx)
	defer stop()
	seen := time.Now()
	err := d.syncAll(reached, true, func() {
		now := d.report()
		if now.Connected && now.Paused == "" {
			seen = time.Now()
		} else if time.Since(seen) > offlineGrace {
			stop()
		}
		progress(now)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		d.log.Info("unmounting with unsent work", "why", err)
	}
	return nil
}
