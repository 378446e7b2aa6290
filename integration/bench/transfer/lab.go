package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"satchel/integration/rig"
)

const email, password = "bench@example.org", "a bench's password"

// lab is a server, near by and at a distance, and what is to be transferred.
type lab struct {
	rig    *rig.Rig
	server *rig.Server
	delay  *rig.Delay
	size   int64
	big    string // the large file
	tar    string // Go's net, encoding and crypto
	count  int
	users  int
}

func newLab(ctx context.Context, base string, size int64, trip time.Duration) (_ *lab, err error) {
	l := &lab{size: size}
	if l.rig, err = rig.New(base); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if err = l.rig.Programs(ctx); err != nil {
		return nil, err
	}
	if l.server, err = l.rig.NewServer("satcheld"); err != nil {
		return nil, err
	}
	if err = l.server.Start(ctx); err != nil {
		return nil, err
	}
	if l.delay, err = rig.NewDelay(l.server, trip); err != nil {
		return nil, err
	}
	l.big, l.tar = filepath.Join(l.rig.Dir, "big"), filepath.Join(l.rig.Dir, "tree.tar")
	if err = l.renew(); err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, err
	}
	_, err = l.exec(ctx, "tar", "-C", filepath.Join(strings.TrimSpace(string(out)), "src"), "-cf", l.tar, "net", "encoding", "crypto")
	return l, err
}

// renew fills the large file with bytes that the server has not seen.
func (l *lab) renew() error {
	f, err := os.Create(l.big)
	if err != nil {
		return err
	}
	defer f.Close()
	var seed [32]byte
	copy(seed[:], time.Now().String())
	_, err = io.CopyN(f, rand.NewChaCha8(seed), l.size)
	return err
}

func (l *lab) close() error {
	var errs []error
	if l.delay != nil {
		errs = append(errs, l.delay.Close())
	}
	if l.server != nil {
		errs = append(errs, l.server.Stop())
	}
	return errors.Join(append(errs, l.rig.Close())...)
}

func (l *lab) exec(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %.400s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// account makes a user, whose drive is empty.
func (l *lab) account(ctx context.Context) (string, error) {
	l.users++
	user := fmt.Sprintf("u%d-%s", l.users, email)
	return user, l.server.AddUser(ctx, user, password, "editor")
}

// device mounts the drive of a user on a new device, near by or far away. close unmounts it.
func (l *lab) device(ctx context.Context, user string, far bool) (*rig.Device, func() error, error) {
	l.count++
	d, err := l.rig.NewDevice(fmt.Sprintf("device-%d", l.count), nil)
	if err != nil {
		return nil, nil, err
	}
	url := l.server.URL
	if far {
		url = l.delay.URL
	}
	if err := d.Login(ctx, url, user, password); err != nil {
		return nil, nil, err
	}
	if err := d.MountDrive(ctx); err != nil {
		return nil, nil, err
	}
	return d, func() error {
		err := d.Unmount(ctx, "--now")
		return errors.Join(err, os.RemoveAll(d.Home))
	}, nil
}
