package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"

	"satchel/api"
)

// formatVersion numbers the on-disk format of the cache directory: the replica's
// keys and values, what the content files' names and marks mean, and drive.json. An
// older one is migrated, a newer one refused.
//
//	1  the first
//	2  every record of a node ends with the blocks that its file takes up; a shorter one is damaged
//	3  what was journalled last may ride on content files (rider.go)
//
// The number is in the replica, and in a file beside it for programs that
// can't even open the replica of a newer one.
const formatVersion = 3

// sameRecords is the first format whose keys and values are those of this one: such a replica only gets the number.
const sameRecords = 2

// storeFormat is the format of Pebble's own files. It is named so that another version of
// Pebble does not change it unnoticed: satchels of before could not open it any more.
const storeFormat = pebble.FormatFlushableIngest

// migrations rewrite a value of the replica, from the format that is their index to the next.
// Whoever changes the format adds one, and a cache of the format before to testdata (see TestFixture).
var migrations = map[uint64]func(key, value []byte) ([]byte, error){
	1: func(key, value []byte) ([]byte, error) {
		if key[0] != keyNode {
			return value, nil
		}
		r, err := decodeRecord1(value)
		if err != nil {
			return nil, err
		}
		return r.append(nil), nil
	},
	2: func(_, value []byte) ([]byte, error) { return value, nil },
}

// decodeRecord1 reads a record of format 1, which ended before taken where that was 0.
func decodeRecord1(b []byte) (record, error) {
	if r, err := decodeRecord(b); err == nil {
		return r, nil
	}
	return decodeRecord(binary.AppendVarint(b[:len(b):len(b)], 0))
}

// A migration is made on a copy, which takes the replica's place when it is whole:
//
//	replica                         the old one is copied to replica.new, and that made durable
//	replica, replica.new            renamed
//	replica.old, replica.new        renamed
//	replica.old, replica            the old one is removed
//
// A crash in between leaves one of these states; the next start goes on from it, or begins again.
const (
	replicaDir = "replica"
	newDir     = "replica.new"
	oldDir     = "replica.old"
	formatFile = "format"
)

// readyFormat ends a migration that was broken off, and refuses a cache that this program can't
// read. The error is of kind Invalid. Such a cache must not be taken for damaged: a new replica would be made, and
// what is in the journal lost. So nothing of it is opened before.
func readyFormat(fs vfs.FS, dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, formatFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64); err == nil && n > formatVersion {
		return newer(dir, n)
	}
	if err := finishSwap(fs, dir); err != nil {
		return err
	}
	return checkStore(fs, filepath.Join(dir, replicaDir))
}

// checkStore refuses what this Pebble can't open. The name of a file tells its format.
func checkStore(fs vfs.FS, dir string) error {
	m, value, err := atomicfs.LocateMarker(fs, dir, "format-version")
	if err != nil {
		return nil // there is none, or opening it says what is wrong
	}
	defer m.Close()
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return nil
	}
	if n > uint64(pebble.FormatNewest) {
		return api.Errorf(api.Invalid, "the store in %s has format %d, but this satchel knows up to %d: run the newer satchel that made it", dir, n, pebble.FormatNewest)
	}
	if n < uint64(pebble.FormatMinSupported) {
		return api.Errorf(api.Invalid, "the store in %s has format %d, but this satchel knows none before %d: mount once with the satchel that made it, wait for `satchel sync --wait`, and remove the folder",
			dir, n, pebble.FormatMinSupported)
	}
	return nil
}

func newer(dir string, n uint64) error {
	return api.Errorf(api.Invalid, "the cache in %s has format %d, but this satchel knows up to %d: run the newer satchel that made it", dir, n, formatVersion)
}

// noteFormat writes the file beside the replica, if it says something else.
func noteFormat(dir string) error {
	path, want := filepath.Join(dir, formatFile), fmt.Sprintln(formatVersion)
	if b, err := os.ReadFile(path); err == nil && string(b) == want {
		return nil
	}
	if err := os.WriteFile(path+".new", []byte(want), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// finishSwap brings a migration that was broken off to its end, or takes its rest away.
func finishSwap(fs vfs.FS, dir string) error {
	has := func(name string) bool {
		_, err := fs.Stat(filepath.Join(dir, name))
		return err == nil
	}
	if !has(replicaDir) && has(oldDir) {
		from := oldDir
		if has(newDir) { // whole: else the old one would not have been renamed
			from = newDir
		}
		if err := rename(fs, dir, from, replicaDir); err != nil {
			return err
		}
	}
	for _, rest := range [...]string{newDir, oldDir} {
		if has(rest) && has(replicaDir) {
			if err := fs.RemoveAll(filepath.Join(dir, rest)); err != nil {
				return err
			}
		}
	}
	return nil
}

// migrate makes a replica of an older format one of this. With an error the old one is as it was.
func migrate(fs vfs.FS, dir string, from uint64, log *slog.Logger) error {
	for n := from; n < formatVersion; n++ {
		if migrations[n] == nil {
			return api.Errorf(api.Invalid, "the cache in %s has format %d, from which there is no way to format %d", dir, from, formatVersion)
		}
	}
	log.Info("the cache has an older format: it is migrated", "from", from, "to", formatVersion)
	fresh := filepath.Join(dir, newDir)
	if err := fs.RemoveAll(fresh); err != nil {
		return err
	}
	if err := roomToMigrate(fs, dir); err != nil {
		return err
	}
	if err := copyReplica(fs, dir, from, log); err != nil {
		err = fmt.Errorf("migrate the cache from format %d: %w", from, err)
		return errors.Join(err, fs.RemoveAll(fresh)) // it may be what fills the disk
	}
	if err := rename(fs, dir, replicaDir, oldDir); err != nil {
		return err
	}
	return finishSwap(fs, dir)
}

// roomToMigrate tells, by an error of kind NoSpace, that a copy of the replica would not fit: Pebble
// ends the process when it can't write.
func roomToMigrate(fs vfs.FS, dir string) error {
	names, err := fs.List(filepath.Join(dir, replicaDir))
	if err != nil {
		return err
	}
	need := int64(16 << 20)
	for _, name := range names {
		info, err := fs.Stat(filepath.Join(dir, replicaDir, name))
		if err != nil {
			return err
		}
		need += 2 * info.Size() // the copy's log, and its tables
	}
	usage, err := fs.GetDiskUsage(dir)
	if err == nil && usage.AvailBytes < uint64(need) {
		return api.Errorf(api.NoSpace, "the cache in %s has to be migrated to a newer format, which needs %d MiB: free as much on its disk", dir, need>>20)
	}
	return nil
}

// rename gives a directory another name, durably.
func rename(fs vfs.FS, dir, from, to string) error {
	if err := fs.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		return err
	}
	return syncDir(fs, dir)
}

func syncDir(fs vfs.FS, dir string) error {
	f, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// copyReplica writes replica.new, whole and durable.
func copyReplica(fs vfs.FS, dir string, from uint64, log *slog.Logger) (err error) {
	src, err := pebble.Open(filepath.Join(dir, replicaDir), &pebble.Options{FS: fs, ReadOnly: true, Logger: pebbleLog{log}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := pebble.Open(filepath.Join(dir, newDir), &pebble.Options{FS: fs, FormatMajorVersion: storeFormat, Logger: pebbleLog{log}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close(), syncDir(fs, dir)) }()
	it, err := src.NewIter(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	b := dst.NewBatch()
	for it.First(); it.Valid(); it.Next() {
		v := it.Value()
		for n := from; n < formatVersion; n++ {
			if v, err = migrations[n](it.Key(), v); err != nil {
				return err
			}
		}
		if err := b.Set(it.Key(), v, nil); err != nil {
			return err
		}
		if b.Len() > 1<<20 {
			if err := b.Commit(pebble.NoSync); err != nil {
				return err
			}
			b = dst.NewBatch()
		}
	}
	if err := it.Error(); err != nil { // what can't be read must not be taken for what is not there
		return err
	}
	if err := b.Set(metaKey("format"), binary.AppendUvarint(nil, formatVersion), nil); err != nil {
		return err
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return err
	}
	return dst.Flush()
}
