package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"satchel/fusefs/everyday"
	"satchel/integration/rig"
)

// nobody is the ordinary user that every system has; fusermount3 wants one with a name.
func nobody() (*syscall.Credential, error) {
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{}}, errors.Join(err1, err2)
}

// whoIs is [as] of somebody; nil is who we are.
func whoIs(cred *syscall.Credential) func(func() error) error {
	return func(fn func() error) error { return as(cred, fn) }
}

// as runs fn as somebody, with the programs that it starts; nil is who we are. Nobody else, root
// included, may enter an ordinary user's mount.
func as(cred *syscall.Credential, fn func() error) error {
	if cred == nil {
		return fn()
	}
	done := make(chan error, 1)
	go func() {
		// The calls below change one thread, which programs are forked from; it ends with this goroutine.
		runtime.LockOSThread()
		for _, call := range [][4]uintptr{
			{syscall.SYS_SETGROUPS, 0, 0, 0},
			{syscall.SYS_SETRESGID, uintptr(cred.Gid), uintptr(cred.Gid), uintptr(cred.Gid)},
			{syscall.SYS_SETRESUID, uintptr(cred.Uid), uintptr(cred.Uid), uintptr(cred.Uid)},
		} {
			if _, _, errno := syscall.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
				done <- fmt.Errorf("become user %d: %w", cred.Uid, errno)
				return
			}
		}
		done <- fn()
	}()
	return <-done
}

// ordinary prepares systems of an ordinary user: their user, and that /dev/fuse can be opened,
// which on some bare machines only root may.
func (l *lab) ordinary() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("run it as root, who can become an ordinary user")
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		return nil, err
	}
	done, err := rig.OpenFuse()
	if err != nil {
		return nil, err
	}
	l.closing(done)
	return nobody()
}

// helper starts satchel-helper and returns its socket.
func (l *lab) helper(ctx context.Context) (string, error) {
	socket := filepath.Join(l.rig.Dir, "helper.sock")
	there := func() bool {
		_, err := os.Stat(socket)
		return err == nil
	}
	return socket, l.serve(ctx, nil, there, filepath.Join(l.rig.Bin, "satchel-helper"), "--socket", socket)
}

// satchelOf is the drive of an ordinary user.
func (l *lab) satchelOf(ctx context.Context, name string, helped bool) (*everyday.System, error) {
	cred, err := l.ordinary()
	if err != nil {
		return nil, err
	}
	if err := l.rig.Programs(ctx); err != nil {
		return nil, err
	}
	socket := filepath.Join(l.rig.Dir, "no-helper")
	if helped {
		if socket, err = l.helper(ctx); err != nil {
			return nil, err
		}
	}
	s, passthrough, err := l.drive(ctx, name, cred, func(d *rig.Device) { d.Setenv("SATCHEL_HELPER_SOCKET", socket) })
	if err != nil {
		return nil, err
	}
	if passthrough != helped {
		return nil, fmt.Errorf("passthrough: %v", passthrough)
	}
	s.About = "a Satchel mount of an ordinary user, through fusermount3, without passthrough"
	if helped {
		s.About = "a Satchel mount of an ordinary user, through fusermount3, with passthrough by satchel-helper"
	}
	return s, nil
}

// loopbackOf is go-fuse's loopback of an ordinary user.
func (l *lab) loopbackOf(ctx context.Context, dir string) (*everyday.System, error) {
	cred, err := l.ordinary()
	if err != nil {
		return nil, err
	}
	program, back, mount, err := l.loopbackParts(ctx, dir)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.Chown(back, int(cred.Uid), int(cred.Gid)), os.Chown(mount, int(cred.Uid), int(cred.Gid))); err != nil {
		return nil, err
	}
	if err := l.serve(ctx, cred, func() bool { return mounted(mount) }, program, "-q", mount, back); err != nil {
		return nil, err
	}
	return &everyday.System{Dir: mount, As: whoIs(cred), About: "go-fuse's example/loopback of an ordinary user, through fusermount3, who can't have passthrough"}, nil
}

// drive starts a server and mounts a drive of its own.
func (l *lab) drive(ctx context.Context, name string, cred *syscall.Credential, prepare func(*rig.Device)) (s *everyday.System, passthrough bool, err error) {
	server, err := l.rig.NewServer(name + "-server")
	if err != nil {
		return nil, false, err
	}
	l.closing(server.Stop)
	if err := server.Start(ctx); err != nil {
		return nil, false, err
	}
	const email, password = "bench@example.org", "a bench's password"
	if err := server.AddUser(ctx, email, password, "editor"); err != nil {
		return nil, false, err
	}
	os.Remove(filepath.Join(l.rig.Dir, name)) // the device makes its own
	device, err := l.rig.NewDevice(name, cred)
	if err != nil {
		return nil, false, err
	}
	if prepare != nil {
		prepare(device)
	}
	if err := device.Login(ctx, server.URL, email, password); err != nil {
		return nil, false, err
	}
	l.closing(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if !device.Mounted() {
			return nil
		}
		return device.Unmount(ctx, "--now")
	})
	if err := device.MountDrive(ctx); err != nil {
		return nil, false, err
	}
	status, err := device.Status(ctx)
	return &everyday.System{Dir: device.Mount, As: whoIs(cred), Settle: device.Sync}, status.Passthrough, err
}
