package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"satchel/api"
)

type historyCmd struct {
	Path string `arg:"" help:"A file of the drive, or below the folder where it is mounted."`
	JSON bool   `name:"json" help:"Print a JSON array."`
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
	if cmd.JSON {
		return printJSON(sh, versions)
	}
	w := tabwriter.NewWriter(sh.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VERSION\tTIME\tSIZE\tDEVICE\t")
	for _, v := range versions {
		note := ""
		if v.Current {
			note = "current"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", v.ID, v.Time.Local().Format("2006-01-02 15:04:05"), size(v.Size), deviceName(v.DeviceName), note)
	}
	return w.Flush()
}

func printJSON(sh *shell, v any) error {
	out := json.NewEncoder(sh.stdout)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

func deviceName(name string) string {
	if name == "" {
		return "-"
	}
	return printable(name)
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
