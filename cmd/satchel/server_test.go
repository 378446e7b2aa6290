package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"satchel/integration/require"
)

// TestServerScripts runs the scenarios under testdata/server, each with a
// server, a database and a home of its own. In them $SERVER is its address,
// and ada@example.org, password "correct horse", has an account.
func TestServerScripts(t *testing.T) {
	require.Fuse(t)
	satcheld := buildServer(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/server",
		Setup: func(env *testscript.Env) error {
			if err := ownHome(env); err != nil {
				return err
			}
			s, err := newServer(satcheld)
			if err != nil {
				return err
			}
			env.Values["server"] = s
			env.Setenv("SERVER", "http://"+s.addr)
			k, err := newLink(s.addr)
			if err != nil {
				return err
			}
			env.Values["link"] = k
			env.Setenv("LINK", "http://"+k.listener.Addr().String())
			env.Defer(k.close)
			env.Defer(func() { // in reverse order
				s.stop()
				os.RemoveAll(s.data)
			})
			env.Defer(func() { sweep(filepath.Join(env.WorkDir, "state/satchel/mounts")) })
			return s.start()
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "server": serverCmd, "killdaemon": killDaemon, "until": until, "link": linkCmd, "confirm": confirm,
			"account": account, "sql": sqlCmd, "satcheld": operate,
		},
	})
}

// buildServer builds satcheld; its path is returned.
func buildServer(t *testing.T) string {
	t.Helper()
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres"); len(found) == 0 {
		require.Tool(t, "postgres")
	}
	satcheld := filepath.Join(t.TempDir(), "satcheld")
	if out, err := exec.Command("go", "build", "-o", satcheld, "satchel/cmd/satcheld").CombinedOutput(); err != nil {
		t.Fatalf("build satcheld: %v\n%s", err, out)
	}
	return satcheld
}

// server is a running satcheld.
type server struct {
	program, data, addr string
	process             *exec.Cmd
}

func newServer(program string) (*server, error) {
	// Not below the test's own directory: as root the database runs as
	// another user, who can't enter that.
	data, err := os.MkdirTemp("", "satchel-test-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(data, 0o711); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	s := &server{program: program, data: data, addr: l.Addr().String()}
	return s, s.addAccount("ada@example.org", "")
}

func (s *server) addAccount(email, name string) error {
	add := exec.Command(s.program, "user", "add", email, "--name", name, "--password-stdin", "--data", filepath.Join(s.data, "d"))
	add.Stdin = strings.NewReader("correct horse\n")
	if out, err := add.CombinedOutput(); err != nil {
		return fmt.Errorf("satcheld user add: %w\n%s", err, out)
	}
	return nil
}

// account is the scenario's command: account EMAIL [NAME]. Its password is ada's.
func account(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: account EMAIL [NAME]")
	}
	ts.Check(ts.Value("server").(*server).addAccount(args[0], strings.Join(args[1:], "")))
}

// operate is the scenario's command: satcheld ARGS…, of the server's operator.
func operate(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value("server").(*server)
	err := ts.Exec(s.program, append(args, "--data", filepath.Join(s.data, "d"))...)
	if (err != nil) != neg {
		ts.Fatalf("satcheld %v: %v", args, err)
	}
}

// sqlCmd is the scenario's command: sql PROFILE STATEMENT ARGS…, as the profile's user in the database: what the server
// took once and takes no more, as names.
func sqlCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: sql PROFILE STATEMENT ARGS…")
	}
	ts.Check(ts.Exec("satchel", "--profile", args[0], "whoami", "--json"))
	var who me
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &who))
	s := ts.Value("server").(*server)
	url, err := exec.Command(s.program, "psql-url", "--data", filepath.Join(s.data, "d")).Output()
	ts.Check(err)
	config, err := pgx.ParseConfig(strings.TrimSpace(string(url)))
	ts.Check(err)
	config.RuntimeParams["satchel.user_id"] = who.User.String()
	ctx := context.Background()
	conn, err := pgx.ConnectConfig(ctx, config)
	ts.Check(err)
	defer conn.Close(ctx)
	var values []any
	for _, arg := range args[2:] {
		values = append(values, arg)
	}
	done, err := conn.Exec(ctx, args[1], values...)
	ts.Check(err)
	if done.RowsAffected() == 0 {
		ts.Fatalf("nothing was changed")
	}
}

func (s *server) start() error {
	s.process = exec.Command(s.program, "serve", "--listen", s.addr, "--data", filepath.Join(s.data, "d"))
	out, err := s.process.StdoutPipe()
	if err != nil {
		return err
	}
	var log strings.Builder
	s.process.Stderr = &log
	if err := s.process.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.Contains(line, s.addr) {
		s.stop()
		return fmt.Errorf("satcheld said %q, %v\n%s", line, err, log.String())
	}
	go io.Copy(io.Discard, out)
	return nil
}

func (s *server) stop() {
	if s.process != nil {
		s.process.Process.Signal(syscall.SIGTERM)
		s.process.Wait()
		s.process = nil
	}
}

// serverCmd is the scenario's command: server stop|start.
func serverCmd(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value("server").(*server)
	switch {
	case len(args) == 1 && args[0] == "stop":
		s.stop()
	case len(args) == 1 && args[0] == "start":
		ts.Check(s.start())
	default:
		ts.Fatalf("usage: server stop|start")
	}
}

// killDaemon kills the mounted drive's daemon as a crash would.
func killDaemon(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(ts.Exec("satchel", append(args, "status", "--json")...))
	var r report
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &r))
	ts.Check(syscall.Kill(r.PID, syscall.SIGKILL))
	for syscall.Kill(r.PID, 0) == nil {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.PID))
		threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", r.PID)) // the last of them closes its socket
		if err == nil && strings.Contains(string(b), ") Z ") && len(threads) <= 1 {
			return // nobody collects it here
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// until runs a program again until it succeeds, for at most a minute.
func until(ts *testscript.TestScript, neg bool, args []string) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%v: %v", args, err)
		}
	}
}

// sweep ends what a failed scenario left mounted.
func sweep(registry string) {
	files, _ := filepath.Glob(filepath.Join(registry, "*.json"))
	for _, file := range files {
		if m, err := readMounted(file); err == nil {
			syscall.Kill(m.PID, syscall.SIGKILL)
			detach(m.Mountpoint)
		}
	}
}
