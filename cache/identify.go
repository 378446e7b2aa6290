package cache

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"satchel/api"
)

// driveFile is beside the replica and says which drive it is of.
const driveFile = "drive.json"

// identify finds out for a new replica which drive it is of. The file beside the
// replica is for the day when one is rebuilt without the server; named tells that the server said it.
func (d *Drive) identify() (named bool, err error) {
	path := filepath.Join(d.cfg.Dir, driveFile)
	ctx, cancel := context.WithTimeout(d.ctx, 15*time.Second)
	defer cancel()
	info, err := d.cfg.Remote.Info(ctx)
	if err == nil {
		d.drive = info
		return true, os.WriteFile(path, mustJSON(info), 0o600)
	}
	known, ok := DriveIn(d.cfg.Dir)
	if !ok {
		return false, err
	}
	d.drive = known
	return false, nil
}

// DriveIn is the drive of which a directory has the cache, as it was when that was made; ok is false when there is none.
func DriveIn(dir string) (info api.DriveInfo, ok bool) {
	b, err := os.ReadFile(filepath.Join(dir, driveFile))
	return info, err == nil && json.Unmarshal(b, &info) == nil && !info.ID.IsZero() && !info.Root.IsZero()
}
