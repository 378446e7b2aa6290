package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"satchel/api"
	"satchel/cache/locks"
)

// Config says which drive to keep and where.
type Config struct {
	Dir         string // the cache directory, 0700, of one user on one server
	Remote      Remote
	User        api.ID
	Device      api.ID // the login that this cache belongs to
	DeviceName  string
	Limit       int64  // bytes of content to keep; 0 = 10 GiB
	Memory      int64  // bytes of memory for nodes and listings, garbage and buffers included; 0 = 256 MiB
	FsyncServer bool   // fsync returns only when the server has the content
	UID, GID    uint32 // the mounting user's
	Log         *slog.Logger

	// Notice is told of events as they happen, from the goroutine that syncs: it
	// must not wait. May be nil.
	Notice func([]Event)
	// Full is told when the disk under the cache has become too full for writers, and
	// when it is so no more. It must not wait. May be nil.
	Full func(bool)

	// Rescue keeps the content of a file that the server refused, under a name like its own, and returns the path of that; nil: the
	// Recovered folder of this drive does. It is for drives in which the user may make none. An error is
	// tried again, and what was kept once may come again after a crash.
	Rescue func(name string, content io.Reader) (as string, err error)

	keepLife bool // the login is not known: the incarnation stays whatever it is

	seam seam // where faults are injected; the zero value is the real thing
}

// A seam is how the cache meets the machine's disk, as far as tests must lose
// power on it.
type seam struct {
	replica vfs.FS                      // under Pebble
	synced  func(fd int, dataOnly bool) // after a content file was made durable
	sick    func(fd int) error          // fails that, as a disk does
	boot    string                      // names this run of the machine,
	mount   string                      // and this mount of the file system under the cache
	clock   clock                       // tells of suspensions
	disk    func() disk                 // what the disk under the cache says of its room
	idle    int                         // instead of maxIdle; 0 = that
	batch   int                         // instead of api.MaxBatch; 0 = that
	leasing *bool                       // whether there are leases; nil: it is tried
	undone  func(path string) bool      // power loss took the last writes to a content file, and their times
}

func (k *seam) fs() vfs.FS {
	if k.replica == nil {
		return vfs.Default
	}
	return k.replica
}

func (k *seam) maxIdle() int {
	if k.idle > 0 {
		return k.idle
	}
	if n := descriptors(); n < 4*maxIdle {
		return n / 8
	}
	return maxIdle
}

func (k *seam) maxBatch() int {
	if k.batch > 0 {
		return k.batch
	}
	return api.MaxBatch
}

// lost tells whether a test took from a content file what was written last: the file's times are the test's then.
func (k *seam) lost(path string) bool { return k.undone != nil && k.undone(path) }

// bootID names this run of the machine.
func (k *seam) bootID() string {
	if k.boot != "" {
		return k.boot
	}
	return bootID()
}

// era names this run of the machine and this mount of the file system that a directory is on: in another one what was not synced may be gone.
// One that begins like it is of an older version, or of none, and is taken for it.
func (k *seam) era(dir string) string {
	mount := k.mount
	if mount == "" {
		mount = mountMark(dir)
	}
	return k.bootID() + mount + "\n"
}

// sync is fsync(2), or with dataOnly fdatasync(2).
func (k *seam) sync(fd int, dataOnly bool) error {
	err := syncFile(fd, dataOnly)
	if err == nil && k.sick != nil {
		err = k.sick(fd)
	}
	if err == nil && k.synced != nil {
		k.synced(fd, dataOnly)
	}
	return err
}

// A Drive is one drive on this machine. See the package's doc for its parts.
// It is safe for concurrent use.
type Drive struct {
	cfg   Config
	log   *slog.Logger
	lock  *os.File // held with flock as long as the drive is open
	st    *store
	space *ballast
	quota quota
	slots *slots
	mem   *memory
	notes *notifier
	kern  atomic.Pointer[Kernel]

	connected atomic.Bool  // the change feed is up: what the kernel was told stays true or is taken back
	polled    atomic.Bool  // connected is what the server's answer, or its silence, says: false between start or wake-up and that
	stirred   atomic.Int64 // when a program last changed something, ns
	suspect   atomic.Bool  // the replica was found damaged
	full      atomic.Bool  // the disk under the cache is full: calls that need room fail
	leases    bool         // see Leases
	fineTimes bool         // two changes of a content file never have one ctime

	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	done   chan struct{}
	wg     sync.WaitGroup

	working sync.WaitGroup // the worker of slots, which ends last: the others leave jobs to it

	clock  clock
	caught chan struct{} // closed when the feed has answered after a suspension; nil = it has. Guarded by mu
	hangUp func()        // gives up the feed's poll under way. Guarded by mu

	mu         locks.Mutex
	byID       map[api.ID]*node
	byFID      map[uint64]*node
	unsaved    []*node            // their access times are not in Pebble
	writing    map[*node]struct{} // those that programs have open for writing
	lastFID    uint64
	root       *node
	remembered remembered
	journal    journal
	syn        syncer
	shown      shown
	drive      api.DriveInfo // as last heard
	listing    map[api.ID]*listed
	left       []*fetch            // listings that nobody waits for any more, oldest first
	parts      map[api.ID]*partial // what is here of cold large files, by node
	seen       int64               // names that were looked at to find those of a node: see entries
	climbed    int                 // directories that were looked at to find those above what is pending: see ascend
	readers    readers
	walk       walk
	readSoon   []*node     // nodes of a directory that was just fetched,
	readIn     *node       // which a program is reading,
	readEnd    *time.Timer // until this
	pins       pins
	diskNow    func() disk // the room under the cache
	looked     time.Time   // when roomy last asked
	scarce     bool        // what it found
	pause      pause
	toldAs     atomic.Bool   // what Config.Full was told last
	era        string        // see seam
	weights    map[int]int64 // see weigh
	ignores    ignores
}

// Open opens or makes the cache of a drive. The server is needed only when
// there is none yet. The error is of kind Exists when another process has it
// open, Unavailable or Unauthenticated when the server was needed.
func Open(cfg Config) (*Drive, error) {
	if cfg.Limit == 0 {
		cfg.Limit = 10 << 30
	}
	if cfg.Memory == 0 {
		cfg.Memory = 256 << 20
	}
	d, err := openOnce(cfg)
	if damaged(err) {
		if err := rebuild(&cfg, err); err != nil {
			return nil, err
		}
		return openOnce(cfg)
	}
	return d, err
}

func openOnce(cfg Config) (*Drive, error) {
	d := &Drive{
		cfg: cfg, log: cfg.Log, slots: newSlots(), done: make(chan struct{}),
		byID: map[api.ID]*node{}, byFID: map[uint64]*node{}, lastFID: rootFID, writing: map[*node]struct{}{},
		journal: newJournal(), listing: map[api.ID]*listed{},
		parts: map[api.ID]*partial{}, weights: map[int]int64{},
		ignores:    ignores{gen: 1, wake: make(chan struct{}, 1)},
		quota:      quota{news: make(chan struct{}, 1)},
		diskNow:    func() disk { return diskOf(cfg.Dir) },
		remembered: remembered{limit: int(cfg.Memory / nodeShare / nodeBytes)},
	}
	if cfg.seam.disk != nil {
		d.diskNow = cfg.seam.disk
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.notes = newNotifier(d)
	if d.clock = cfg.seam.clock; d.clock == nil {
		d.clock = newSystemClock()
	}
	if err := d.open(); err != nil {
		d.cancel()
		if d.st != nil {
			d.st.close()
		}
		d.closeContents()
		if d.space != nil {
			d.space.end()
		}
		if d.mem != nil {
			d.mem.close()
		}
		if d.lock != nil {
			d.lock.Close()
		}
		return nil, err
	}
	return d, nil
}

func (d *Drive) open() error {
	dir := d.cfg.Dir
	if err := os.MkdirAll(filepath.Join(dir, "content"), 0o700); err != nil {
		return api.Errorf(kindOf(err), "make the cache directory: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	var err error
	if d.lock, err = os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if err := unix.Flock(int(d.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return api.Errorf(api.Exists, "the cache %s is in use by another satchel: is the drive mounted already?", dir)
	}
	d.era = d.cfg.seam.era(dir)
	d.fineTimes = fineTimes(dir)
	d.tryLeases()
	d.space = newBallast(filepath.Join(dir, "ballast"), d.diskNow, &d.full, func() {
		full := d.full.Load()
		d.tellFull(full)
		if full { // whoever gave it up may be in the middle of a commit, with mu held
			freed := d.slots.freed.Load()
			d.slots.later(func() { d.relieve(freed) })
		}
	})
	if err := readyFormat(d.cfg.seam.fs(), dir); err != nil {
		return err
	}
	if why, err := os.ReadFile(filepath.Join(dir, damagedFile)); err == nil {
		return fmt.Errorf("%w, as was found before: %s", errCorrupt, why)
	}
	if d.st, err = openStore(dir, surroundings{
		memory: d.cfg.Memory, fs: d.cfg.seam.fs(), log: d.log, space: d.space, damage: d.distrust, contents: d.contentPaths,
		before: func(seen map[*content]bool) error { return d.syncContents(nil, seen, true) }, during: d.limbo,
	}); err != nil {
		return err
	}
	if d.mem, err = newMemory(d.cfg.Memory/listShare, d.forgetListing); err != nil {
		return err
	}
	if err := d.loadDrive(); err != nil {
		return err
	}
	if err := d.loadPins(); err != nil {
		return err
	}
	if err := d.recover(); err != nil {
		return err
	}
	return d.st.sync() // from here on an end without Close is seen as one
}

// loadDrive finds out which drive this is: from the replica, or the first
// time from the server.
func (d *Drive) loadDrive() error {
	named := false // by the server, just now
	v, err := d.st.meta("drive")
	if err != nil {
		return err
	}
	if v != nil {
		if err := json.Unmarshal(v, &d.drive); err != nil {
			return fmt.Errorf("%w: the drive: %w", errCorrupt, err)
		}
	} else if named, err = d.identify(); err != nil {
		return err
	}
	d.cfg.Remote = d.ownWay(named)
	if err := d.loadSyncer(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	root, err := d.load(d.drive.Root)
	if err != nil {
		return err
	}
	if root == nil {
		t := now()
		root = d.adopt(d.drive.Root, record{typ: 'd', mode: 0o700, uid: api.Self, gid: api.Self, nlink: 2,
			atime: t, mtime: t, ctime: t, btime: t, flags: flagAcked})
		tx := d.begin()
		tx.node(root)
		tx.b.Set(metaKey("drive"), mustJSON(d.drive), nil)
		if err := tx.commit(); err != nil {
			return err
		}
	}
	delete(d.byFID, root.fid)
	root.fid, root.ino = rootFID, 1
	root.lookups = 1 // for ever
	d.byFID[rootFID] = root
	d.root = root
	return nil
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only types of ours that marshal
	}
	return b
}

// Start begins the background work: sending, the change feed, notifications.
// kernel is the mounted file system.
func (d *Drive) Start(kernel Kernel) {
	d.kern.Store(&kernel)
	d.working.Go(d.slots.worker)
	d.wg.Go(d.notes.run)
	d.wg.Go(d.runSyncer)
	d.wg.Go(d.runFeed)
	d.wg.Go(d.watchClock)
	d.wg.Go(d.runQuota)
	d.wg.Go(d.runPinner)
	d.wg.Go(d.runStay)
	for which := range lanes {
		d.wg.Go(func() { d.runUploader(which) })
	}
	d.wg.Go(d.watchOpen)
}

// kernel is the mounted file system, or one that does nothing before Start.
func (d *Drive) kernel() Kernel {
	if k := d.kern.Load(); k != nil {
		return *k
	}
	return noKernel{}
}

// Close ends the background work, makes everything durable and gives the descriptors back. Work that was
// not sent stays in the journal for the next Open. Call it after the unmount, when no call is under way.
func (d *Drive) Close() error {
	d.cancel()
	close(d.done)
	d.wg.Wait()
	close(d.slots.over)
	d.working.Wait()
	d.mu.Lock()
	t := d.begin()
	for _, n := range d.byID {
		if n.hot == nil || n.dead || n.stale {
			continue
		}
		if d.pull(n) {
			t.node(n)
		}
		d.describe(n) // who knows what becomes of the replica
	}
	t.b.Set(metaKey("clean"), []byte{1}, nil)
	err := errors.Join(d.save(0), t.commit())
	d.mu.Unlock()
	err = errors.Join(err, d.syncContents(nil, map[*content]bool{}, true), d.st.sync())
	if cerr := d.st.close(); err == nil {
		err = cerr
	}
	d.closeContents()
	d.space.end()
	d.mem.close()
	d.lock.Close()
	return err
}
