package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"satchel/api"
	"satchel/cache"
)

// exportAll copies out what the server lacks of a drive and of the folders of others in it: what is in those goes below the paths that they
// have in the drive. The caches of folders that are not shown, the ended ones among them, are opened here; nobody else may do so meanwhile.
func exportAll(ctx context.Context, drive *cache.Drive, cacheDir string, shown map[api.ID]*cache.Drive, dir string) (cache.Exported, error) {
	all, err := drive.Export(ctx, dir, isEnded(cacheDir)) // what stays on this machine is nowhere else any more
	if err != nil {
		return all, err
	}
	var failed error
	for _, f := range foldersIn(cacheDir) {
		x, err := f.export(ctx, shown[f.id], dir)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", f.path, err))
		}
		all.Files += x.Files
		all.Bytes += x.Bytes
		all.Others = append(all.Others, x.Others...)
	}
	return all, failed
}

// folderCache is what is kept of a folder of another.
type folderCache struct {
	id   api.ID // of the bind
	dir  string
	path api.Name // in the drive, as far as is known
}

// foldersIn are those of a drive's cache.
func foldersIn(cacheDir string) (all []folderCache) {
	paths := map[api.ID]api.Name{}
	binds, _ := readBinds(cacheDir) // without it, the content is found all the same
	for _, b := range binds {
		paths[b.ID] = b.Path
	}
	dirs, _ := os.ReadDir(filepath.Join(cacheDir, "bound"))
	for _, e := range dirs {
		id, err := api.ParseID(e.Name())
		if err != nil || !e.IsDir() {
			continue
		}
		f := folderCache{id: id, dir: filepath.Join(cacheDir, "bound", e.Name())}
		note, _ := endedIn(f.dir)
		f.path = cmp.Or(paths[id], note.Path, api.Name("shared folder "+e.Name()))
		all = append(all, f)
	}
	return all
}

// export copies the folder's unsent work below dir; drive is nil if the folder is not shown.
func (f folderCache) export(ctx context.Context, drive *cache.Drive, dir string) (x cache.Exported, err error) {
	if drive == nil {
		drive, err = openForExport(f.dir)
		if api.KindOf(err) == api.NotFound {
			return x, nil // never filled
		}
		if err != nil {
			return x, err
		}
		defer func() { err = errors.Join(err, drive.Close()) }()
	}
	to, made, err := placeFor(dir, f.path)
	if err != nil {
		return x, err
	}
	x, err = drive.Export(ctx, to, isEnded(f.dir))
	for i, change := range x.Others {
		x.Others[i] = string(f.path) + ": " + change
	}
	for i := len(made) - 1; i >= 0 && x.Files == 0; i-- {
		os.Remove(made[i]) // if nothing came
	}
	return x, err
}

// placeFor makes a new directory below dir for a path, with those above it that are not there; made are all of them. A name that belongs to
// something else gets a number.
func placeFor(dir string, path api.Name) (to string, made []string, err error) {
	to = dir
	names := strings.Split(strings.Trim(string(path), "/"), "/")
	for i, name := range names {
		if name == "" || name == "." || name == ".." { // no drive has them, but a server may say so
			name = "_" + name
		}
		for k := 1; ; k++ {
			next := filepath.Join(to, numbered(name, k))
			err := os.Mkdir(next, 0o700)
			if err == nil {
				made = append(made, next)
			} else if !errors.Is(err, fs.ErrExist) {
				return "", made, err
			} else if info, e := os.Lstat(next); i == len(names)-1 || e != nil || !info.IsDir() {
				continue
			}
			to = next
			break
		}
	}
	return to, made, nil
}

// numbered is the k-th choice of a name.
func numbered(name string, k int) string {
	if k == 1 {
		return name
	}
	tail := fmt.Sprintf(" (%d)", k)
	return name[:min(len(name), api.MaxName-len(tail))] + tail
}
