package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Device is one login with its own home and XDG directories, so that several
// stand on one machine as if they were several machines.
type Device struct {
	Name  string
	Home  string
	Mount string   // where its drive is mounted
	Args  []string // added to `satchel mount`

	rig  *Rig
	proc Process
}

// Status is what the tests read of `satchel status --json`.
type Status struct {
	PID              int    `json:"pid"`
	Mountpoint       string `json:"mountpoint"`
	Server           string `json:"server"`
	Device           string `json:"device"`
	Connected        bool   `json:"connected"`
	Passthrough      bool   `json:"passthrough"`
	Unsettled        int    `json:"unsettled"`
	PendingMutations int    `json:"pending_mutations"`
	PendingBytes     int64  `json:"pending_bytes"`
	CacheBytes       int64  `json:"cache_bytes"`
	CacheLimitBytes  int64  `json:"cache_limit_bytes"`
	Seq              int64  `json:"seq"`
}

// NewDevice makes a device's directories. With cred it belongs to that user.
func (r *Rig) NewDevice(name string, cred *syscall.Credential) (*Device, error) {
	home := filepath.Join(r.Dir, name)
	d := &Device{Name: name, Home: home, Mount: filepath.Join(home, "drive"), rig: r}
	d.proc = Process{Dir: "/", Cred: cred, Env: []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + home,
		"XDG_CONFIG_HOME=" + filepath.Join(home, "config"),
		"XDG_DATA_HOME=" + filepath.Join(home, "data"),
		"XDG_STATE_HOME=" + filepath.Join(home, "state"),
		"XDG_CACHE_HOME=" + filepath.Join(home, "cache"),
		"XDG_RUNTIME_DIR=" + filepath.Join(home, "run"),
	}}
	if Race {
		d.Setenv(raceVariable, os.Getenv(raceVariable))
	}
	for _, dir := range []string{home, d.Mount, filepath.Join(home, "run")} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
		if cred != nil {
			if err := os.Chown(dir, int(cred.Uid), int(cred.Gid)); err != nil {
				return nil, err
			}
		}
	}
	return d, nil
}

// Setenv sets a variable for what the device runs from now on.
func (d *Device) Setenv(key, value string) { d.proc.Env = append(d.proc.Env, key+"="+value) }

// Environ is the environment of what the device runs.
func (d *Device) Environ() []string { return slices.Clone(d.proc.Env) }

// Satchel runs a command of the client as this device.
func (d *Device) Satchel(ctx context.Context, stdin string, args ...string) (string, error) {
	return d.proc.Run(ctx, stdin, append([]string{filepath.Join(d.rig.Bin, "satchel")}, args...)...)
}

// Exec runs any program in the device's mount, as the device's user.
func (d *Device) Exec(ctx context.Context, args ...string) (string, error) {
	p := d.proc
	p.Dir = d.Mount
	return p.Run(ctx, "", args...)
}

// Login logs the device in.
func (d *Device) Login(ctx context.Context, url, email, password string) error {
	_, err := d.Satchel(ctx, password+"\n", "login", url, "--email", email, "--password-stdin", "--device", d.Name)
	return err
}

// MountDrive mounts the drive; the daemon goes on in the background.
func (d *Device) MountDrive(ctx context.Context) error {
	_, err := d.Satchel(ctx, "", append([]string{"mount", d.Mount}, d.Args...)...)
	return err
}

// Mounted tells whether something is mounted at the device's folder.
func (d *Device) Mounted() bool { return len(mountsBelow(d.Mount)) > 0 }

// Unmount unmounts, and waits until the daemon has ended.
func (d *Device) Unmount(ctx context.Context, args ...string) error {
	status, statusErr := d.Status(ctx)
	if _, err := d.Satchel(ctx, "", append([]string{"umount", d.Mount}, args...)...); err != nil {
		return err
	}
	for statusErr == nil && processAlive(status.PID) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("daemon %d goes on after umount: %w", status.PID, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
	if d.Mounted() {
		return errors.New(d.Mount + " is still mounted after umount")
	}
	return nil
}

// KillDaemon kills the daemon as a crash would, and leaves the dead mount.
func (d *Device) KillDaemon(ctx context.Context) error {
	status, err := d.Status(ctx)
	if err != nil {
		return err
	}
	if err := syscall.Kill(status.PID, syscall.SIGKILL); err != nil {
		return err
	}
	for processAlive(status.PID) {
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

func processAlive(pid int) bool {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && exe != ""
}

// Status is `satchel status --json`.
func (d *Device) Status(ctx context.Context) (Status, error) {
	var s Status
	out, err := d.Satchel(ctx, "", "status", "--json")
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return s, fmt.Errorf("status --json: %w in %q", err, out)
	}
	return s, nil
}

// Sync returns when the server has everything that the device has.
func (d *Device) Sync(ctx context.Context) error {
	_, err := d.Satchel(ctx, "", "sync", "--wait")
	return err
}

// Logs is the end of every log below the device's home, outside its mount.
func (d *Device) Logs() string {
	var b strings.Builder
	filepath.WalkDir(d.Home, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil || path == d.Mount:
			return fs.SkipDir
		case e.Type().IsRegular() && strings.Contains(path, "satchel") && filepath.Ext(path) == ".log" && !strings.Contains(path, "replica"):
			if info, err := e.Info(); err == nil && info.Size() < 64<<20 {
				fmt.Fprintf(&b, "--- %s\n%s\n", path, Tail(path, 40))
			}
		}
		return nil
	})
	return b.String()
}
