//go:build linux

// satchel-helper gives ordinary users FUSE passthrough: it registers their
// content files with the kernel, which takes that from privileged processes only. See
// package satchel/fusefs/backing for what it checks.
//
// It needs CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID and nothing else. Started by systemd it takes the listening
// socket from it; otherwise it makes the socket itself.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/alecthomas/kong"

	"satchel/fusefs/backing"
)

type command struct {
	Socket string `default:"${socket}" env:"SATCHEL_HELPER_SOCKET" placeholder:"PATH" help:"Where to listen (${socket}); not used under systemd's socket activation."`
}

func main() {
	var cmd command
	kong.Parse(&cmd, kong.Name("satchel-helper"), kong.Vars{"socket": backing.DefaultSocket},
		kong.Description("Gives ordinary users' Satchel mounts the kernel's full speed (FUSE passthrough). Run it as root."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := cmd.run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "satchel-helper: %v\n", err)
		os.Exit(1)
	}
}

func (cmd *command) run(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("only root can register backing files: run it as root, or install it as a service")
	}
	l, err := cmd.listen()
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { l.Close() })
	s := &backing.Server{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	return s.Serve(l)
}

// listen is the socket that systemd opened (sd_listen_fds(3)), or a new one.
func (cmd *command) listen() (*net.UnixListener, error) {
	if pid, _ := strconv.Atoi(os.Getenv("LISTEN_PID")); pid == os.Getpid() && os.Getenv("LISTEN_FDS") == "1" {
		l, err := net.FileListener(os.NewFile(3, "systemd"))
		if err != nil {
			return nil, fmt.Errorf("the socket from systemd: %w", err)
		}
		u, ok := l.(*net.UnixListener)
		if !ok {
			return nil, errors.New("the socket from systemd is not a unix socket")
		}
		return u, nil
	}
	if c, err := net.Dial("unixpacket", cmd.Socket); err == nil {
		c.Close()
		return nil, fmt.Errorf("another satchel-helper listens on %s", cmd.Socket)
	}
	os.Remove(cmd.Socket)
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: cmd.Socket, Net: "unixpacket"})
	if err != nil {
		return nil, err
	}
	// Everybody may ask; what is asked is checked.
	if err := os.Chmod(cmd.Socket, 0o666); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}
