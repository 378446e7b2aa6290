package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"satchel/api"
)

// readyFD is the descriptor on which the daemon tells its parent that the
// drive is mounted, or why not: one line of JSON.
const readyFD = 3

type readiness struct {
	Kind    api.Kind `json:"kind,omitempty"` // it failed
	Message string   `json:"message,omitempty"`
	Usage   bool     `json:"usage,omitempty"` // by wrong usage
}

// maxLog is from what size in bytes on a log is set aside when a daemon starts.
const maxLog = 4 << 20

// background starts this program again as a daemon in a session of its own,
// and returns when the drive is mounted or could not be.
func (cmd *mountCmd) background(sh *shell) error {
	path := sh.places.log(sh.profile)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		os.Rename(path, path+".1")
	}
	log, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer log.Close()
	from, to, err := os.Pipe()
	if err != nil {
		return err
	}
	defer from.Close()

	self, err := thisProgram()
	if err != nil {
		return err
	}
	daemon := exec.Command(self, sh.mounting("--daemon", cmd.Dir)...)
	daemon.Args[0] = os.Args[0]
	daemon.Stdout, daemon.Stderr = log, log
	daemon.ExtraFiles = []*os.File{to}
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	closeAtExec()
	err = daemon.Start()
	to.Close()
	if err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	stop := context.AfterFunc(sh.ctx, func() { daemon.Process.Signal(syscall.SIGTERM) })
	defer stop()

	var r readiness
	if err := json.NewDecoder(from).Decode(&r); err != nil {
		daemon.Wait()
		if sh.ctx.Err() != nil {
			return sh.ctx.Err()
		}
		return fmt.Errorf("the daemon ended before the drive was mounted; see %s", path)
	}
	if r.Message != "" {
		daemon.Wait()
		if r.Usage {
			return usageError{r.Message}
		}
		return &api.Error{Kind: r.Kind, Message: r.Message}
	}
	return nil
}

// closeAtExec keeps from the daemon what this process was started with besides its standard descriptors, such as the lock
// of a script: the daemon would hold it for as long as the drive is mounted.
func closeAtExec() {
	open, _ := os.ReadDir("/dev/fd") // without it, all is as the caller left it
	for _, e := range open {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > syscall.Stderr {
			syscall.CloseOnExec(fd)
		}
	}
}

// parent is the process that waits for a daemon to be ready.
type parent struct{ pipe *os.File }

func newParent() *parent {
	syscall.CloseOnExec(readyFD) // it waits for us, not for what we start
	return &parent{os.NewFile(readyFD, "ready")}
}

// tell tells how it went; only the first time, and nobody if there is no parent.
func (p *parent) tell(r readiness) {
	if p == nil || p.pipe == nil {
		return
	}
	json.NewEncoder(p.pipe).Encode(r) // a parent that has ended needs no answer
	p.pipe.Close()
	p.pipe = nil
}
