package private

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/integration/require"
)

// childEnv makes the test binary a process that owns a PostgreSQL and waits.
const childEnv = "SATCHEL_TEST_OWN_POSTGRES"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		s, err := Start(context.Background(), testConfig(dir))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("ready", s.child.pid)
		select {}
	}
	require.Main(m, nil)
}

// testDir is a directory that the user postgres may enter, as t.TempDir's is not.
func testDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "satchel-private-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "pg")
}

func testConfig(dir string) Config {
	return Config{Dir: dir, Settings: map[string]string{"fsync": "off"}, Log: slog.New(slog.DiscardHandler)}
}

func mustStart(t *testing.T, dir string) *Server {
	t.Helper()
	s, err := Start(t.Context(), testConfig(dir))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func query(t *testing.T, s *Server, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL(Superuser, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var out string
	if err := conn.QueryRow(t.Context(), sql).Scan(&out); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return out
}

func exited(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 500 {
		if done() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s: not within 10 s", what)
}

func TestStartStopRestart(t *testing.T) {
	dir := testDir(t)
	s := mustStart(t, dir)
	if got := query(t, s, `SELECT string_agg(DISTINCT type || ' ' || auth_method, ',') FROM pg_hba_file_rules`); got != "local peer" {
		t.Errorf("ways to connect = %q, want local peer alone", got)
	}
	if got := query(t, s, `SHOW listen_addresses`); got != "" {
		t.Errorf("listen_addresses = %q, want none", got)
	}
	if got := query(t, s, `SHOW synchronous_commit`); got != "on" {
		t.Errorf("synchronous_commit = %q", got)
	}
	if st, err := os.Stat(s.socketDir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("socket directory: %v, %v; want mode 0700", st.Mode(), err)
	}
	if _, err := pgx.Connect(t.Context(), s.URL("pg_monitor", "postgres")); err == nil {
		t.Error("connected as a role that pg_ident.conf does not name")
	}
	query(t, s, `SELECT set_config('x.y', 'z', false)`)
	conn, err := pgx.Connect(t.Context(), s.URL(Superuser, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `CREATE TABLE kept AS SELECT 'still here' AS word`); err != nil {
		t.Fatal(err)
	}
	pid := s.child.pid
	s.Stop() // with a connection open
	conn.Close(t.Context())
	if !exited(pid) {
		t.Fatal("postgres runs on after Stop")
	}
	select {
	case <-s.Done():
	default:
		t.Error("Done is not closed after Stop")
	}

	s = mustStart(t, dir)
	defer s.Stop()
	if got := query(t, s, `SELECT word FROM kept`); got != "still here" {
		t.Errorf("after a restart: %q", got)
	}
}

func TestKilledOwnerLeavesNoPostgres(t *testing.T) {
	dir := testDir(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscanf(out, "ready %d\n", &pid); err != nil {
		t.Fatal(err)
	}
	attached, err := Attach(t.Context(), testConfig(dir))
	if err != nil {
		t.Fatal(err)
	}
	if attached.Done() != nil {
		t.Error("Attach started a second postgres")
	}
	query(t, attached, `SELECT 'works'`)
	attached.Stop()
	if exited(pid) {
		t.Fatal("Stop of an attached process ended the owner's postgres")
	}

	cmd.Process.Kill()
	cmd.Wait()
	s := mustStart(t, dir) // while the old one may still be ending
	query(t, s, `SELECT 'recovered'`)
	s.Stop()
	await(t, "the killed owner's postgres ends", func() bool { return exited(pid) })
}

func TestPostgresKilled(t *testing.T) {
	dir := testDir(t)
	s := mustStart(t, dir)
	syscall.Kill(s.child.pid, syscall.SIGKILL)
	select {
	case <-s.Done():
	case <-time.After(time.Minute):
		t.Fatal("Done is not closed 10 s after postgres was killed")
	}
	s.Stop()
	s = mustStart(t, dir)
	defer s.Stop()
	query(t, s, `SELECT 'recovered'`)
}

// A postgres whose owner is gone without a signal having reached it, as after
// a start by hand.
func TestOrphanIsEnded(t *testing.T) {
	dir := testDir(t)
	first := mustStart(t, dir)
	first.owner.Close()
	first.users.Close()
	second := mustStart(t, dir)
	defer second.Stop()
	select {
	case <-first.Done():
	default:
		t.Error("two postgres at once")
	}
	query(t, second, `SELECT 'works'`)
}

func TestAttachStartsWhenNobodyRuns(t *testing.T) {
	dir := testDir(t)
	s, err := Attach(t.Context(), testConfig(dir))
	if err != nil {
		t.Fatal(err)
	}
	if s.Done() == nil {
		t.Fatal("attached to a postgres that there is not")
	}
	query(t, s, `SELECT 'works'`)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, errors.New("given up"))
	defer cancel()
	if _, err := Start(ctx, testConfig(dir)); err == nil || err.Error() != "given up" {
		t.Errorf("a second Start = %v, want it to wait", err)
	}
	s.Stop()
}

func TestStopWaitsForAttached(t *testing.T) {
	dir := testDir(t)
	s := mustStart(t, dir)
	attached, err := Attach(t.Context(), testConfig(dir))
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() {
		s.Stop()
		close(stopped)
	}()
	select {
	case <-stopped:
		t.Fatal("postgres was stopped under a command that uses it")
	case <-time.After(200 * time.Millisecond):
	}
	query(t, attached, `SELECT 'works'`)
	attached.Stop()
	<-stopped
}

func TestHalfMadeClusterIsMadeAgain(t *testing.T) {
	dir := testDir(t)
	if err := os.MkdirAll(filepath.Join(dir, "data.new", "base"), 0o711); err != nil {
		t.Fatal(err)
	}
	s := mustStart(t, dir)
	s.Stop()
}

func TestLongPathHasItsSocketElsewhere(t *testing.T) {
	dir := testDir(t)
	for range 4 {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(dir, strings.Repeat("x", 40))
	}
	s := mustStart(t, dir)
	defer os.RemoveAll(s.socketDir)
	defer s.Stop()
	if strings.HasPrefix(s.socketDir, dir) {
		t.Errorf("the socket is in %s", s.socketDir)
	}
	query(t, s, `SELECT 'works'`)
	attached, err := Attach(t.Context(), testConfig(dir))
	if err != nil {
		t.Fatal(err)
	}
	query(t, attached, `SELECT 'works'`)
	attached.Stop()
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, dir string)
		says    string
	}{
		{"a cluster of another major version", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "data", "PG_VERSION"), "9\n")
		}, "install postgresql-9"},
		{"a directory that is no cluster", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "data", "letter.txt"), "dear")
		}, "is no PostgreSQL database"},
		{"a file in place of the directory", func(t *testing.T, dir string) {
			write(t, dir, "")
		}, "is not a directory"},
		{"a version that is no number", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "data", "PG_VERSION"), "x\n")
		}, "no PostgreSQL version"},
		{"a path that the user postgres can't enter", func(t *testing.T, dir string) {
			if os.Getuid() != 0 {
				t.Skip("only root runs postgres as another user")
			}
			if err := os.Chmod(filepath.Dir(dir), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "can't enter %s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := testDir(t)
			tt.prepare(t, dir)
			s, err := Start(t.Context(), testConfig(dir))
			if err == nil {
				s.Stop()
				t.Fatal("started")
			}
			says := strings.ReplaceAll(tt.says, "%s", filepath.Dir(dir))
			if api.KindOf(err) != api.Invalid || !strings.Contains(err.Error(), says) {
				t.Errorf("error = %v (%s), want invalid: …%s…", err, api.KindOf(err), says)
			}
		})
	}
}

// Nothing that is there may be lost when a start is refused.
func TestRefusalKeepsData(t *testing.T) {
	dir := testDir(t)
	letter := filepath.Join(dir, "data", "letter.txt")
	write(t, letter, "dear")
	if _, err := Start(t.Context(), testConfig(dir)); err == nil {
		t.Fatal("started")
	}
	if b, err := os.ReadFile(letter); err != nil || string(b) != "dear" {
		t.Errorf("the letter = %q, %v", b, err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// logged waits for lines of a log.
type logged struct {
	slog.Handler
	lines chan string
}

func (l *logged) Handle(_ context.Context, r slog.Record) error {
	select {
	case l.lines <- r.Message:
	default:
	}
	return nil
}

func (l *logged) wait(t *testing.T, message string) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case line := <-l.lines:
			if line == message {
				return
			}
		case <-late:
			t.Fatalf("it was not logged that %q", message)
		}
	}
}

// TestKeep: a postgres that ended is started again where it was, and tried again until it starts.
func TestKeep(t *testing.T) {
	dir := testDir(t)
	log := &logged{slog.NewTextHandler(io.Discard, nil), make(chan string, 1000)}
	config := testConfig(dir)
	config.Log = slog.New(log)
	s, err := Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	first := s.child
	ctx, cancel := context.WithCancel(t.Context())
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		s.Keep(ctx)
	}()
	query(t, s, `WITH made AS (SELECT lo_from_bytea(4711, 'here')) SELECT 'made' FROM made`)
	if err := syscall.Kill(first.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	log.wait(t, "PostgreSQL is back")
	if got := query(t, s, `SELECT convert_from(lo_get(4711), 'UTF8')`); got != "here" {
		t.Errorf("what was durable is %q", got)
	}

	// It can't start, and is tried again.
	needed := filepath.Join(dir, "data", "global", "pg_control")
	if err := os.Rename(needed, needed+".away"); err != nil {
		t.Fatal(err)
	}
	pid, err := readPidFile(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	log.wait(t, "PostgreSQL does not start")
	if err := os.Rename(needed+".away", needed); err != nil {
		t.Fatal(err)
	}
	log.wait(t, "PostgreSQL is back")
	if got := query(t, s, `SELECT convert_from(lo_get(4711), 'UTF8')`); got != "here" {
		t.Errorf("what was durable is %q", got)
	}
	cancel()
	<-kept
	last := s.child
	s.Stop()
	if last == first || !exited(last.pid) {
		t.Error("Stop did not end the postgres that runs last")
	}
}

// TestRestartPause: a PostgreSQL that starts and ends at once is started less and less often, as one that does not start; one that ran is started at once.
func TestRestartPause(t *testing.T) {
	pause := time.Duration(0)
	for _, step := range []struct{ ran, want time.Duration }{
		{time.Hour, 0}, {0, time.Second}, {time.Second, 2 * time.Second}, {steadyAfter - 1, 4 * time.Second}, {0, 8 * time.Second}, {0, keepPause}, {0, keepPause},
		{steadyAfter, 0}, {time.Second, time.Second},
	} {
		if pause = restartPause(pause, step.ran); pause != step.want {
			t.Fatalf("after %v: %v, want %v", step.ran, pause, step.want)
		}
	}
}
