package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"satchel/api"
	"satchel/cache"
	"satchel/cmd/internal/cli"
)

type exportUnsentCmd struct {
	Dir      string `arg:"" help:"A new or an empty folder, outside the drive."`
	CacheDir string `setting:"" placeholder:"DIR" help:"Which cache to take it from, if not that of the login."`
}

// Run copies out what the server lacks. It needs neither the server nor a valid login:
// a running daemon does it, or else the cache is opened here.
func (cmd *exportUnsentCmd) Run(sh *shell) error {
	dir, err := resolve(cmd.Dir)
	if err != nil {
		return err
	}
	cacheDir, err := cmd.cache(sh)
	if err != nil {
		return err
	}
	var x cache.Exported
	if m, ok := sh.places.runningOn(cacheDir); ok {
		if dir == m.Mountpoint || strings.HasPrefix(dir, m.Mountpoint+"/") {
			return api.Errorf(api.Invalid, "%s is in the drive itself: name a folder elsewhere", cmd.Dir)
		}
		x, err = m.export(sh, dir)
	} else {
		x, err = exportCache(sh, cacheDir, dir)
	}
	if err != nil {
		return err
	}
	if sh.json {
		return sh.printJSON(x)
	}
	if x.Files == 0 {
		fmt.Fprintf(sh.stdout, "there is no unsent content in %s\n", cacheDir)
	} else {
		fmt.Fprintf(sh.stdout, "%s with %s of content copied to %s; they stay in the cache too\n", plural(x.Files, "file"), size(x.Bytes), cmd.Dir)
	}
	if len(x.Others) > 0 {
		fmt.Fprintln(sh.stdout, "changes that only the drive can take, in their order:")
		for _, o := range x.Others {
			fmt.Fprintln(sh.stdout, " ", cli.Printable(o))
		}
	}
	return nil
}

// cache finds the cache: the one that was named, that of the login, or the only one there is.
func (cmd *exportUnsentCmd) cache(sh *shell) (string, error) {
	if cmd.CacheDir != "" {
		return filepath.Abs(cmd.CacheDir)
	}
	if m, err := sh.running(""); err == nil {
		return m.CacheDir, nil
	}
	l, err := sh.login()
	if err == nil {
		return sh.cacheOf(l), nil
	}
	found, _ := filepath.Glob(filepath.Join(sh.places.cache, "*", "replica"))
	switch len(found) {
	case 0:
		return "", fmt.Errorf("%w, and there is no cache below %s", err, sh.places.cache)
	case 1:
		return filepath.Dir(found[0]), nil
	}
	for i := range found {
		found[i] = "--cache-dir " + filepath.Dir(found[i])
	}
	return "", usageError{fmt.Sprintf("nobody is logged in, and there are several caches: say which\n%s", strings.Join(found, "\n"))}
}

// export lets a running daemon do it.
func (m mounted) export(sh *shell, dir string) (cache.Exported, error) {
	r, err := m.askAll(sh.ctx, controlRequest{Op: opExport, Path: dir}, nil)
	if err == nil && r.Exported == nil {
		err = errors.New("the daemon is of another version: unmount, and try again")
	}
	if err != nil {
		return cache.Exported{}, err
	}
	return *r.Exported, nil
}

// exportCache opens a cache that nobody uses.
func exportCache(sh *shell, cacheDir, dir string) (cache.Exported, error) {
	drive, err := openForExport(cacheDir)
	if err != nil {
		return cache.Exported{}, err
	}
	x, err := exportAll(sh.ctx, drive, cacheDir, nil, dir)
	return x, errors.Join(err, drive.Close())
}

func openForExport(cacheDir string) (*cache.Drive, error) {
	return cache.OpenForExport(cache.Config{Dir: cacheDir, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Log: slog.New(slog.DiscardHandler)})
}
