package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"satchel/storage/extract"
)

// extractCmd finds the text in one document, for the server: parsers of foreign
// formats get a process of their own, which may be killed and can't eat up the machine.
type extractCmd struct {
	Name string `arg:""`
}

// Limits of that process.
const (
	extractTime   = 20 * time.Second
	extractMemory = 2 << 30 // bytes of address space; the Go runtime reserves much of it
)

// Run reads the document from standard input and writes its text.
func (cmd *extractCmd) Run(p *program) error {
	seconds := uint64(extractTime / time.Second)
	for resource, limit := range map[int]uint64{syscall.RLIMIT_AS: extractMemory, syscall.RLIMIT_CPU: seconds} {
		if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			return fmt.Errorf("set a limit: %w", err)
		}
	}
	content, err := io.ReadAll(p.stdin)
	if err != nil {
		return fmt.Errorf("read the document: %w", err)
	}
	text, err := extract.Text(p.ctx, cmd.Name, content)
	if text != "" {
		_, err = io.WriteString(p.stdout, text)
	}
	return err
}

// extractApart runs this program as extractCmd.
func extractApart(ctx context.Context, name string, content []byte) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, extractTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "extract", "--", name)
	cmd.Env = []string{"GOMEMLIMIT=512MiB"} // nothing of the server's own secrets
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdin = bytes.NewReader(content)
	text, err := cmd.Output()
	return string(text), err
}
