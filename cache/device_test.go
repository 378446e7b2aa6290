package cache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"satchel/api"
	"satchel/api/client"
	"satchel/integration/live"
)

func TestMain(m *testing.M) { live.Main(m) }

// A device is a drive whose parts are real but for the kernel (see dcache),
// the disk under the replica (which can lose power) and the wire to the server
// (which can be cut).
type device struct {
	name   string
	t      testing.TB
	d      *Drive
	cfg    Config
	cred   api.Credentials
	wire   *wire
	kern   *dcache
	mem    *vfs.MemFS
	home   string
	lives  int
	boots  int
	mounts int
	rng    *rand.Rand

	log *logBuffer

	lag    func() time.Duration         // dcache.lag
	clock  clock                        // nil: the system's
	idle   int                          // seam.idle
	batch  int                          // seam.batch
	unkind bool                         // power loss takes all that was not synced
	sick   atomic.Pointer[func() error] // seam.sick; nil: nothing fails

	durable map[string]durable // content files as of their last sync, by name
	undone  map[string]bool    // content files that the last power loss changed, by name
	mu      sync.Mutex         // guards durable and undone, and changes of lives
}

// durable is a content file with its rider.
type durable struct{ data, rider []byte }

func riderOf(path string) []byte {
	b := make([]byte, 4096)
	n, err := unix.Getxattr(path, riderAttr, b)
	if err != nil {
		return nil
	}
	return b[:n]
}

// logBuffer is a device's log, to be shown when a test fails.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newToken logs in for the HTTP API.
func newToken(t testing.TB, u *live.User, url string) string {
	t.Helper()
	cred, err := client.Login(t.Context(), url, u.Email, u.Password, "a browser")
	if err != nil {
		t.Fatal(err)
	}
	return cred.Token.Token
}

func hashOf(content string) string {
	h := sha256.Sum256([]byte(content))
	return hex.EncodeToString(h[:])
}

// newDevice is a device of an account on a real server.
func newDevice(t testing.TB, u *live.User, url, name string, rng *rand.Rand) *device {
	t.Helper()
	v := signedIn(t, u, url, name, rng)
	v.start()
	return v
}

// signedIn is newDevice before its first start.
func signedIn(t testing.TB, u *live.User, url, name string, rng *rand.Rand) *device {
	t.Helper()
	cred, err := client.Login(t.Context(), url, u.Email, u.Password, name)
	if err != nil {
		t.Fatal(err)
	}
	v := unstarted(t, u.ID, name, rng)
	v.signIn(url, cred)
	return v
}

// unstarted is a device that has no server yet.
func unstarted(t testing.TB, user api.ID, name string, rng *rand.Rand) *device {
	v := &device{name: name, t: t, wire: newWire(nil), mem: vfs.NewCrashableMem(), rng: rng,
		home: scratch(t), log: &logBuffer{}, durable: map[string]durable{}}
	v.cfg = Config{Remote: v.wire, User: user, DeviceName: name, Limit: 1 << 30, Memory: 8 << 20,
		UID: 1000, GID: 1000, Log: slog.New(slog.NewTextHandler(v.log, nil))}
	t.Cleanup(v.end)
	return v
}

// signIn makes the device, while it is ended, one with these credentials.
func (v *device) signIn(url string, cred api.Credentials) {
	v.t.Helper()
	c, err := client.New(url, cred, nil)
	must(v.t, err)
	v.t.Cleanup(c.Close)
	v.cred, v.cfg.Device, v.wire.Remote = cred, cred.Device, c.Drive("home")
}

// scratch is a directory in memory where there is one: tests lose power by themselves.
func scratch(t testing.TB) string {
	if dir, err := os.MkdirTemp("/dev/shm", "satchel-test-"); err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		return dir
	}
	return t.TempDir()
}

func (v *device) dir() string { return filepath.Join(v.home, fmt.Sprint(v.lives)) }

// start opens the cache and begins its work.
func (v *device) start() {
	v.t.Helper()
	if err := v.open(); err != nil {
		v.t.Fatalf("%s: open: %v", v.name, err)
	}
}

func (v *device) open() error {
	v.cfg.Dir = v.dir()
	idle := v.idle
	if idle == 0 && v.lives%2 == 1 { // after a crash content rests early
		idle = 2
	}
	life := v.lives
	v.cfg.seam = seam{replica: v.mem, synced: func(fd int, dataOnly bool) { v.synced(life, fd, dataOnly) }, boot: fmt.Sprint("boot ", v.boots, "\n"), mount: fmt.Sprint("mount ", v.mounts), clock: v.clock, idle: idle, batch: v.batch, undone: v.wasUndone,
		sick: func(int) error {
			if f := v.sick.Load(); f != nil {
				return (*f)()
			}
			return nil
		}}
	d, err := Open(v.cfg)
	if err != nil {
		return err
	}
	v.d = d
	v.kern = newDcache(d)
	v.kern.lag = v.lag
	d.Start(v.kern)
	return nil
}

// end closes the drive in order.
func (v *device) end() {
	if v.d == nil {
		return
	}
	v.wire.cut()
	if err := v.d.Close(); err != nil {
		v.t.Errorf("%s: close: %v", v.name, err)
	}
	v.d = nil
}

func (v *device) restart() {
	v.t.Helper()
	v.wire.cut()
	if err := v.d.Close(); err != nil {
		v.t.Fatalf("%s: close: %v", v.name, err)
	}
	v.wire.mend()
	v.start()
}

// synced notes that a content file is durable as it is now, unless that life is over.
func (v *device) synced(life, fd int, dataOnly bool) {
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if life != v.lives {
		return
	}
	rider := riderOf(path)
	if dataOnly { // attributes are no data
		rider = v.durable[filepath.Base(path)].rider
	}
	v.durable[filepath.Base(path)] = durable{data, rider}
}

// kill ends the device as kill -9 does, in one moment: what was written to files
// stays, what was only in the process is gone. With power it is as if the
// machine had lost power, or its disk had been pulled out: of what was not synced anything may be gone.
// It does not start again by itself.
func (v *device) kill(power bool) {
	v.t.Helper()
	old, was := v.d, v.dir()
	v.wire.cut()
	old.mu.Lock() // no commit is under way
	percent := 100
	if power {
		if percent = v.rng.IntN(3) * 40; v.unkind {
			percent = 0
		}
	}
	mem := v.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: v.rng})
	v.mu.Lock()
	v.lives++
	v.mu.Unlock()
	// What the old life does to files from here on it does to paths that are not there.
	if err := os.Rename(was, v.dir()); err != nil {
		old.mu.Unlock()
		v.t.Fatal(err)
	}
	old.mu.Unlock()
	os.Remove(filepath.Join(v.dir(), "lock")) // the old life has it locked
	old.Close()
	v.d = nil
	v.moveReplica(mem, was)
	if power || v.lives%3 == 0 { // a disk that was pulled out comes back in another mount, and so does that of a container
		v.mounts++
	}
	if power {
		if v.lives%3 > 0 {
			v.boots++
		}
		v.losePower()
	}
	v.wire.mend()
}

// moveReplica puts the replica where the new life looks for it.
func (v *device) moveReplica(mem *vfs.MemFS, was string) {
	v.mem = mem
	if err := v.mem.MkdirAll(v.dir(), 0o700); err != nil {
		v.t.Fatal(err)
	}
	if err := v.mem.Rename(filepath.Join(was, "replica"), filepath.Join(v.dir(), "replica")); err != nil {
		v.t.Fatal(err)
	}
	for dir := v.dir(); ; dir = filepath.Dir(dir) { // the move itself is durable
		if f, err := v.mem.OpenDir(dir); err == nil {
			f.Sync()
			f.Close()
		}
		if dir == "/" {
			return
		}
	}
}

// losePower makes content files what may be left of them: as they are, as they
// were when they were last synced, or something in between.
func (v *device) losePower() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.undone = map[string]bool{}
	for path := range v.contentFiles() {
		now, err := os.ReadFile(path)
		if err != nil {
			v.t.Fatal(err)
		}
		was, ok := v.durable[filepath.Base(path)]
		// One that was taken away is gone: that is in the file system's journal before what Pebble writes afterwards.
		if now := riderOf(path); len(now) > 0 && !bytes.Equal(was.rider, now) && v.rng.IntN(2) == 0 {
			if len(was.rider) == 0 {
				err = unix.Removexattr(path, riderAttr)
			} else {
				err = unix.Setxattr(path, riderAttr, was.rider, 0)
			}
			must(v.t, err)
		}
		if ok && string(was.data) == string(now) {
			continue
		}
		switch v.rng.IntN(3) {
		case 0: // it was written just in time
		case 1:
			v.undone[filepath.Base(path)] = true
			if !ok {
				os.Remove(path)
			} else if err := os.WriteFile(path, was.data, 0o600); err != nil {
				v.t.Fatal(err)
			}
		case 2: // the size got there, the blocks did not
			v.undone[filepath.Base(path)] = true
			if err := os.WriteFile(path, make([]byte, len(now)), 0o600); err != nil {
				v.t.Fatal(err)
			}
		}
	}
}

// wasUndone tells whether power loss took what was written to a content file last.
func (v *device) wasUndone(path string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.undone[filepath.Base(path)]
}

func (v *device) contentFiles() map[string]bool {
	files, err := filepath.Glob(filepath.Join(v.dir(), "content", "*", "*"))
	if err != nil {
		v.t.Fatal(err)
	}
	m := map[string]bool{}
	for _, f := range files {
		m[f] = true
	}
	return m
}

// settled waits for what kill -9 must not lose any more.
func (v *device) settled() {
	time.Sleep(5 * softInterval)
	for range 200 {
		if !v.d.st.dirty.Load() {
			break
		}
		time.Sleep(softInterval)
	}
	time.Sleep(2 * softInterval)
}

// sync waits until the server has all, as `satchel sync --wait`; refused work
// is offered again at once.
func (v *device) sync() error {
	v.d.mu.Lock()
	for _, e := range v.d.journal.order {
		if !e.after.IsZero() {
			e.after = time.Time{}
			if n := v.d.syn.hots[e.m.Node]; n != nil {
				n.hot.due = time.Now()
				v.d.enqueue(n)
			}
		}
	}
	v.d.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return v.d.Sync(ctx, true, nil)
}
