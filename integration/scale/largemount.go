package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"satchel/integration/rig"
)

// largeMount measures a device that keeps the nodes of the large drive, as many as are to be read. The server's drive must
// have been made before, with the wide directory's files in "wide".
func (l *lab) largeMount(ctx context.Context, r *rig.Rig, wide, read int) (err error) {
	device, err := r.NewDevice("laptop", nil)
	if err != nil {
		return err
	}
	if err := device.Login(ctx, l.server.URL, "boris@example.org", password); err != nil {
		return err
	}
	if err := device.MountDrive(ctx); err != nil {
		return err
	}
	defer func() {
		if device.Mounted() {
			err = errors.Join(err, device.Unmount(ctx, "--now"))
		}
	}()
	dir := filepath.Join(device.Mount, "wide")
	cold, err := l.ls(ctx, dir, wide, "-1")
	if err != nil {
		return err
	}
	l.note(fmt.Sprintf("`ls` of the directory of %d entries on a mount that never saw it", wide), "%.2f s", cold.Seconds())

	begin := time.Now()
	walk := func() (nodes int, err error) {
		err = filepath.WalkDir(device.Mount, func(_ string, _ fs.DirEntry, err error) error {
			if nodes++; err == nil && nodes >= read {
				return filepath.SkipAll
			}
			return errors.Join(err, ctx.Err())
		})
		return nodes, err
	}
	nodes, err := walk()
	if err != nil {
		return err
	}
	l.note(fmt.Sprintf("reading directories of that mount for the first time, %d nodes", nodes), "%.0f s", time.Since(begin).Seconds())
	rss, err := residentSize(ctx, device)
	if err != nil {
		return err
	}
	l.note("resident memory of its daemon then, with `--memory` 256 MiB", "%d MiB", rss>>20)

	if err := device.Unmount(ctx); err != nil {
		return err
	}
	begin = time.Now()
	if err := device.MountDrive(ctx); err != nil {
		return err
	}
	l.note(fmt.Sprintf("`satchel mount` of that cache of %d nodes, until it returns", nodes), "%s", ms(time.Since(begin)))
	if _, err := l.ls(ctx, dir, wide, "-1"); err != nil {
		return err
	}
	here, err := median(5, func() error { _, err := l.ls(ctx, dir, wide, "-l"); return err })
	if err != nil {
		return err
	}
	there, err := l.loopbackList(ctx, r, wide)
	if err != nil {
		return err
	}
	l.note("`ls -l` of the wide directory again; of one as wide through go-fuse's loopback", "%s; %s", ms(here), ms(there))
	begin = time.Now()
	if _, err := walk(); err != nil {
		return err
	}
	l.note(fmt.Sprintf("reading %d nodes' names from the cache", nodes), "%.1f s", time.Since(begin).Seconds())
	if rss, err = residentSize(ctx, device); err != nil {
		return err
	}
	l.note("resident memory of the daemon then", "%d MiB", rss>>20)
	return device.Unmount(ctx)
}

// ls times ls with an option on a directory, which must have so many entries.
func (l *lab) ls(ctx context.Context, dir string, entries int, option string) (time.Duration, error) {
	begin := time.Now()
	out, err := exec.CommandContext(ctx, "ls", option, dir).Output()
	took := time.Since(begin)
	lines := strings.Count(string(out), "\n")
	if option == "-l" {
		lines-- // total
	}
	if err == nil && lines != entries {
		err = fmt.Errorf("ls %s %s has %d lines, not %d", option, dir, lines, entries)
	}
	return took, err
}

// residentSize is what the device's daemon has in memory, in bytes.
func residentSize(ctx context.Context, device *rig.Device) (int64, error) {
	s, err := device.Status(ctx)
	if err != nil {
		return 0, err
	}
	return rig.Resident(s.PID)
}

// loopbackList times `ls -l` of a directory of so many files through go-fuse's loopback, warm.
func (l *lab) loopbackList(ctx context.Context, r *rig.Rig, files int) (took time.Duration, err error) {
	program := filepath.Join(r.Bin, "loopback")
	if err := r.Build(ctx, program, "github.com/hanwen/go-fuse/v2/example/loopback"); err != nil {
		return 0, err
	}
	back, mount := filepath.Join(r.Dir, "loopback-back"), filepath.Join(r.Dir, "loopback")
	if err := errors.Join(os.Mkdir(back, 0o755), os.Mkdir(mount, 0o755)); err != nil {
		return 0, err
	}
	for i := range files {
		if err := os.WriteFile(filepath.Join(back, fmt.Sprint("file ", i)), nil, 0o644); err != nil {
			return 0, err
		}
	}
	child, err := rig.StartChild(exec.Command(program, "-q", mount, back))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, child.End(syscall.SIGTERM)) }()
	if err := child.WaitReady(ctx, 30*time.Second, func() bool { return mounted(mount) }); err != nil {
		return 0, err
	}
	if _, err := l.ls(ctx, mount, files, "-l"); err != nil {
		return 0, err
	}
	return median(5, func() error { _, err := l.ls(ctx, mount, files, "-l"); return err })
}

func mounted(dir string) bool {
	var inside, outside syscall.Stat_t
	return syscall.Stat(dir, &inside) == nil && syscall.Stat(filepath.Dir(dir), &outside) == nil && inside.Dev != outside.Dev
}
