package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"satchel/api"
)

// sockets are what systemd, or whoever speaks its protocol (sd_listen_fds(3)), opened
// before the program began and keeps when it ends: who connects while the server is
// replaced waits, and is refused by nobody. Each has the name of the flag whose
// address it takes the place of: listen, s3-listen, metrics-listen or acme-listen.
// One without a name is listen.
type sockets map[string]net.Listener

// firstSocket is the descriptor of the first one.
const firstSocket = 3

// inherit takes the sockets over, once: children shall not think that they are theirs.
func inherit() (sockets, error) {
	defer func() {
		for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
			os.Unsetenv(name)
		}
	}()
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n < 0 || n > 64 {
		return nil, api.Errorf(api.Invalid, "LISTEN_FDS is %q, not a number of sockets", os.Getenv("LISTEN_FDS"))
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	all := sockets{}
	for i := range n {
		name := "listen"
		if i < len(names) && names[i] != "" && names[i] != "unknown" && !strings.Contains(names[i], ".socket") {
			name = names[i]
		}
		syscall.CloseOnExec(firstSocket + i)
		f := os.NewFile(uintptr(firstSocket+i), name)
		l, err := net.FileListener(f)
		f.Close() // FileListener has its own
		switch {
		case err != nil:
			return nil, api.Errorf(api.Invalid, "the socket %s that the program was given: %w", name, err)
		case all[name] != nil:
			return nil, api.Errorf(api.Invalid, "the program was given two sockets %s", name)
		}
		all[name] = l
	}
	return all, nil
}

// take is the socket for a flag: the one that was given, or one at the address.
func (s sockets) take(ctx context.Context, flag, address string) (net.Listener, error) {
	if l := s[flag]; l != nil {
		delete(s, flag)
		return l, nil
	}
	return listen(ctx, "--"+flag, address)
}

// rest closes those that nothing wanted, and tells of them.
func (s sockets) rest() error {
	var errs []error
	for name, l := range s {
		l.Close()
		errs = append(errs, fmt.Errorf("the program was given a socket %q that it has no use for", name))
	}
	return errors.Join(errs...)
}

// listen opens the port; the error says what to do.
func listen(ctx context.Context, flag, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, api.Errorf(api.Unavailable, "%s is in use by another program: stop it, or choose another address with %s", address, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, api.Errorf(api.Invalid, "%s %s: this machine has no such address", flag, address)
	case errors.Is(err, os.ErrPermission):
		return nil, api.Errorf(api.Permission, "%s %s: only root may use this port: choose one from 1024 on", flag, address)
	case err != nil:
		return nil, usageError{fmt.Sprintf("%s %s: %v", flag, address, err)}
	}
	return l, nil
}

// tellSystemd says how it goes to a service manager that wants to know (sd_notify(3)).
func tellSystemd(state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return // nobody listens: there is nobody to tell
	}
	defer conn.Close()
	conn.Write([]byte(state))
}
