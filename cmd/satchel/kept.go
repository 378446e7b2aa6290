package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"satchel/api"
	"satchel/cache"
)

// keptCache is what is kept of a drive on this machine while it is not mounted.
type keptCache struct {
	Dir     string `json:"dir"`
	Bytes   int64  `json:"bytes"`            // on the disk
	Unsent  string `json:"unsent,omitempty"` // what the server does not have of it, for people
	Removed bool   `json:"removed"`

	unknown error // why it can't be told what the server has
}

// keptCaches are the caches of a login, and all others that its profile's mounts have left.
func (sh *shell) keptCaches(l login) []keptCache {
	var dirs []string
	if l.Server != "" {
		dirs = append(dirs, sh.cacheOf(l))
	}
	for _, left := range sh.left() {
		dirs = append(dirs, left.CacheDir)
	}
	slices.Sort(dirs)
	all := []keptCache{}
	for _, dir := range slices.Compact(dirs) {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		k := keptCache{Dir: dir, Bytes: bytesBelow(dir)}
		k.Unsent, k.unknown = unsentIn(dir)
		all = append(all, k)
	}
	return all
}

// bytesBelow is how much of the disk a directory takes.
func bytesBelow(dir string) (n int64) {
	filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // what can't be read is not counted
		}
		if info, err := e.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				n += st.Blocks * 512
			}
		}
		return nil
	})
	return n
}

// unsentIn says what of a cache the server does not have: what waits to be sent, what it refused, and what is to stay on this
// machine; of the folders of others that were shown, too. "" is nothing. The cache must not be in use.
func unsentIn(dir string) (string, error) {
	var all report
	held := 0
	bound, _ := filepath.Glob(filepath.Join(dir, "bound", "*", "replica"))
	for i, d := range append([]string{filepath.Join(dir, "replica")}, bound...) {
		drive, err := openForExport(filepath.Dir(d))
		if api.KindOf(err) == api.NotFound && i == 0 {
			continue // never filled
		}
		if err != nil {
			return "", err
		}
		s := drive.Status()
		if err := drive.Close(); err != nil {
			return "", err
		}
		all.PendingMutations += s.PendingMutations
		all.PendingBytes += s.PendingBytes
		all.LocalOnly += s.LocalOnly - s.Undecided
		all.Undecided += s.Undecided
		for _, e := range s.Events {
			if e.What == cache.EventRefused && !e.Dir.IsZero() {
				held++
			}
		}
	}
	var parts []string
	if !all.quiet() {
		parts = append(parts, all.unsent())
	}
	if held > 0 {
		parts = append(parts, plural(held, "refused file")+" in Recovered")
	}
	if all.LocalOnly > 0 {
		parts = append(parts, plural(all.LocalOnly, "name")+" on this machine only (.satchelignore)")
	}
	return strings.Join(parts, ", "), nil
}

// removeCache removes a cache with those of the folders of others that were shown, and what was noted of it. Whatever else
// is in the directory stays.
func (sh *shell) removeCache(k *keptCache) error {
	bound, _ := os.ReadDir(filepath.Join(k.Dir, "bound"))
	for _, e := range bound {
		if !e.IsDir() {
			continue
		}
		dir := filepath.Join(k.Dir, "bound", e.Name())
		if err := forgetEnded(dir); err != nil {
			return err
		}
		if err := cache.Remove(dir); err != nil {
			return err
		}
	}
	for _, name := range []string{bindsFile, "bound/" + refusedFile, "bound", filepath.Base(pauseFile(k.Dir)), whoseFile, "control.sock"} {
		if err := os.Remove(filepath.Join(k.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := cache.Remove(k.Dir); err != nil {
		return err
	}
	k.Removed = true
	if err := os.Remove(sh.places.leftFile(k.Dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// rememberKept lets a later logout --remove-cache find a cache that no login names any more: one whose daemon was killed
// is noted nowhere else.
func (sh *shell) rememberKept(dir string) error {
	if _, err := os.Stat(sh.places.leftFile(dir)); err == nil {
		return nil
	}
	return report{}.leave(sh.places.leftFile(dir), mounted{Profile: sh.profile, CacheDir: dir})
}
