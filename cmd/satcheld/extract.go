package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"satchel/api"
	"satchel/storage/extract"
	"satchel/storage/thumbnail"
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
	content, err := readApart(p)
	if err != nil {
		return err
	}
	text, err := extract.Text(p.ctx, cmd.Name, content)
	if text != "" {
		_, err = io.WriteString(p.stdout, text)
	}
	return err
}

// readApart bounds this process, and reads what it is about.
func readApart(p *program) ([]byte, error) {
	seconds := uint64(extractTime / time.Second)
	for resource, limit := range map[int]uint64{syscall.RLIMIT_AS: extractMemory, syscall.RLIMIT_CPU: seconds} {
		if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			return nil, fmt.Errorf("set a limit: %w", err)
		}
	}
	content, err := io.ReadAll(p.stdin)
	if err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	return content, nil
}

// runApart runs this program with arguments and content in a process that is
// bounded, and returns what it writes. One that can't be started is [api.Unavailable].
func runApart(ctx context.Context, content []byte, args ...string) ([]byte, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, extractTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = []string{"GOMEMLIMIT=512MiB"} // nothing of the server's own secrets
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdin = bytes.NewReader(content)
	out, err := cmd.Output()
	if _, ran := errors.AsType[*exec.ExitError](err); err != nil && !ran {
		return nil, api.Errorf(api.Unavailable, "start a process for a document: %w", err) // which says nothing of the document
	}
	return out, err
}

// extractApart runs this program as extractCmd.
func extractApart(ctx context.Context, name string, content []byte) (string, error) {
	text, err := runApart(ctx, content, "extract", "--", name)
	return string(text), err
}

// thumbnailCmd makes a small picture of an image, for the server.
type thumbnailCmd struct{}

// Run reads the image from standard input and writes the picture.
func (cmd *thumbnailCmd) Run(p *program) error {
	image, err := readApart(p)
	if err != nil {
		return err
	}
	picture, err := thumbnail.Make(image)
	if err != nil {
		return err
	}
	_, err = p.stdout.Write(picture)
	return err
}

// thumbnailApart runs this program as thumbnailCmd.
func thumbnailApart(ctx context.Context, image []byte) ([]byte, error) {
	return runApart(ctx, image, "thumbnail")
}
