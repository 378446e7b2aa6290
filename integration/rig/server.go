package rig

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a satcheld with its own data directory and PostgreSQL.
type Server struct {
	URL  string
	Addr string // host:port; the same after a Start that follows a Stop
	Data string
	Log  string // path of its log
	Args []string

	rig  *Rig
	env  []string // says which blob store
	proc *Child
}

// NewServer describes a server at a free port; Start runs it. Args are added
// to `satcheld serve`.
func (r *Rig) NewServer(name string, args ...string) (*Server, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(r.Dir, name)
	if err := os.Mkdir(dir, 0o711); err != nil {
		return nil, err
	}
	env, err := r.blobEnv(name)
	if err != nil {
		return nil, err
	}
	return &Server{
		URL: "http://" + addr, Addr: addr, Data: filepath.Join(dir, "data"), Log: filepath.Join(dir, "satcheld.log"),
		Args: args, rig: r, env: append(os.Environ(), env...),
	}, nil
}

// FreeAddr is a port of this machine that nothing listens on.
func FreeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// Start runs the server and waits until /health says that it is ready.
func (s *Server) Start(ctx context.Context) error {
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(s.rig.Bin, "satcheld"), append([]string{"serve", "--listen", s.Addr, "--data", s.Data}, s.Args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir, cmd.Env = "/", s.env
	if s.proc, err = StartChild(cmd); err != nil {
		return err
	}
	if err := s.proc.WaitReady(ctx, time.Minute, func() bool { return healthy(s.URL) }); err != nil {
		s.Stop()
		return fmt.Errorf("satcheld serve: %w\n%s", err, Tail(s.Log, 30))
	}
	return nil
}

func healthy(url string) bool {
	c := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // it is asked whether it is there, not who it is
	}}
	res, err := c.Get(url + "/health")
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// Stop ends the server in order, as SIGTERM does.
func (s *Server) Stop() error { return s.proc.End(syscall.SIGTERM) }

// Pid is the process id of the running server.
func (s *Server) Pid() int { return s.proc.Pid() }

// Kill ends the server as a power cut would end it: it gets no chance.
func (s *Server) Kill() { s.proc.End(syscall.SIGKILL) }

// Setenv sets a variable for what the server runs from now on; "" is as if it
// were not set.
func (s *Server) Setenv(key, value string) { s.env = append(s.env, key+"="+value) }

// Getenv is a variable of the server's environment.
func (s *Server) Getenv(key string) string {
	value := ""
	for _, pair := range s.env {
		if v, ok := strings.CutPrefix(pair, key+"="); ok {
			value = v // the last one counts
		}
	}
	return value
}

// UseTLS makes the server speak https with a certificate for 127.0.0.1.
func (s *Server) UseTLS(cert, key string) {
	s.URL = "https://" + s.Addr
	s.Args = append(s.Args, "--tls-cert", cert, "--tls-key", key)
}

// Died waits until the server has ended by itself, and tells whether it did.
func (s *Server) Died(limit time.Duration) bool {
	select {
	case <-s.proc.done:
		return true
	case <-time.After(limit):
		return false
	}
}

// Satcheld runs another command of satcheld on the server's data.
func (s *Server) Satcheld(ctx context.Context, stdin string, args ...string) (string, error) {
	args = append([]string{filepath.Join(s.rig.Bin, "satcheld")}, args...)
	return Process{Dir: "/", Env: s.env}.Run(ctx, stdin, append(args, "--data", s.Data)...)
}

// DatabaseURL is that of the server's private PostgreSQL for one of its
// roles, while the server runs.
func (s *Server) DatabaseURL(ctx context.Context, role string) (string, error) {
	out, err := s.Satcheld(ctx, "", "psql-url")
	if err != nil {
		return "", err
	}
	u, err := url.Parse(strings.TrimSpace(out))
	if err != nil {
		return "", err
	}
	u.User = url.User(role)
	return u.String(), nil
}

// Indexed waits until the server knows the words of all that was written, and has nothing more to do for it.
func (s *Server) Indexed(ctx context.Context) error {
	return s.database(ctx, "postgres", func(db *pgx.Conn) error {
		for {
			var done bool
			err := db.QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM satchel.drives WHERE indexed <> seq)`).Scan(&done)
			if err != nil || done {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
}

// AgeSessions makes the last use of every session so much longer ago.
func (s *Server) AgeSessions(ctx context.Context, by time.Duration) error {
	return s.database(ctx, "postgres", func(db *pgx.Conn) error {
		_, err := db.Exec(ctx, `UPDATE satchel.sessions SET seen = seen - $1::interval`, by)
		return err
	})
}

// AddUser makes an account. Role is editor or admin.
func (s *Server) AddUser(ctx context.Context, email, password, role string) error {
	_, err := s.Satcheld(ctx, password+"\n", "user", "add", email, "--role", role, "--password-stdin")
	return err
}

// Child is a process that dies with this one.
type Child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	err  error         // how; read after done
}

// StartChild starts cmd so that the kernel ends it when this process dies.
func StartChild(cmd *exec.Cmd) (*Child, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// Its own group: a Ctrl-C at the terminal shall reach this process, which
	// then ends its children in order.
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	c := &Child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The death signal is sent when the thread that forked ends, not the
		// process (prctl(2), PR_SET_PDEATHSIG).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			c.err = cmd.Wait()
			close(c.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

// Pid is the child's process id.
func (c *Child) Pid() int { return c.cmd.Process.Pid }

// WaitReady asks ready until it is true. It fails when the child ends before,
// after the time limit or with ctx.
func (c *Child) WaitReady(ctx context.Context, limit time.Duration, ready func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not ready after %v", limit))
	defer cancel()
	for {
		if ready() {
			return nil
		}
		select {
		case <-c.done:
			return fmt.Errorf("ended at once: %w", errors.Join(c.err, errors.New("it should have gone on")))
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// End sends a signal and waits for the end; after 30 s it kills. It may be
// called again, and on nil.
func (c *Child) End(signal syscall.Signal) error {
	if c == nil {
		return nil
	}
	select {
	case <-c.done:
		return nil
	default:
	}
	c.cmd.Process.Signal(signal)
	select {
	case <-c.done:
		return nil
	case <-time.After(30 * time.Second):
		c.cmd.Process.Kill()
		<-c.done
		return fmt.Errorf("%s did not end within 30 s of %v", filepath.Base(c.cmd.Path), signal)
	}
}

// Tail is the last n lines of a file.
func Tail(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
