package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"satchel/api"
	"satchel/cmd/internal/cli"
)

// drivePathHelp is how the help of every command says what a path of the drive
// is: [shell.drivePath] reads them all.
const drivePathHelp = "by its path on the drive or in the mounted folder"

// drivePath is a path of the drive as people give it to any command: if it lies
// below a folder where this profile's drive is mounted, the part in there, else
// the path as given, which alone may begin with a slash. One at its end stays. An empty one is refused: what a
// script meant by it was not the whole drive.
func (sh *shell) drivePath(path string) (string, error) {
	if path == "" {
		return "", usageError{"the path is empty; the drive's top is /"}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return path, nil
	}
	m, below, ok := sh.places.mountOf(abs)
	switch {
	case !ok:
		return path, nil
	case m.Profile != sh.profile:
		return "", usageError{fmt.Sprintf("%s is where the drive of profile %q is mounted\nuse that one: satchel --profile %[2]s", cli.Printable(m.Mountpoint), m.Profile)}
	case strings.HasSuffix(path, "/") && below != "":
		below += "/"
	}
	return cmp.Or(below, "/"), nil
}

// mountOf is the drive that is mounted where an absolute path lies, and the
// part of the path in there.
func (p places) mountOf(abs string) (found mounted, below string, ok bool) {
	all := p.registered()
	if len(all) == 0 {
		return mounted{}, "", false
	}
	entry := realPath(abs)
	whole, _ := filepath.EvalSymlinks(abs) // a symlink to the mount point is the mount point
	for _, m := range all {
		rest, in := strings.CutPrefix(entry+"/", m.Mountpoint+"/")
		if !in && whole != m.Mountpoint || len(m.Mountpoint) < len(found.Mountpoint) {
			continue
		}
		if kind, err := mountedType(m.Mountpoint); err == nil && kind == fsType {
			if !in {
				rest = ""
			}
			found, below, ok = m, strings.TrimSuffix(rest, "/"), true
		}
	}
	return found, below, ok
}

// driveNames is [shell.drivePath] as the names on the way.
func (sh *shell) driveNames(path string) ([]api.Name, error) {
	path, err := sh.drivePath(path)
	if err != nil {
		return nil, err
	}
	return namesOf(path)
}

// namesOf are the names in what [shell.drivePath] returned.
func namesOf(path string) ([]api.Name, error) {
	names, err := api.ParsePath(path)
	if err != nil {
		return nil, usageError{err.Error()}
	}
	return names, nil
}

// realPath follows the symlinks in the directories of an absolute path. What it
// names may be gone, and so may directories above it.
func realPath(abs string) string {
	for dir, rest := abs, ""; dir != "/"; dir, rest = filepath.Dir(dir), filepath.Join(filepath.Base(dir), rest) {
		if _, err := os.Lstat(dir); err != nil || rest == "" { // a symlink itself is meant, not what it leads to
			continue
		}
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			return filepath.Join(real, rest)
		}
	}
	return abs
}

// elsewhere refuses to make what an absolute path names, as [shell.drivePath]
// returned it, when a directory of this machine is at its beginning: that was
// meant, but no drive is mounted there.
func elsewhere(path string) error {
	if !belowHere(path) {
		return nil
	}
	return usageError{fmt.Sprintf("%s is on this machine, and no drive is mounted there\na path of the drive is written without the first slash: %s",
		cli.Printable(path), cli.Printable(strings.Trim(path, "/")))}
}

// notHere adds to the error that a path is not on the drive what was meant by it, if that looks like a path of this machine.
func (sh *shell) notHere(given string, err error) error {
	if api.KindOf(err) != api.NotFound || strings.Contains(err.Error(), "\n") || !looksLocal(given) {
		return err
	}
	if abs, failed := filepath.Abs(given); failed == nil {
		if _, _, mounted := sh.places.mountOf(abs); mounted {
			return err // it is on the drive that it is missing
		}
	}
	var mounts []string
	for _, m := range sh.mine() {
		if kind, err := mountedType(m.Mountpoint); err == nil && kind == fsType {
			mounts = append(mounts, cli.Printable(m.Mountpoint))
		}
	}
	next := "the drive is not mounted now: mount it, or write the path as it is on the drive, from its top on; see: " + sh.command("ls /")
	if len(mounts) > 0 {
		next = "the drive is mounted at " + strings.Join(mounts, ", ") + ": write the path in there, or as it is on the drive, from its top on; see: " + sh.command("ls /")
	}
	return fmt.Errorf("%w\n%s is a path of this machine, where no drive is mounted\n%s", err, cli.Printable(given), next)
}

// looksLocal tells whether somebody seems to mean a path of this machine: one from the current directory on, one that is there, or one below a directory that is.
func looksLocal(path string) bool {
	for _, begin := range []string{"./", "../", "~"} {
		if strings.HasPrefix(path+"/", begin) {
			return true
		}
	}
	if _, err := os.Lstat(path); err == nil {
		return true
	}
	return belowHere(path)
}

// belowHere tells whether an absolute path begins with a directory of this machine.
func belowHere(path string) bool {
	if !filepath.IsAbs(path) {
		return false
	}
	top, _, _ := strings.Cut(strings.Trim(filepath.Clean(path), "/"), "/")
	info, err := os.Stat("/" + top)
	return top != "" && err == nil && info.IsDir()
}
