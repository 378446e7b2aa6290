package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
	"satchel/cache"
)

// The control socket carries one request per connection: a line of JSON from
// the command, lines of JSON back from the daemon, the last with Done. When
// the command goes away, what it asked for is given up.

type controlOp string

const (
	opStatus controlOp = "status"
	opSync   controlOp = "sync"
	opUmount controlOp = "umount"
	opPin    controlOp = "pin"
	opUnpin  controlOp = "unpin"
	opPins   controlOp = "pins"
	opPause  controlOp = "pause"
	opResume controlOp = "resume"
	opExport controlOp = "export-unsent"
	opUnsent controlOp = "unsent-files"
	opAwait  controlOp = "await"
)

type controlRequest struct {
	Op   controlOp     `json:"op"`
	At   string        `json:"at,omitempty"`   // the mount point of the daemon that is meant
	Path string        `json:"path,omitempty"` // opPin, opUnpin: below the drive's root; opExport: the folder to write to, absolute
	For  time.Duration `json:"for,omitempty"`  // opPause: how long; 0 = until opResume
	Wait bool          `json:"wait,omitempty"` // opSync: until all is sent; opUmount: the same, while the server can be reached
	News *news         `json:"news,omitempty"` // opAwait
}

// news is what a command changed on the server.
type news struct {
	Drive api.ID `json:"drive"`
	Seq   int64  `json:"seq,omitempty"`   // the change in the drive's order
	Binds bool   `json:"binds,omitempty"` // what others share is shown at another place, or no more
}

type controlReply struct {
	Report   *report         `json:"report,omitempty"`
	Exported *cache.Exported `json:"exported,omitempty"` // with Done, of opExport
	Pins     []cache.Pin     `json:"pins,omitempty"`     // with Done, of opPins
	Unsent   []api.Name      `json:"unsent,omitempty"`   // with Done, of opUnsent
	Done     bool            `json:"done,omitempty"`
	Kind     api.Kind        `json:"kind,omitempty"` // with Done: it failed
	Message  string          `json:"message,omitempty"`
}

// controlled is what the socket commands.
type controlled interface {
	report() report
	// sync sends what is pending; with wait it returns when all was sent.
	sync(ctx context.Context, wait bool, progress func(report)) error
	// pin keeps a path on this machine and returns when all of it is here; unpin takes that back.
	pin(ctx context.Context, path string, progress func(report)) error
	unpin(ctx context.Context, path string) error
	pins() ([]cache.Pin, error)
	// unsent are the paths of the files whose content the server lacks.
	unsent() []api.Name
	// pause keeps sending back, for a while or (0) until resume, also after the daemon.
	pause(howLong time.Duration) error
	resume()
	// export copies what the server lacks to a folder outside the drive.
	export(ctx context.Context, dir string) (cache.Exported, error)
	// await returns when the folder shows what a command changed on the server; at once if that is of another drive.
	await(ctx context.Context, n news) error
	// umount ends the daemon's work. The answer goes out before the process ends.
	umount(ctx context.Context, wait bool, progress func(report)) error
}

// control serves the socket.
type control struct {
	listener *net.UnixListener
	daemon   controlled
	log      *slog.Logger
	ctx      context.Context // ends at close
	cancel   context.CancelFunc
	calls    sync.WaitGroup
}

func newControl(l *net.UnixListener, d controlled, log *slog.Logger) *control {
	c := &control{listener: l, daemon: d, log: log}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// maxSocketPath is how long a socket's path may be in bytes, the NUL left out
// (unix(7): 108, less what a few odd systems need).
const maxSocketPath = 100

// listenControl opens the socket of a cache in the session's runtime
// directory, in the cache if there is none, or in a fresh directory if that
// path is too long. Commands find it by [mounted], not by its name.
func listenControl(runtime, cacheDir string) (*net.UnixListener, error) {
	path := filepath.Join(cacheDir, "control.sock")
	if runtime != "" && os.MkdirAll(runtime, 0o700) == nil {
		sum := sha256.Sum256([]byte(cacheDir))
		path = filepath.Join(runtime, hex.EncodeToString(sum[:8])+".sock")
	}
	if len(path) > maxSocketPath {
		dir, err := os.MkdirTemp("", "satchel-")
		if err != nil {
			return nil, err
		}
		path = filepath.Join(dir, "control.sock")
	}
	if err := clearSocket(path); err != nil {
		return nil, err
	}
	mask := unix.Umask(0o177) // 0600 from the first moment
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	unix.Umask(mask)
	return l, err
}

// clearSocket removes what a daemon that was killed left at a path. The cache's lock is ours, so one that answers
// there has let go of it and is about to end, which is waited for: its socket would not be found any more.
func clearSocket(path string) error {
	for end := time.Now().Add(dying); ; time.Sleep(10 * time.Millisecond) {
		conn, err := dialControl(path)
		switch {
		case err == nil:
			conn.Close()
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case errors.Is(err, unix.ECONNREFUSED):
			if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return nil
		case !errors.Is(err, unix.EAGAIN): // which many who ask it at once get
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("another daemon answers at %s", path)
		}
	}
}

// serve answers until the listener is closed.
func (c *control) serve() {
	for {
		conn, err := c.listener.AcceptUnix()
		if err != nil {
			return
		}
		c.calls.Go(func() {
			defer conn.Close()
			if uid, _, err := peer(conn); err != nil || uid != os.Geteuid() && uid != 0 {
				c.log.Warn("control socket: a stranger was turned away", "uid", uid, "err", err)
				return
			}
			c.answer(conn)
		})
	}
}

// close ends the serving: calls under way are given up, and their answers go
// out.
func (c *control) close() {
	path := c.listener.Addr().String()
	c.listener.Close()
	c.cancel()
	c.calls.Wait()
	if dir := filepath.Dir(path); filepath.Dir(dir) == filepath.Clean(os.TempDir()) {
		os.Remove(dir) // the one made for a long path
	}
}

func (c *control) answer(conn *net.UnixConn) {
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewReader(conn)
	line, err := in.ReadSlice('\n')
	if err != nil {
		return // only a look whether we are here
	}
	var r controlRequest
	if err := json.Unmarshal(line, &r); err != nil {
		return
	}
	conn.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	go func() {
		in.ReadByte() // the command says no more: this is its end
		cancel()
	}()

	out := json.NewEncoder(conn)
	last := controlReply{Done: true}
	var sending sync.Mutex // progress may come from other goroutines
	progress := func(now report) {
		sending.Lock()
		defer sending.Unlock()
		conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if out.Encode(controlReply{Report: &now}) != nil {
			cancel()
		}
	}
	err = c.do(ctx, r, &last, progress)
	if err != nil {
		last.Kind, last.Message = kindOf(err), err.Error()
	} else {
		now := c.daemon.report()
		last.Report = &now
	}
	sending.Lock()
	defer sending.Unlock()
	conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	out.Encode(last)
}

// do does what was asked for; last gets what the reply tells of it.
func (c *control) do(ctx context.Context, r controlRequest, last *controlReply, progress func(report)) (err error) {
	if at := c.daemon.report().Mountpoint; r.At != "" && r.At != at {
		return api.Errorf(api.NotFound, "the daemon of %s is no more: what answers in its place serves %s", r.At, at)
	}
	switch r.Op {
	case opStatus:
	case opSync:
		return c.daemon.sync(ctx, r.Wait, progress)
	case opPin:
		return c.daemon.pin(ctx, r.Path, progress)
	case opUnpin:
		return c.daemon.unpin(ctx, r.Path)
	case opPins:
		last.Pins, err = c.daemon.pins()
	case opUnsent:
		last.Unsent = c.daemon.unsent()
	case opPause:
		return c.daemon.pause(r.For)
	case opResume:
		c.daemon.resume()
	case opAwait:
		if r.News != nil {
			return c.daemon.await(ctx, *r.News)
		}
	case opExport:
		var x cache.Exported
		x, err = c.daemon.export(ctx, r.Path)
		last.Exported = &x
	case opUmount:
		return c.daemon.umount(ctx, r.Wait, progress)
	default:
		return api.Errorf(api.Invalid, "the daemon does not know %q: it is of another version; unmount and mount again", r.Op)
	}
	return err
}

func dialControl(path string) (*net.UnixConn, error) {
	return net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
}

// dial connects to a daemon. What answers at its socket may be another one, if it was killed: that is nobody's to command in its place.
func (m mounted) dial() (*net.UnixConn, error) {
	conn, err := dialControl(m.Socket)
	if err != nil {
		return nil, err
	}
	_, pid, err := peer(conn)
	if err == nil && pid != m.PID {
		err = fmt.Errorf("process %d does", pid)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// errEnded is a daemon that ended, or is about to, before it answered.
var errEnded = errors.New("ended while it worked")

// ask sends a request to a daemon and returns its last report; progress gets
// those before and may be nil. A daemon that is no more is [errEnded].
func (m mounted) ask(ctx context.Context, r controlRequest, progress func(report)) (report, error) {
	reply, err := m.askAll(ctx, r, progress)
	if err != nil {
		return report{}, err
	}
	return *reply.Report, nil
}

// askAll is ask, with all of the last reply; it has a report.
func (m mounted) askAll(ctx context.Context, r controlRequest, progress func(report)) (controlReply, error) {
	conn, err := m.dial()
	if err != nil {
		return controlReply{}, fmt.Errorf("the daemon of %s (pid %d) does not answer: %w", m.Mountpoint, m.PID, err)
	}
	r.At = m.Mountpoint
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := json.NewEncoder(conn).Encode(r); err != nil {
		return controlReply{}, fmt.Errorf("the daemon of %s (pid %d) hung up: %w", m.Mountpoint, m.PID, err)
	}
	in := json.NewDecoder(conn)
	for {
		var reply controlReply
		if err := in.Decode(&reply); err != nil {
			if ctx.Err() != nil {
				return controlReply{}, ctx.Err()
			}
			return controlReply{}, fmt.Errorf("the daemon of %s (pid %d) %w", m.Mountpoint, m.PID, errEnded)
		}
		switch {
		case reply.Kind != "":
			return controlReply{}, &api.Error{Kind: reply.Kind, Message: reply.Message}
		case reply.Done && reply.Report != nil:
			return reply, nil
		case reply.Report != nil && progress != nil:
			progress(*reply.Report)
		}
	}
}
