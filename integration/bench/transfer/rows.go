package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"satchel/integration/rig"
)

// upload copies the large file onto a mount and waits until the server has it.
func upload(ctx context.Context, l *lab, out *report) (err error) {
	if err := l.renew(); err != nil {
		return err
	}
	user, err := l.account(ctx)
	if err != nil {
		return err
	}
	d, closeDevice, err := l.device(ctx, user, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeDevice()) }()
	unix.Sync()
	err = out.timed("openssl sha256 of the large file", func() error {
		_, err := l.exec(ctx, "openssl", "sha256", l.big)
		return err
	})
	if err != nil {
		return err
	}
	return out.timed("cp of the large file, sync --wait", func() error {
		if _, err := l.exec(ctx, "cp", l.big, d.Mount+"/big"); err != nil {
			return err
		}
		return d.Sync(ctx)
	})
}

// stocked is a user whose drive has the large file and the tree, and their words are known.
func (l *lab) stocked(ctx context.Context) (user string, err error) {
	if user, err = l.account(ctx); err != nil {
		return "", err
	}
	d, closeDevice, err := l.device(ctx, user, false)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, closeDevice()) }()
	if _, err := l.exec(ctx, "cp", l.big, d.Mount+"/big"); err != nil {
		return "", err
	}
	if _, err := l.exec(ctx, "tar", "-C", d.Mount, "-xf", l.tar); err != nil {
		return "", err
	}
	if err := d.Sync(ctx); err != nil {
		return "", err
	}
	return user, l.server.Indexed(ctx)
}

// download reads the large file on a device that never had it.
func download(ctx context.Context, l *lab, out *report) (err error) {
	user, err := l.stocked(ctx)
	if err != nil {
		return err
	}
	web, closeWeb, err := l.nginx(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeWeb()) }()
	d, closeDevice, err := l.device(ctx, user, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeDevice()) }()
	unix.Sync()
	for what, to := range map[string]string{"/dev/null": "/dev/null", "a file": filepath.Join(l.rig.Dir, "curled")} {
		err = out.timed("curl of it from nginx to "+what, func() error {
			_, err := l.exec(ctx, "curl", "-sS", "-o", to, web+"/big")
			return err
		})
		if err != nil {
			return err
		}
	}
	os.Remove(filepath.Join(l.rig.Dir, "curled"))
	unix.Sync()
	err = out.timed("cat of it, cold, to /dev/null", func() error { return quietly(ctx, "cat", d.Mount+"/big") })
	if err != nil {
		return err
	}
	if _, err := l.exec(ctx, "cmp", l.big, d.Mount+"/big"); err != nil {
		return err
	}
	return out.timed("cat of it, warm, to /dev/null", func() error { return quietly(ctx, "cat", d.Mount+"/big") })
}

// far looks at a drive for the first time, from far away.
func far(ctx context.Context, l *lab, out *report) (err error) {
	user, err := l.stocked(ctx)
	if err != nil {
		return err
	}
	for _, row := range []struct {
		what string
		run  func(d *rig.Device) error
	}{
		{"far: first byte of the cold large file", func(d *rig.Device) error { return quietly(ctx, "head", "-c1", d.Mount+"/big") }},
		{"far: cold find of the tree", func(d *rig.Device) error { return quietly(ctx, "find", d.Mount) }},
		{"far: cold grep -r through the tree", func(d *rig.Device) error {
			_, err := l.exec(ctx, "grep", "-rc", "errors.New", d.Mount+"/net", d.Mount+"/encoding", d.Mount+"/crypto")
			return err
		}},
		{"far: cat of the cold large file", func(d *rig.Device) error { return quietly(ctx, "cat", d.Mount+"/big") }},
	} {
		d, closeDevice, err := l.device(ctx, user, true)
		if err != nil {
			return err
		}
		err = out.timed(row.what, func() error { return row.run(d) })
		if err = errors.Join(err, closeDevice()); err != nil {
			return err
		}
	}
	return nil
}

// untar unpacks the tree on a mount near by and on one far away.
func untar(ctx context.Context, l *lab, out *report) (err error) {
	for _, far := range []bool{false, true} {
		where := "near: "
		if far {
			where = "far: "
		}
		user, err := l.account(ctx)
		if err != nil {
			return err
		}
		d, closeDevice, err := l.device(ctx, user, far)
		if err != nil {
			return err
		}
		unix.Sync()
		err = out.timed(where+"untar", func() error {
			_, err := l.exec(ctx, "tar", "-C", d.Mount, "-xf", l.tar)
			return err
		})
		if err == nil {
			err = out.timed(where+"sync --wait after untar", func() error { return d.Sync(ctx) })
		}
		if err = errors.Join(err, closeDevice()); err != nil {
			return err
		}
	}
	return nil
}

// quietly runs a program whose output goes nowhere.
func quietly(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) // stdout is /dev/null
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// nginx serves the rig's directory.
func (l *lab) nginx(ctx context.Context) (url string, stop func() error, err error) {
	addr, err := rig.FreeAddr()
	if err != nil {
		return "", nil, err
	}
	dir := filepath.Join(l.rig.Dir, "nginx")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, err
	}
	conf := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf("daemon off; worker_processes auto; pid %[1]s/pid; error_log %[1]s/error.log; user root;\n"+
		"events {}\nhttp { access_log off; sendfile on; tcp_nopush on; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;\n"+
		"fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;\n"+
		"server { listen %[2]s; root %[3]s; } }\n", dir, addr, l.rig.Dir)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return "", nil, err
	}
	return l.serve(ctx, "http://"+addr, "nginx", "-c", conf, "-e", filepath.Join(dir, "error.log"))
}

func (l *lab) serve(ctx context.Context, url string, args ...string) (string, func() error, error) {
	child, err := rig.StartChild(exec.Command(args[0], args[1:]...))
	if err != nil {
		return "", nil, err
	}
	ready := func() bool {
		_, err := l.exec(ctx, "curl", "-sS", "-o", "/dev/null", "-r", "0-0", url+"/tree.tar")
		return err == nil
	}
	if err := child.WaitReady(ctx, 10*time.Second, ready); err != nil {
		return "", nil, fmt.Errorf("%s: %w", strings.Join(args, " "), errors.Join(err, child.End(syscall.SIGKILL)))
	}
	return url, func() error { return child.End(syscall.SIGTERM) }, nil
}
