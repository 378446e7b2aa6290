package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"satchel/storage/postgres/populate"
)

// upkeep measures what operators do with a server that has the large drive,
// and whose database is lost in the end.
func (l *lab) upkeep(ctx context.Context, made populate.Made) error {
	if err := l.databaseSize(made); err != nil {
		return err
	}
	for _, c := range []struct {
		what     string
		versions int // that it must have looked at; gc tells only what it removed
		args     []string
	}{
		{"`satcheld gc` then, with nothing to collect", 0, []string{"gc"}},
		{"`satcheld fsck`", made.Files, []string{"fsck"}},
		{"`satcheld fsck --deep`, which reads all content", made.Files, []string{"fsck", "--deep"}},
	} {
		took, report, err := l.satcheld(ctx, c.args...)
		if err != nil {
			return err
		}
		if report.AnotherRunning || report.Versions < int64(c.versions) {
			return fmt.Errorf("%s looked at %d of %d versions; another one at work: %t", c.what, report.Versions, made.Files, report.AnotherRunning)
		}
		l.note(c.what, "%s", seconds(took))
	}
	return l.backup(ctx, made)
}

// report is what is looked at of the commands' own.
type report struct {
	Versions       int64 `json:"versions"`
	Rows           int64 `json:"rows"`
	Size           int64 `json:"size"`
	AnotherRunning bool  `json:"another_running"`
}

// satcheld times a command beside the running server, and what it says.
func (l *lab) satcheld(ctx context.Context, args ...string) (took time.Duration, r report, err error) {
	begin := time.Now()
	out, err := l.server.Satcheld(ctx, "", append([]string{"--json"}, args...)...)
	took = time.Since(begin)
	if err == nil {
		err = json.Unmarshal([]byte(out), &r)
	}
	return took, r, err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// databaseSize is what PostgreSQL has on the disk.
func (l *lab) databaseSize(made populate.Made) error {
	cluster := filepath.Join(l.server.Data, "postgres", "data")
	tables, err := sizeOf(filepath.Join(cluster, "base"))
	if err != nil {
		return err
	}
	log, err := sizeOf(filepath.Join(cluster, "pg_wal"))
	if err != nil {
		return err
	}
	l.note("PostgreSQL's tables and indexes on the disk; its log of writes", "%.2f GB (%.0f bytes for each node); %.2f GB",
		float64(tables)/1e9, float64(tables)/float64(made.Nodes), float64(log)/1e9)
	return nil
}

// sizeOf is what the files below a directory take of the disk, in bytes.
func sizeOf(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && e.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) { // PostgreSQL works on
			return nil
		}
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

// backup saves all, loses the database, and gets it back.
func (l *lab) backup(ctx context.Context, made populate.Made) error {
	file := filepath.Join(filepath.Dir(l.server.Data), "backup")
	took, saved, err := l.satcheld(ctx, "backup", file)
	if err != nil {
		return err
	}
	if saved.Rows < int64(made.Nodes) {
		return fmt.Errorf("a backup has %d rows, of a drive of %d nodes", saved.Rows, made.Nodes)
	}
	l.note(fmt.Sprintf("`satcheld backup FILE` with content, %d rows", saved.Rows), "%s, %.2f GB", seconds(took), float64(saved.Size)/1e9)
	before, err := l.drive.Info(ctx)
	if err != nil {
		return err
	}
	if err := l.server.Stop(); err != nil {
		return err
	}
	for _, lost := range []string{"postgres", "blobs"} {
		if err := os.RemoveAll(filepath.Join(l.server.Data, lost)); err != nil {
			return err
		}
	}
	took, restored, err := l.satcheld(ctx, "restore", file)
	if err != nil {
		return err
	}
	if restored.Rows != saved.Rows {
		return fmt.Errorf("%d of %d rows were restored", restored.Rows, saved.Rows)
	}
	l.note("`satcheld restore FILE` into a new PostgreSQL, content too", "%s", seconds(took))
	begin := time.Now()
	if err := l.server.Start(ctx); err != nil {
		return err
	}
	l.note("the server's start then, until it is ready", "%s", seconds(time.Since(begin)))
	after, err := l.drive.Info(ctx)
	if err == nil && (after.Files != before.Files || after.Used != before.Used || after.Seq != before.Seq) {
		err = fmt.Errorf("the drive is restored as %+v, and was %+v", after, before)
	}
	if err != nil {
		return err
	}
	if n, err := l.find(ctx, "name=file-"); err != nil || n == 0 {
		return fmt.Errorf("a search of the restored drive finds %d: %w", n, err)
	}
	return os.Remove(file)
}
