package private

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"satchel/api"
)

// child is a postgres that we started.
type child struct {
	pid  int
	done chan struct{} // closed when it has ended and been waited for
}

// run starts postgres and waits until it accepts connections.
func (cl *cluster) run(ctx context.Context) (*child, error) {
	stale, err := cl.endOrphan(ctx)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		ch, err := cl.start(ctx)
		// The last processes of a postgres that was killed go within moments;
		// until then a new one refuses the shared memory that they hold.
		if err == nil || !stale || try == 20 {
			return ch, err
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// endOrphan ends a postgres that runs on our cluster although nobody holds the
// owner's lock: one whose parent was just killed, or that was started by hand.
// It reports whether a lock file of a dead one is there; postgres itself
// removes that.
func (cl *cluster) endOrphan(ctx context.Context) (stale bool, err error) {
	pid, err := readPidFile(dataPath(cl.dir))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return true, nil // half-written: postgres judges it
	}
	if !cl.isOurs(pid.pid) {
		return true, nil
	}
	cl.log.Warn("a PostgreSQL was left running; ending it", "pid", pid.pid)
	for i, sig := range []syscall.Signal{0, syscall.SIGINT, syscall.SIGQUIT} {
		if err := syscall.Kill(pid.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return true, fmt.Errorf("end the PostgreSQL (pid %d) that was left running: %w", pid.pid, err)
		}
		for range []int{80, 400, 400}[i] {
			if !cl.isOurs(pid.pid) {
				return true, nil
			}
			if err := pause(ctx, 25*time.Millisecond); err != nil {
				return true, err
			}
		}
	}
	return true, api.Errorf(api.Unavailable, "the PostgreSQL (pid %d) that was left running on %s does not end: end it by hand", pid.pid, cl.dir)
}

// isOurs tells whether a process is a postgres on our cluster; postgres works
// in its data directory.
func (cl *cluster) isOurs(pid int) bool {
	cwd, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
	if err != nil {
		return false
	}
	data, err := filepath.EvalSymlinks(dataPath(cl.dir))
	return err == nil && cwd == data
}

// start starts postgres once.
func (cl *cluster) start(ctx context.Context) (*child, error) {
	logFile, err := cl.openLog()
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	said, err := logFile.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("open the database's log: %w", err)
	}

	cmd := exec.Command(cl.bin.path("postgres"), cl.arguments()...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dataPath(cl.dir), cl.environ(), logFile, logFile
	cmd.SysProcAttr = cl.account.attr()
	// An immediate shutdown, which loses no committed transaction, is what
	// the kernel asks of postgres should we die without a word.
	cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	ch := &child{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The signal comes when the starting thread ends (prctl(2)), so that
		// thread must live as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		cmd.Wait() // how it ended is in its log
		close(ch.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	ch.pid = cmd.Process.Pid
	if err := cl.awaitReady(ctx, ch); err != nil {
		ch.stop(cl.log)
		return nil, fmt.Errorf("%w: %s", err, tail(logPath(cl.dir), said))
	}
	return ch, nil
}

// awaitReady waits until postgres says in its lock file that it is ready. A
// ping would not do: another postgres could answer it.
func (cl *cluster) awaitReady(ctx context.Context, ch *child) error {
	for begin, told := time.Now(), false; ; {
		if p, err := readPidFile(dataPath(cl.dir)); err == nil && p.pid == ch.pid && p.ready {
			return nil
		}
		if !told && time.Since(begin) > 5*time.Second {
			told = true
			cl.log.Info("PostgreSQL is still starting; after a crash it first repeats what it had not written")
		}
		select {
		case <-ch.done:
			return fmt.Errorf("PostgreSQL ended while starting; see %s", logPath(cl.dir))
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// stop ends postgres: at once if it can, harder after 20 seconds.
func (ch *child) stop(log *slog.Logger) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		select {
		case <-ch.done: // its pid may be another's by now
			return
		default:
		}
		syscall.Kill(ch.pid, sig) // fails only if it has just ended
		select {
		case <-ch.done:
			return
		case <-time.After(20 * time.Second):
			log.Warn("PostgreSQL does not end; asking harder", "pid", ch.pid)
		}
	}
	<-ch.done
}

// maxLog is the size in bytes at which a start sets the log aside.
const maxLog = 16 << 20

func (cl *cluster) openLog() (*os.File, error) {
	path := logPath(cl.dir)
	if st, err := os.Lstat(path); err == nil && st.Size() > maxLog {
		if err := os.Rename(path, path+".old"); err != nil {
			return nil, fmt.Errorf("set the database's log aside: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the database's log: %w", err)
	}
	return f, giveToOwner(f)
}

// tail is what was logged from an offset on, the last of it if it is long.
func tail(path string, from int64) string {
	b, err := os.ReadFile(path)
	if err != nil || int64(len(b)) <= from {
		return "it logged nothing"
	}
	b = b[from:]
	return strings.TrimSpace(string(b[max(0, len(b)-2000):]))
}

// pidFile is what postgres writes to postmaster.pid (PostgreSQL's
// src/include/utils/pidfile.h).
type pidFile struct {
	pid       int
	socketDir string
	ready     bool
}

func readPidFile(data string) (pidFile, error) {
	b, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return pidFile{}, err
	}
	lines := strings.Split(string(b), "\n")
	pid, err := strconv.Atoi(lines[0])
	if err != nil || pid <= 0 {
		return pidFile{}, fmt.Errorf("postmaster.pid begins with %q", lines[0])
	}
	p := pidFile{pid: pid}
	if len(lines) >= 8 {
		p.socketDir = lines[4]
		p.ready = strings.TrimSpace(lines[7]) == "ready"
	}
	return p, nil
}

// alive tells whether there is a process of that pid.
func alive(pid int) bool {
	return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
