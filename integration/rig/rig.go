// Package rig runs Satchel's real parts for tests and benchmarks: the built
// programs, a server with its own PostgreSQL, devices with their own XDG
// directories, and mounts. All of it lives below one directory and is found
// there again by a janitor process, which removes whatever is left when the
// rig's own process ends, however it ends.
package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Rig is the directory below which everything runs.
type Rig struct {
	Dir string // 0711: PostgreSQL, as another user, must be able to pass
	Bin string // has satcheld and satchel after Programs

	root string // the checkout

	janitor *janitor
	store   string    // where servers keep content; see UseBlobs
	s3      *s3Server // nil unless it runs
}

// New makes a rig for the checkout that the working directory is in, below base
// ("": the system's temporary directory).
func New(base string) (*Rig, error) {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	root := filepath.Dir(strings.TrimSpace(string(mod)))
	if err != nil || !filepath.IsAbs(root) || root == "/dev" {
		return nil, fmt.Errorf("not inside the module (%q): %w", mod, err)
	}
	dir, err := os.MkdirTemp(base, "satchel-rig-")
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		return nil, err
	}
	r := &Rig{Dir: dir, Bin: filepath.Join(dir, "bin"), root: root}
	if Race {
		if err := r.gatherRaces(); err != nil {
			os.RemoveAll(dir)
			return nil, err
		}
	}
	if r.janitor, err = startJanitor(dir); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return r, nil
}

// Programs builds satcheld and satchel into Bin.
func (r *Rig) Programs(ctx context.Context) error {
	return r.Build(ctx, r.Bin+"/", "./cmd/satcheld", "./cmd/satchel", "./cmd/satchel-helper")
}

// Build compiles packages of the checkout, or of modules that it depends on,
// to out, as `make build` does; with the race detector if this process has it.
func (r *Rig) Build(ctx context.Context, out string, packages ...string) error {
	args, cgo := []string{"build", "-trimpath", "-buildvcs=false", "-o", out}, "CGO_ENABLED=0"
	if Race && os.Getenv("GOARCH") == "" { // not every machine that tests build for has the detector
		args, cgo = append(args, "-race", "-tags", "lockorder"), "CGO_ENABLED=1"
	}
	cmd := exec.CommandContext(ctx, "go", append(args, packages...)...)
	cmd.Dir = r.root
	cmd.Env = append(os.Environ(), cgo)
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", strings.Join(packages, " "), err, b)
	}
	return nil
}

// raceVariable is read by every program that was built with the race detector (https://go.dev/doc/articles/race_detector).
const raceVariable = "GORACE"

func (r *Rig) races() string { return filepath.Join(r.Dir, "races") }

// gatherRaces lets the programs that are run from now on write the races that they find where Close looks.
func (r *Rig) gatherRaces() error {
	if err := os.Mkdir(r.races(), 0o700); err != nil {
		return err
	}
	if err := os.Chmod(r.races(), 0o777); err != nil { // whoever they run as
		return err
	}
	return os.Setenv(raceVariable, "log_path="+filepath.Join(r.races(), "of"))
}

// foundRaces is an error with what the programs wrote.
func (r *Rig) foundRaces() error {
	reports, err := filepath.Glob(filepath.Join(r.races(), "*"))
	for _, path := range reports {
		b, rerr := os.ReadFile(path)
		err = errors.Join(err, rerr, fmt.Errorf("a program has a data race:\n%s", b))
	}
	return err
}

// Close removes the rig and tells what should not have been there any more: mounts, processes and sockets below
// its directory; and what data races its programs had.
func (r *Rig) Close() error {
	stopped := r.s3.stop()
	left := Leftovers(r.Dir)
	for range 20 { // a process that was just killed may need a moment
		if len(left) == 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
		left = Leftovers(r.Dir)
	}
	err := errors.Join(stopped, r.foundRaces(), r.janitor.finish())
	if len(left) > 0 {
		err = errors.Join(err, fmt.Errorf("left behind:\n  %s", strings.Join(left, "\n  ")))
	}
	return err
}

// CommandError is a program that ended with another code than 0.
type CommandError struct {
	Args   []string
	Code   int
	Stdout string
	Stderr string
}

func (e *CommandError) Error() string {
	return fmt.Sprintf("%s: exit code %d\n%s%s", strings.Join(e.Args, " "), e.Code, e.Stdout, e.Stderr)
}

// Process says as whom and where a program runs.
type Process struct {
	Env  []string            // nil: this process's own
	Cred *syscall.Credential // nil: this process's own
	Dir  string
}

// Run runs a program to its end and returns its standard output. A code other
// than 0 is a *CommandError.
func (p Process) Run(ctx context.Context, stdin string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env, cmd.Dir = p.Env, p.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.Cred}
	// A daemon that the program leaves behind may hold the pipes open.
	cmd.WaitDelay = 2 * time.Second
	err := cmd.Run()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 0 {
		return stdout.String(), nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if cmd.ProcessState == nil || ctx.Err() != nil {
		return stdout.String(), fmt.Errorf("%s: %w\n%s%s", strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), &CommandError{Args: args, Code: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
}
