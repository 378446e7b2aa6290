// Package private runs a PostgreSQL of Satchel's own.
//
// One directory holds all of it:
//
//	data/          the cluster, owned by the user that postgres runs as
//	sock/          its socket, 0700; elsewhere if the path would be too long
//	pg_hba.conf    who may connect: local users, by peer authentication
//	pg_ident.conf  which local user may be which role
//	postgres.log   what postgres says
//	owner.lock     held by the process whose child postgres is
//	users.lock     shared by the processes that use another one's postgres
//
// There is no TCP port and no password. postgres is a direct child that dies
// with its parent, also when that is killed, and that Ctrl-C in a terminal
// does not reach, so the parent can end it after its last transaction. Started
// by root it runs as the user postgres.
package private

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"satchel/api"
)

// Superuser is the role that owns the cluster.
const Superuser = "postgres"

// roles are those that the local users named in pg_ident.conf may connect as.
var roles = []string{Superuser, "satchel_owner", "satchel_app"}

// Config says where a private PostgreSQL lives.
type Config struct {
	Dir      string            // made if it is missing; its parent must exist
	Settings map[string]string // postgres settings over our own
	Log      *slog.Logger
}

// Server is a running private PostgreSQL.
type Server struct {
	socketDir string
	cluster   *cluster // nil when another process's postgres is used
	child     *child   // nil with it
	owner     *os.File // owner.lock; nil when child is
	users     *os.File // users.lock
	log       *slog.Logger
}

// ownerWait is how long Start waits for a short command that runs postgres.
const ownerWait = 15 * time.Second

// Start makes the cluster if there is none and runs postgres until Stop. If
// another process runs it for a moment, Start waits; if that lasts, the error
// is of kind [api.Unavailable]. A cluster of another major version, or a path
// that postgres may not traverse, is [api.Invalid].
func Start(ctx context.Context, c Config) (*Server, error) {
	wait, cancel := context.WithTimeoutCause(ctx, ownerWait,
		api.Errorf(api.Unavailable, "another satcheld uses %s: stop it, or choose another --data", c.Dir))
	defer cancel()
	for {
		s, err := own(ctx, c)
		if !errors.Is(err, errBusy) {
			return s, err
		}
		if err := pause(wait, 25*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// Attach uses the postgres that another process runs, and else runs it itself
// until Stop. It is for commands that must work beside a server and without.
func Attach(ctx context.Context, c Config) (*Server, error) {
	wait, cancel := context.WithTimeoutCause(ctx, time.Minute,
		api.Errorf(api.Unavailable, "the PostgreSQL under %s is run by another satcheld but does not get ready; see %s", c.Dir, logPath(c.Dir)))
	defer cancel()
	for {
		s, err := own(ctx, c)
		if !errors.Is(err, errBusy) {
			return s, err
		}
		if s, err = join(c); s != nil || err != nil {
			return s, err
		}
		if err := pause(wait, 25*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// errBusy says that another process runs this postgres.
var errBusy = errors.New("another process runs this PostgreSQL")

// pause waits; the error is the reason why ctx ended before.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// own runs postgres if nobody does, and returns errBusy if somebody does.
func own(ctx context.Context, c Config) (_ *Server, err error) {
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return nil, fmt.Errorf("find the database directory: %w", err)
	}
	if err := makeDir(c.Dir); err != nil {
		return nil, err
	}
	owner, err := lock(filepath.Join(c.Dir, "owner.lock"), exclusive)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			owner.Close()
		}
	}()
	// An attached process that outlives its server still uses the socket's
	// directory; opened here, so that Stop can't fail for want of a file.
	users, err := openLock(filepath.Join(c.Dir, "users.lock"))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			users.Close()
		}
	}()
	cl, err := prepare(ctx, c)
	if err != nil {
		return nil, err
	}
	ch, err := cl.run(ctx)
	if err != nil {
		return nil, err
	}
	return &Server{socketDir: cl.socketDir, cluster: cl, child: ch, owner: owner, users: users, log: c.Log}, nil
}

// join uses the postgres that another process runs; nil if it isn't ready.
func join(c Config) (*Server, error) {
	users, err := lock(filepath.Join(c.Dir, "users.lock"), shared)
	if errors.Is(err, errBusy) {
		return nil, nil // its owner is about to stop it
	}
	if err != nil {
		return nil, err
	}
	pid, err := readPidFile(dataPath(c.Dir))
	if err != nil || !pid.ready || !alive(pid.pid) {
		users.Close()
		return nil, nil
	}
	return &Server{socketDir: pid.socketDir, users: users, log: c.Log}, nil
}

// URL names a database of this PostgreSQL to connect to as a role.
func (s *Server) URL(role, database string) string {
	// libpq reads %20 as a space but not +, unlike HTML forms.
	query := strings.ReplaceAll(url.Values{"host": {s.socketDir}, "port": {port}}.Encode(), "+", "%20")
	u := url.URL{Scheme: "postgres", User: url.User(role), Path: "/" + database, RawQuery: query}
	return u.String()
}

// Done is closed when postgres has ended, asked to or not; never when another
// process runs it.
func (s *Server) Done() <-chan struct{} {
	if s.child == nil {
		return nil
	}
	return s.child.done
}

// keepPause is the longest pause between two starts of [Server.Keep].
const keepPause = 10 * time.Second

// steadyAfter is how long PostgreSQL has run when it is taken to be well.
const steadyAfter = time.Minute

// Keep starts postgres again, at the same socket, whenever it has ended without
// being asked to, until ctx ends. It gives up after a panic, as on a disk that is
// full or sick, when it can't repair itself either, or soon after; once the disk is well it can. So
// the first start is made at once, and after each one that failed or did not last the next one
// waits twice as long, [keepPause] at most. Stop, and Done, must not be called
// meanwhile. When another process runs postgres Keep only waits for ctx.
func (s *Server) Keep(ctx context.Context) {
	if s.child == nil {
		<-ctx.Done()
		return
	}
	var wait time.Duration
	var started time.Time // the last start, or try; zero: before Keep
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.child.done:
		}
		wait = restartPause(wait, time.Since(started))
		if pause(ctx, wait) != nil {
			return
		}
		s.log.Error("PostgreSQL ended unexpectedly and is started again", "log", logPath(s.cluster.dir))
		ch, err := s.cluster.run(ctx)
		started = time.Now()
		if err != nil {
			if ctx.Err() == nil {
				s.log.Error("PostgreSQL does not start", "err", err, "again_in", restartPause(wait, 0))
			}
			continue
		}
		s.log.Info("PostgreSQL is back")
		s.child = ch
	}
}

// restartPause is how long to wait before PostgreSQL is started again, after a pause before the last start and how long it ran then.
func restartPause(last, ran time.Duration) time.Duration {
	if ran >= steadyAfter {
		return 0
	}
	return min(max(2*last, time.Second), keepPause)
}

// usersWait is how long Stop waits for the commands that use this postgres.
const usersWait = 10 * time.Second

// Stop ends postgres, if it is our child, when no other process uses it any
// more or after some seconds. Open transactions are rolled back. It may be
// called once.
func (s *Server) Stop() {
	defer s.users.Close()
	if s.child == nil {
		return
	}
	defer s.owner.Close()
	for deadline := time.Now().Add(usersWait); ; time.Sleep(25 * time.Millisecond) {
		if err := flock(s.users, exclusive); err == nil || time.Now().After(deadline) {
			break
		}
	}
	s.child.stop(s.log)
}
