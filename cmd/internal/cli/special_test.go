package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestSpecial(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(at("file"), nil, 0o600))
	must(syscall.Mkfifo(at("pipe"), 0o600))
	must(os.Symlink("pipe", at("to-pipe")))
	must(os.Symlink("file", at("to-file")))
	for path, want := range map[string]bool{
		at("file"): false, at("to-file"): false, at("none"): false, dir: false,
		at("pipe"): true, at("to-pipe"): true, os.DevNull: true,
	} {
		if IsSpecial(path) != want {
			t.Errorf("%s: special is %v", path, !want)
		}
	}

	// What a process has open is no place for another file, not even where it is one.
	log, err := os.OpenFile(at("log"), os.O_CREATE|os.O_WRONLY, 0o600)
	must(err)
	defer log.Close()
	_, err = log.WriteString("before, ")
	must(err)
	own := fmt.Sprintf("/proc/self/fd/%d", log.Fd())
	must(os.Symlink(own, at("to-own")))
	for _, path := range []string{own, at("to-own"), fmt.Sprintf("/dev/fd/%d", log.Fd()), fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), log.Fd())} {
		if !IsSpecial(path) {
			t.Errorf("%s is not special", path)
		}
		must(WriteSpecial(t.Context(), path, func(w io.Writer) error {
			_, err := io.WriteString(w, "more, ")
			return err
		}))
	}
	_, err = log.WriteString("after")
	must(err)
	if b, err := os.ReadFile(at("log")); string(b) != "before, more, more, more, more, after" {
		t.Errorf("the log has %q, %v", b, err)
	}

	hello := func(w io.Writer) error {
		_, err := io.WriteString(w, "hello")
		return err
	}
	must(WriteSpecial(t.Context(), os.DevNull, hello))
	read := make(chan string, 1)
	go func() {
		b, _ := os.ReadFile(at("pipe"))
		read <- string(b)
	}()
	must(WriteSpecial(t.Context(), at("to-pipe"), hello))
	if got := <-read; got != "hello" {
		t.Errorf("the pipe brought %q", got)
	}

	// Nobody reads, and the command is given up.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := WriteSpecial(ctx, at("pipe"), hello); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	late, err := os.OpenFile(at("pipe"), os.O_RDONLY|syscall.O_NONBLOCK, 0) // lets go of what waits
	must(err)
	must(late.Close())
}
