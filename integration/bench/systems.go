package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"satchel/fusefs/everyday"
	"satchel/integration/rig"
)

var systemNames = []string{"plain", "loopback", "satchel", "rclone"}

// userSystems are those for the table of an ordinary user.
var userSystems = []string{"plain", "loopback", "loopback-user", "satchel-helper", "satchel-user"}

// against is what a system is held to, in a column of its own.
var against = map[string]string{"satchel": "loopback", "satchel-helper": "loopback", "satchel-user": "loopback-user"}

// lab starts the systems and ends them.
type lab struct {
	rig     *rig.Rig
	log     io.Writer
	systems []*everyday.System
	closers []func() error
}

func (l *lab) start(ctx context.Context, names []string) error {
	for _, name := range names {
		dir := filepath.Join(l.rig.Dir, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		var s *everyday.System
		var err error
		switch name {
		case "plain":
			s = &everyday.System{Dir: dir, About: "a folder on the same disk"}
		case "loopback":
			s, err = l.loopback(ctx, dir)
		case "satchel":
			s, err = l.satchel(ctx)
		case "loopback-user":
			s, err = l.loopbackOf(ctx, dir)
		case "satchel-helper", "satchel-user":
			s, err = l.satchelOf(ctx, name, name == "satchel-helper")
		case "rclone":
			if _, missing := exec.LookPath("rclone"); missing != nil {
				fmt.Fprintln(l.log, "rclone is not installed: left out")
				continue
			}
			s, err = l.rclone(ctx, dir)
		default:
			err = fmt.Errorf("unknown; there are %q", append(systemNames, userSystems[2:]...))
		}
		if err != nil {
			return fmt.Errorf("system %q: %w", name, err)
		}
		s.Name, s.Against = name, against[name]
		l.systems = append(l.systems, s)
	}
	return nil
}

// close ends what was started last first.
func (l *lab) close() error {
	var errs []error
	for i := len(l.closers) - 1; i >= 0; i-- {
		errs = append(errs, l.closers[i]())
	}
	l.closers = nil
	return errors.Join(errs...)
}

func (l *lab) closing(fn func() error) { l.closers = append(l.closers, fn) }

// serve runs a program, as somebody (nil: who we are), that goes on until the lab closes.
func (l *lab) serve(ctx context.Context, cred *syscall.Credential, ready func() bool, args ...string) error {
	var out bytes.Buffer
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	child, err := rig.StartChild(cmd)
	if err != nil {
		return err
	}
	l.closing(func() error { return child.End(syscall.SIGTERM) })
	if err := child.WaitReady(ctx, 30*time.Second, ready); err != nil {
		child.End(syscall.SIGTERM)
		return fmt.Errorf("%s: %w: %s", filepath.Base(args[0]), err, out.String())
	}
	return nil
}

func (l *lab) loopbackParts(ctx context.Context, dir string) (program, back, mount string, err error) {
	program = filepath.Join(l.rig.Dir, "bin", "loopback")
	back, mount = filepath.Join(dir, "back"), filepath.Join(dir, "mount")
	if err := l.rig.Build(ctx, program, "github.com/hanwen/go-fuse/v2/example/loopback"); err != nil {
		return "", "", "", err
	}
	return program, back, mount, errors.Join(os.Mkdir(back, 0o755), os.Mkdir(mount, 0o755))
}

func (l *lab) loopback(ctx context.Context, dir string) (*everyday.System, error) {
	program, back, mount, err := l.loopbackParts(ctx, dir)
	if err != nil {
		return nil, err
	}
	passthrough, err := loopbackPassthrough(ctx, program, back, mount)
	if err != nil {
		return nil, err
	}
	about := "go-fuse's example/loopback, with passthrough"
	if !passthrough {
		about = "go-fuse's example/loopback, WITHOUT passthrough (the kernel or the user lacks it)"
	}
	if err := l.serve(ctx, nil, func() bool { return mounted(mount) }, program, "-q", mount, back); err != nil {
		return nil, err
	}
	return &everyday.System{Dir: mount, About: about}, nil
}

// loopbackPassthrough runs loopback with its debug output once, to see whether
// it answers an open with a backing file.
func loopbackPassthrough(ctx context.Context, program, back, mount string) (bool, error) {
	var out bytes.Buffer
	cmd := exec.Command(program, "-q", "-debug", mount, back)
	cmd.Stdout, cmd.Stderr = &out, &out
	child, err := rig.StartChild(cmd)
	if err != nil {
		return false, err
	}
	err = child.WaitReady(ctx, 30*time.Second, func() bool { return mounted(mount) })
	if err == nil {
		err = os.WriteFile(filepath.Join(mount, "probe"), []byte("x"), 0o644)
		_, readErr := os.ReadFile(filepath.Join(mount, "probe"))
		err = errors.Join(err, readErr, os.Remove(filepath.Join(mount, "probe")))
	}
	// The output may be read when the process has ended.
	err = errors.Join(err, child.End(syscall.SIGTERM))
	for line := range bytes.Lines(out.Bytes()) {
		if bytes.Contains(line, []byte("{Fh")) && bytes.Contains(line, []byte("PASSTHROUGH")) {
			return true, err
		}
	}
	return false, err
}

// mounted looks into the list of mounts: only its owner may enter an ordinary user's.
func mounted(dir string) bool {
	mounts, err := os.ReadFile("/proc/self/mounts")
	return err == nil && bytes.Contains(mounts, []byte(" "+dir+" "))
}

func (l *lab) satchel(ctx context.Context) (*everyday.System, error) {
	if err := l.rig.Programs(ctx); err != nil {
		return nil, err
	}
	s, passthrough, err := l.drive(ctx, "satchel", nil, nil)
	if err != nil {
		return nil, err
	}
	s.About = "a Satchel mount, with passthrough, its server on the same machine and disk"
	if !passthrough {
		s.About = "a Satchel mount, WITHOUT passthrough (the kernel or the user lacks it), its server on the same machine and disk"
	}
	return s, nil
}

// rclone is a mount of a WebDAV server on this machine with a full cache: what
// rclone has that is nearest to a drive.
func (l *lab) rclone(ctx context.Context, dir string) (*everyday.System, error) {
	back, mount := filepath.Join(dir, "back"), filepath.Join(dir, "mount")
	if err := errors.Join(os.Mkdir(back, 0o755), os.Mkdir(mount, 0o755)); err != nil {
		return nil, err
	}
	webdav, err1 := rig.FreeAddr()
	control, err2 := rig.FreeAddr()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "rclone.conf")
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		return nil, err
	}
	answers := func() bool {
		res, err := http.Get("http://" + webdav)
		if err == nil {
			res.Body.Close()
		}
		return err == nil
	}
	if err := l.serve(ctx, nil, answers, "rclone", "serve", "webdav", back, "--addr", webdav, "--config", config); err != nil {
		return nil, err
	}
	err := l.serve(ctx, nil, func() bool { return mounted(mount) }, "rclone", "mount", ":webdav:", mount,
		"--webdav-url", "http://"+webdav, "--vfs-cache-mode", "full", "--vfs-write-back", "1s",
		"--cache-dir", filepath.Join(dir, "cache"), "--config", config, "--rc", "--rc-addr", control, "--rc-no-auth")
	if err != nil {
		return nil, err
	}
	return &everyday.System{
		Dir:    mount,
		About:  "rclone mount of a WebDAV server (rclone serve webdav) on the same machine and disk, --vfs-cache-mode full, --vfs-write-back 1s",
		Settle: func(ctx context.Context) error { return rcloneIdle(ctx, control) },
	}, nil
}

// rcloneIdle waits until rclone has no upload waiting. Uploads that it retries
// for ever must not hold up the others: it has a minute.
func rcloneIdle(ctx context.Context, control string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+control+"/vfs/stats", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			break
		}
		var stats struct {
			DiskCache struct{ UploadsInProgress, UploadsQueued int }
		}
		err = json.NewDecoder(res.Body).Decode(&stats)
		res.Body.Close()
		if err != nil {
			return fmt.Errorf("rclone's vfs/stats: %w", err)
		}
		if stats.DiskCache.UploadsInProgress+stats.DiskCache.UploadsQueued == 0 {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}
