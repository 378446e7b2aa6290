package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"satchel/api"
	"satchel/cmd/internal/cli"
)

type historyCmd struct {
	Path string `arg:"" help:"A file of the drive, or below the folder where it is mounted." complete:"remote,file"`
}

func (cmd *historyCmd) Run(sh *shell) error {
	t, err := sh.openTree()
	if err != nil {
		return err
	}
	defer t.close()
	_, versions, err := t.history(sh, cmd.Path)
	if err != nil {
		return err
	}
	return list(sh, versions, "VERSION\tTIME\tSIZE\tDEVICE\t", func(v api.FileVersion) string {
		note := ""
		if v.Current {
			note = "current"
		}
		return strings.Join([]string{v.ID.String(), v.Time.Local().Format("2006-01-02 15:04:05"), size(v.Size).String(), deviceName(v.DeviceName), note}, "\t")
	})
}

func deviceName(name string) string {
	if name == "" {
		return "-"
	}
	return cli.Printable(name)
}

// history is a file and its versions, the newest first.
func (t *tree) history(sh *shell, path string) (place, []api.FileVersion, error) {
	p, err := t.existing(sh.ctx, sh.drivePath(path))
	switch {
	case api.KindOf(err) == api.NotFound:
		return p, nil, fmt.Errorf("%w\nif it was deleted, look for it with: satchel trash", err)
	case err != nil:
		return p, nil, err
	case p.node.Type != api.File:
		return p, nil, fmt.Errorf("%s is not a file: only files have versions", p)
	}
	versions, err := t.Versions(sh.ctx, p.node.Document)
	return p, versions, err
}

// drivePath is a path as given, or, if it is below a folder where this
// profile's drive is mounted, the part of it in there.
func (sh *shell) drivePath(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	// What is asked for may be gone, and so may directories above it.
	for dir, rest := abs, ""; dir != "/"; dir, rest = filepath.Dir(dir), filepath.Join(filepath.Base(dir), rest) {
		if _, err := os.Lstat(dir); err != nil || rest == "" { // a symlink itself is meant, not what it leads to
			continue
		}
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			abs = filepath.Join(real, rest)
			break
		}
	}
	for _, m := range sh.places.registered() {
		if m.Profile != sh.profile {
			continue
		}
		if kind, err := mountedType(m.Mountpoint); err != nil || kind != fsType {
			continue
		}
		if below, ok := strings.CutPrefix(abs+"/", m.Mountpoint+"/"); ok {
			return "/" + below
		}
	}
	return path
}
