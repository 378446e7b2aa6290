package rig

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const janitorVariable = "SATCHEL_RIG_JANITOR"

// janitor is a process of its own session that waits until the pipe to it
// closes, which the kernel does when the rig's process ends: by itself, by a
// time-out of the tests, Ctrl-C or kill -9. Then it unmounts, kills and
// removes everything below the rig's directory.
type janitor struct {
	cmd  *exec.Cmd
	pipe io.Closer
}

// Janitor must be the first call of a program that makes a rig: the program
// starts itself again as the janitor, and then this does not return.
func Janitor() {
	dir := os.Getenv(janitorVariable)
	if dir == "" {
		return
	}
	io.Copy(io.Discard, os.Stdin)
	if err := sweep(dir); err != nil {
		fmt.Fprintln(os.Stderr, "rig:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func startJanitor(dir string) (*janitor, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), janitorVariable+"="+dir)
	cmd.Dir = "/"
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &janitor{cmd: cmd, pipe: pipe}, nil
}

func (j *janitor) finish() error {
	j.pipe.Close()
	return j.cmd.Wait()
}

func sweep(dir string) error {
	for try := range 50 {
		// Newest first: a mount may stand on another.
		for _, m := range slices.Backward(mountsBelow(dir)) {
			if syscall.Unmount(m, syscall.MNT_DETACH) != nil {
				exec.Command("fusermount3", "-u", "-z", m).Run()
			}
		}
		pids := processesBelow(dir)
		for _, p := range pids {
			signal := syscall.SIGTERM
			if try >= 20 {
				signal = syscall.SIGKILL
			}
			if try == 0 || try >= 20 {
				syscall.Kill(p.pid, signal)
			}
		}
		if len(pids) == 0 && len(mountsBelow(dir)) == 0 {
			return os.RemoveAll(dir)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("could not end all of: %s", strings.Join(Leftovers(dir), ", "))
}

// Leftovers names the mounts, processes and listening sockets below dir.
func Leftovers(dir string) []string {
	var left []string
	for _, m := range mountsBelow(dir) {
		left = append(left, "mount "+m)
	}
	for _, p := range processesBelow(dir) {
		left = append(left, fmt.Sprintf("process %d: %s", p.pid, p.args))
	}
	for _, s := range socketsBelow(dir) {
		left = append(left, "socket "+s)
	}
	return left
}

func below(dir, path string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func mountsBelow(dir string) []string {
	var found []string
	eachLine("/proc/self/mounts", func(fields []string) {
		if len(fields) > 1 {
			if m := unescapeOctal(fields[1]); below(dir, m) {
				found = append(found, m)
			}
		}
	})
	return found
}

// unescapeOctal reads the \040 of /proc/mounts.
func unescapeOctal(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func socketsBelow(dir string) []string {
	var found []string
	eachLine("/proc/net/unix", func(fields []string) {
		if len(fields) > 7 && below(dir, fields[7]) {
			found = append(found, fields[7])
		}
	})
	return found
}

type process struct {
	pid  int
	args string
}

// processesBelow finds the processes whose program, working directory or
// arguments are below dir.
func processesBelow(dir string) []process {
	var found []process
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range procs {
		pid, err := strconv.Atoi(filepath.Base(proc))
		if err != nil || pid == os.Getpid() {
			continue
		}
		exe, _ := os.Readlink(proc + "/exe")
		if exe == "" { // a kernel thread, or dead and not reaped yet
			continue
		}
		cwd, _ := os.Readlink(proc + "/cwd")
		b, _ := os.ReadFile(proc + "/cmdline")
		args := strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")
		if below(dir, exe) || below(dir, cwd) || slices.ContainsFunc(args, func(a string) bool { return below(dir, a) }) {
			found = append(found, process{pid, strings.Join(args, " ")})
		}
	}
	return found
}

func eachLine(path string, fn func(fields []string)) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		fn(strings.Fields(s.Text()))
	}
}
