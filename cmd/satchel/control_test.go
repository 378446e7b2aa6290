package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/api"
	"satchel/cache"
)

// steps is a mounted drive that sends one change per step.
type steps struct {
	left  chan int // pending changes; taken and put back by whoever looks
	ended chan struct{}
	gone  chan error // why a sync was given up
}

func newSteps(pending int) *steps {
	s := &steps{left: make(chan int, 1), ended: make(chan struct{}), gone: make(chan error, 1)}
	s.left <- pending
	return s
}

func (s *steps) report() report {
	n := <-s.left
	s.left <- n
	return report{PID: os.Getpid(), Mountpoint: "/m", Status: cache.Status{Connected: true, PendingMutations: n}}
}

func (s *steps) sync(ctx context.Context, wait bool, progress func(report)) error {
	for wait && !s.report().quiet() {
		progress(s.report())
		select {
		case <-ctx.Done():
			s.gone <- ctx.Err()
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
		if n := <-s.left; n > 0 {
			s.left <- n - 1
		} else {
			s.left <- n // a negative number never gets done
		}
	}
	return nil
}

func (s *steps) pin(context.Context, string, func(report)) error { return nil }
func (s *steps) pause(time.Duration) error                       { return nil }
func (s *steps) resume()                                         {}
func (s *steps) unpin(context.Context, string) error             { return nil }
func (s *steps) pins() ([]cache.Pin, error)                      { return nil, nil }
func (s *steps) unsent() []api.Name                              { return nil }
func (s *steps) await(context.Context, news) error               { return nil }

func (s *steps) export(context.Context, string) (cache.Exported, error) {
	return cache.Exported{}, nil
}

func (s *steps) umount(ctx context.Context, wait bool, progress func(report)) error {
	if err := s.sync(ctx, wait, progress); err != nil {
		return err
	}
	if s.report().PendingMutations == 13 {
		return api.Errorf(api.Invalid, "the folder is busy")
	}
	close(s.ended)
	return nil
}

func serveSteps(t *testing.T, s *steps) mounted {
	t.Helper()
	dir := t.TempDir()
	l, err := listenControl(filepath.Join(dir, "run"), filepath.Join(dir, "cache"))
	if err != nil {
		t.Fatal(err)
	}
	c := newControl(l, s, slog.New(slog.NewTextHandler(io.Discard, nil)))
	go c.serve()
	t.Cleanup(c.close)
	return mounted{PID: os.Getpid(), Mountpoint: "/m", Socket: l.Addr().String()}
}

func TestControl(t *testing.T) {
	s := newSteps(3)
	m := serveSteps(t, s)
	if !m.alive() {
		t.Fatal("not alive")
	}
	r, err := m.ask(t.Context(), controlRequest{Op: opStatus}, nil)
	if err != nil || r.PendingMutations != 3 || r.PID != os.Getpid() {
		t.Errorf("status: %+v, %v", r, err)
	}
	var seen []int
	r, err = m.ask(t.Context(), controlRequest{Op: opSync, Wait: true}, func(now report) { seen = append(seen, now.PendingMutations) })
	if err != nil || !r.quiet() || len(seen) != 3 || seen[0] != 3 || seen[2] != 1 {
		t.Errorf("sync: %+v, %v, progress %v", r, err, seen)
	}
	if _, err := m.ask(t.Context(), controlRequest{Op: "dance"}, nil); api.KindOf(err) != api.Invalid || !strings.Contains(err.Error(), "of another version") {
		t.Errorf("an unknown request: %v", err)
	}
	if _, err := m.ask(t.Context(), controlRequest{Op: opUmount, Wait: true}, nil); err != nil {
		t.Errorf("umount: %v", err)
	}
	select {
	case <-s.ended:
	default:
		t.Error("umount answered before it had ended")
	}
}

func TestControlPassesErrorsOn(t *testing.T) {
	m := serveSteps(t, newSteps(13))
	_, err := m.ask(t.Context(), controlRequest{Op: opUmount}, nil)
	if api.KindOf(err) != api.Invalid || err.Error() != "the folder is busy" {
		t.Errorf("%v", err)
	}
}

// A command that goes away gives up what it asked for.
func TestControlGivenUp(t *testing.T) {
	s := newSteps(-1)
	m := serveSteps(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := m.ask(ctx, controlRequest{Op: opUmount, Wait: true}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("past the deadline: %v", err)
	}
	select {
	case <-s.gone:
	case <-time.After(time.Minute):
		t.Fatal("the daemon went on")
	}
}

// Whatever a connection says, the daemon goes on.
func TestControlRubbish(t *testing.T) {
	m := serveSteps(t, newSteps(0))
	for _, line := range []string{"", "\n", "{", "null\n", strings.Repeat("x", 1<<20)} {
		c, err := dialControl(m.Socket)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(time.Minute))
		io.WriteString(c, line)
		c.CloseWrite()
		io.Copy(io.Discard, c)
		c.Close()
	}
	if _, err := m.ask(t.Context(), controlRequest{Op: opStatus}, nil); err != nil {
		t.Error(err)
	}
}

func TestControlSocket(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 120))
	if err := os.MkdirAll(long, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second takes over what a killed one left
		l, err := listenControl("", long)
		if err != nil {
			t.Fatal(err)
		}
		path := l.Addr().String()
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("socket %s: %v, %v", path, info, err)
		}
		go func() {
			if c, err := dialControl(path); err == nil {
				c.Close()
			}
		}()
		conn, err := l.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		if uid, pid, err := peer(conn); err != nil || uid != os.Getuid() || pid != os.Getpid() {
			t.Errorf("peer is %d of user %d, %v", pid, uid, err)
		}
		conn.Close()
		c := newControl(l, newSteps(0), nil)
		c.close()
		if _, err := os.Stat(filepath.Dir(path)); !os.IsNotExist(err) {
			t.Errorf("%s was left behind", filepath.Dir(path))
		}
	}
}

// Caches of one last name have sockets of their own.
func TestControlSocketOfEachCache(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	var found []mounted
	for _, cache := range []string{"/ssd1/satchel", "/ssd2/satchel"} {
		l, err := listenControl(run, cache)
		if err != nil {
			t.Fatal(err)
		}
		c := newControl(l, newSteps(0), slog.New(slog.DiscardHandler))
		go c.serve()
		t.Cleanup(c.close)
		found = append(found, mounted{PID: os.Getpid(), Mountpoint: "/m", Socket: l.Addr().String()})
	}
	if found[0].Socket == found[1].Socket {
		t.Fatalf("both listen at %s", found[0].Socket)
	}
	for _, m := range found {
		if !m.alive() {
			t.Errorf("nobody answers at %s", m.Socket)
		}
	}
}

// A daemon that has let go of its cache and still answers keeps its socket until it ends.
func TestControlSocketInUse(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	before, err := listenControl(run, "/cache")
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	type opened struct {
		*net.UnixListener
		err error
	}
	next := make(chan opened, 1)
	go func() {
		l, err := listenControl(run, "/cache")
		next <- opened{l, err}
	}()
	before.SetDeadline(time.Now().Add(time.Minute))
	conn, err := before.AcceptUnix() // it was asked whether it is there
	if err != nil {
		t.Fatalf("nobody asked: %v", err)
	}
	conn.Close()
	select {
	case o := <-next:
		t.Fatalf("its socket was taken: %v", o.err)
	default:
	}
	before.Close()
	after := <-next
	if after.err != nil {
		t.Fatal(after.err)
	}
	defer after.Close()
	conn, err = dialControl(after.Addr().String())
	if err != nil {
		t.Fatalf("the next one can't be reached: %v", err)
	}
	conn.Close()
}

// What answers in place of a daemon that is no more does nothing for it.
func TestControlOfAnother(t *testing.T) {
	s := newSteps(0)
	m := serveSteps(t, s)
	killed := m
	killed.PID = os.Getppid()
	if killed.alive() {
		t.Error("a daemon is alive whose socket is another process's")
	}
	moved := m
	moved.Mountpoint = "/before"
	for _, m := range []mounted{killed, moved} {
		if _, err := m.ask(t.Context(), controlRequest{Op: opUmount}, nil); err == nil {
			t.Errorf("the daemon of %s (pid %d) answered", m.Mountpoint, m.PID)
		}
	}
	select {
	case <-s.ended:
		t.Error("another's drive was unmounted")
	default:
	}
}

// A daemon of before, whose socket has the name of its cache, is found by what it made known of itself.
func TestControlSocketOfBefore(t *testing.T) {
	run := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(run, "cache.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	c := newControl(l, newSteps(2), slog.New(slog.DiscardHandler))
	go c.serve()
	t.Cleanup(c.close)
	p := places{state: t.TempDir(), runtime: run}
	if err := p.register(mounted{PID: os.Getpid(), Mountpoint: "/m", Socket: l.Addr().String(), CacheDir: "/cache"}); err != nil {
		t.Fatal(err)
	}
	other, err := listenControl(run, "/elsewhere/cache")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	m, ok := p.runningOn("/cache")
	if !ok {
		t.Fatal("it is not found")
	}
	if r, err := m.ask(t.Context(), controlRequest{Op: opStatus}, nil); err != nil || r.PendingMutations != 2 {
		t.Errorf("it says %+v, %v", r, err)
	}
}

func TestRegistry(t *testing.T) {
	p := places{state: t.TempDir()}
	m := serveSteps(t, newSteps(0))
	m.Profile = "work"
	if err := p.register(m); err != nil {
		t.Fatal(err)
	}
	if got, ok := p.runningAt("/m"); !ok || got != m {
		t.Errorf("found %+v, %v", got, ok)
	}
	if _, ok := p.runningAt("/other"); ok {
		t.Error("found one elsewhere")
	}
	dead := m
	dead.Mountpoint, dead.Socket = "/dead", m.Socket+".gone"
	if err := p.register(dead); err != nil {
		t.Fatal(err)
	}
	if _, ok := p.runningAt("/dead"); ok {
		t.Error("a dead daemon was found running")
	}
	sh := &shell{places: p, profile: "work"}
	if got, err := sh.running(""); err != nil || got != m {
		t.Errorf("of the profile: %+v, %v", got, err)
	}
	sh.profile = "default"
	if _, err := sh.running(""); err == nil {
		t.Error("another profile's was found")
	}
	p.forget(mounted{PID: 1, Mountpoint: "/m"})
	if _, ok := p.runningAt("/m"); !ok {
		t.Error("forgotten by a daemon that is not it")
	}
	p.forget(m)
	if _, ok := p.runningAt("/m"); ok {
		t.Error("not forgotten")
	}
}
