package storage

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"satchel/api"
	"satchel/storage/postgres"
	"satchel/storage/tree"
)

// A Conflict is a file and what another device made of it meanwhile, which was
// kept beside it.
type Conflict struct {
	Copy, Of []api.Name // the paths of both; there may be nothing at Of any more
	Device   string     // that made the copy
	File     File       // the copy
}

// IsConflict tells whether a name is that of a conflict copy.
func IsConflict(name api.Name) bool {
	_, _, is := tree.ConflictOf(name)
	return is
}

// ConflictDevice is the device that made a conflict copy of this name.
func ConflictDevice(name api.Name) string {
	_, device, _ := tree.ConflictOf(name)
	return device
}

// maxConflicts bounds how many are listed.
const maxConflicts = 1000

// Conflicts lists the drive's conflict copies.
func (d *Drive) Conflicts(ctx context.Context) ([]Conflict, error) {
	files, err := d.Files(ctx, FileQuery{
		Filters: []Filter{{Column: postgres.ColumnFilePath, Op: postgres.Like, Values: []string{"% (conflict, %)%"}}},
		Limit:   maxConflicts,
	})
	if err != nil {
		return nil, err
	}
	var all []Conflict
	for _, f := range files {
		at, err := api.ParsePath(f.FilePath)
		if err != nil || len(at) == 0 {
			continue
		}
		if of, device, is := tree.ConflictOf(at[len(at)-1]); is {
			all = append(all, Conflict{Copy: at, Of: append(slices.Clip(at[:len(at)-1]), of), Device: device, File: f})
		}
	}
	return all, nil
}

// What becomes of a conflict.
const (
	KeepCopy = "copy" // the copy is the file's newest version; the others stay in its history
	KeepFile = "file" // the copy goes to the trash
	KeepBoth = "both" // the copy is a file of its own
)

// ResolveConflict ends a conflict, by the path of its copy; the result is the path of
// what was kept, or of the copy if both were. A path that is not a conflict copy's is
// [api.Invalid]. No directory is removed: [api.IsDirectory].
func (d *Drive) ResolveConflict(ctx context.Context, at []api.Name, keep string) ([]api.Name, error) {
	if len(at) == 0 || !IsConflict(at[len(at)-1]) {
		return nil, api.Errorf(api.Invalid, "this is not the copy of a conflict")
	}
	name, device, _ := tree.ConflictOf(at[len(at)-1])
	of := append(slices.Clip(at[:len(at)-1]), name)
	switch keep {
	case KeepCopy:
		_, err := d.Move(ctx, at, of, MoveOptions{Replace: true, NoDirs: true})
		return of, err
	case KeepFile:
		return of, d.change(ctx, nil, func(ctx context.Context, tx *postgres.Tx) ([]api.Mutation, error) {
			e, err := d.entryAt(ctx, tx, at)
			if err == nil && e.Node.Type == api.Directory {
				err = api.Errorf(api.IsDirectory, "this is a folder, and no copy of a file")
			}
			if err != nil {
				return nil, err
			}
			return []api.Mutation{removalOf(e, time.Now().UnixNano())}, nil
		})
	case KeepBoth:
		for n := 1; ; n++ {
			to := append(slices.Clip(at[:len(at)-1]), besideName(name, device, n))
			_, err := d.Move(ctx, at, to, MoveOptions{})
			if api.KindOf(err) != api.Exists || n > 100 {
				return to, err
			}
		}
	}
	return nil, api.Errorf(api.Invalid, "keep is %s, %s or %s", KeepCopy, KeepFile, KeepBoth)
}

// besideName is `name (DEVICE).ext`, with a number from the second on.
func besideName(name api.Name, device string, n int) api.Name {
	ext := path.Ext(string(name))
	base := strings.TrimSuffix(string(name), ext)
	if base == "" {
		base, ext = ext, ""
	}
	label := fmt.Sprintf(" (%s)", device)
	if n > 1 {
		label = fmt.Sprintf(" (%s %d)", device, n)
	}
	return api.Name(tree.Cut(base, api.MaxName-len(label)-len(ext)) + label + ext)
}
