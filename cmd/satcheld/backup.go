package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"satchel/api"
	"satchel/api/auth"
	"satchel/cmd/internal/cli"
	"satchel/storage/backup"
	"satchel/storage/blob"
	"satchel/storage/postgres"
)

type backupCmd struct {
	To      string `arg:"" placeholder:"FILE|STORE" help:"A file, - for standard output, or a blob store: file:DIR or s3://BUCKET/PREFIX?endpoint=URL&region=NAME."`
	Content bool   `default:"true" negatable:"" help:"Save the files' content too (${default}); without it the blob store must be saved otherwise."`
	WithKey bool   `help:"Save the key that seals secrets in the database too."`
	Keep    int    `placeholder:"N" help:"In a blob store: then remove all but the newest N backups."`
}

// Run makes a backup, beside a running server or without.
func (cmd *backupCmd) Run(p *program) error {
	to, err := p.place(cmd.To)
	switch {
	case err != nil:
		return err
	case cmd.Keep < 0, cmd.Keep > 0 && to.open == nil:
		return usageError{"--keep takes a number from 1, and is for backups in a blob store"}
	case p.json && cmd.To == "-":
		return usageError{"--json and the backup can't both go to standard output"}
	}
	bars := newStepBars(p.stderr, p.json)
	defer bars.close()
	options := backup.Options{Progress: bars.show, Waiting: func() {
		p.log.Info("waiting for garbage collection, or another backup, to end")
	}}
	var report backup.Report
	err = p.keep(func(u *upkeep, db *database) error {
		src := backup.Source{Blobs: u.blobs}
		if !cmd.Content {
			src.Blobs = nil
		}
		if src.Key, err = cmd.key(p); err != nil {
			return err
		}
		if src.Rows, err = postgres.OpenBackup(p.ctx, db.owner); err != nil {
			return err
		}
		defer src.Rows.Close()
		report, err = cmd.save(p, db, src, to, options)
		return err
	})
	bars.close()
	if err != nil {
		return err
	}
	return cmd.tell(p, report)
}

// key is the sealing key, if it is to be saved.
func (cmd *backupCmd) key(p *program) ([]byte, error) {
	if !cmd.WithKey {
		return nil, nil
	}
	key, err := auth.ReadSealingKey(p.keyPath())
	if err != nil {
		return nil, fmt.Errorf("--with-key: %w", err)
	}
	return key[:], nil
}

func (cmd *backupCmd) save(p *program, db *database, src backup.Source, to place, o backup.Options) (backup.Report, error) {
	if to.open == nil {
		return saveFile(p, src, to.path, o)
	}
	store, closeStore, err := to.open(p.ctx, db, p.log)
	if err != nil {
		return backup.Report{}, err
	}
	defer closeStore()
	report, err := backup.SaveTo(p.ctx, src, store, o)
	if err != nil || cmd.Keep == 0 {
		return report, err
	}
	report.Removed, err = backup.Prune(p.ctx, store, cmd.Keep)
	return report, err
}

// saveFile writes a file that has its name when it is whole; "-" is standard
// output. One that lacks content does not take the place of another: it has
// [incomplete] after its name.
func saveFile(p *program, src backup.Source, path string, o backup.Options) (r backup.Report, err error) {
	if path == "-" {
		return backup.Save(p.ctx, src, p.stdout, o)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return r, fmt.Errorf("there is no directory %s to put the backup into\nmake it with: mkdir -p %[1]s", filepath.Dir(path))
		}
		return r, fmt.Errorf("make the backup: %w", err)
	}
	defer os.Remove(f.Name())
	r, err = backup.Save(p.ctx, src, f, o)
	if err = cmp.Or(err, f.Sync()); err != nil {
		f.Close()
		return r, err
	}
	if err := f.Close(); err != nil {
		return r, err
	}
	if _, err := os.Lstat(path); err == nil && !r.Whole() {
		path += incomplete
		r.Name = path
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return r, err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return r, err
	}
	defer d.Close()
	return r, d.Sync()
}

// incomplete ends the name of a backup that lacks content, where a file of the
// name that was asked for is there already.
const incomplete = ".incomplete"

// tell says what was saved, and what was not.
func (cmd *backupCmd) tell(p *program, r backup.Report) error {
	out := p.stdout
	if cmd.To == "-" {
		out = p.stderr
	}
	if p.json {
		if err := cli.PrintJSON(out, r); err != nil {
			return err
		}
	} else {
		name := ""
		if r.Name != "" {
			name = " as " + r.Name
		}
		fmt.Fprintf(out, "saved %d rows and %s%s in %v\n", r.Rows, contentText(r), name, seconds(r.Seconds))
		if !r.WithKey {
			fmt.Fprintf(out, "the sealing key, %s, is not in it: keep a copy elsewhere, or give --with-key\n", p.keyPath())
		} else {
			fmt.Fprintln(out, "the sealing key is in it: who reads the backup can sign in as anyone")
		}
		if path, ok := strings.CutSuffix(r.Name, incomplete); ok {
			fmt.Fprintf(out, "%s stays as it was: what is lacking now may be in it\n", path)
		}
		if r.Removed > 0 {
			fmt.Fprintf(out, "%d older backups were removed\n", r.Removed)
		}
	}
	return unwhole(p.stderr, r)
}

// contentText says in words which content a backup has.
func contentText(r backup.Report) string {
	switch r.Content {
	case backup.None:
		return fmt.Sprintf("no content (%d packs, %s, are elsewhere)", r.Packs, bytesText(r.Bytes))
	case backup.Beside:
		return fmt.Sprintf("%d packs (%s), %d of them copied now,", r.Packs, bytesText(r.Bytes), r.Copied)
	}
	return fmt.Sprintf("%d packs (%s)", r.Packs, bytesText(r.Bytes))
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}

// unwhole tells of content that is not whole: exit code 1.
func unwhole(w io.Writer, r backup.Report) error {
	for _, id := range r.Missing {
		fmt.Fprintf(w, "missing in the blob store: the pack %s\n", id)
	}
	for _, id := range r.Damaged {
		fmt.Fprintf(w, "damaged: the pack %s\n", id)
	}
	if !r.Whole() {
		return errors.New("some content is not whole: see satcheld fsck --deep")
	}
	return nil
}

// place is where a backup is: a file, or a blob store.
type place struct {
	path string
	open openBlobs // nil for a file
}

// place understands what a backup's place was called. The store that content
// is kept in is none.
func (p *program) place(name string) (place, error) {
	if err := p.check(); err != nil {
		return place{}, err
	}
	switch kind, _, _ := strings.Cut(name, ":"); {
	case kind == "postgres":
		return place{}, usageError{"a backup in the database itself is none: give a file, file:DIR or s3://…"}
	case kind != "file" && kind != "s3":
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			return place{}, usageError{fmt.Sprintf("%s is a directory: give a file in it, or file:%[1]s for a store of backups", name)}
		}
		return place{path: name}, nil
	}
	in := p.installation
	in.Blobs = name
	if in.sameStore(p.installation) {
		return place{}, usageError{"content is kept there: a backup must be elsewhere"}
	}
	open, err := in.blobStore()
	return place{path: name, open: open}, err
}

// sameStore tells whether two installations keep content in one place.
func (in installation) sameStore(other installation) bool {
	where := func(i installation) string {
		if i.Blobs == "" {
			return filepath.Join(i.Data, "blobs")
		}
		dir, ok := strings.CutPrefix(i.Blobs, "file:")
		if !ok {
			return i.Blobs
		}
		dir, err := filepath.Abs(dir)
		if err != nil {
			return i.Blobs
		}
		return dir
	}
	return where(in) == where(other)
}

// storeKey makes a restored sealing key the installation's. One that is there
// already and differs is moved aside if replace says so.
func (p *program) storeKey(key []byte, replace bool) (store func() error, err error) {
	if len(key) != len(auth.SealingKey{}) {
		return nil, api.Errorf(api.Invalid, "the sealing key in the backup is damaged")
	}
	path := p.keyPath()
	there, err := auth.ReadSealingKey(path)
	switch {
	case err == nil && there == auth.SealingKey(key):
		return func() error { return nil }, nil
	case err == nil && !replace:
		return nil, api.Errorf(api.Exists, "the key file %s holds another key than the backup: move it away, or give --replace", path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	other := err == nil
	return func() error {
		if other {
			if err := os.Rename(path, path+".replaced"); err != nil {
				return err
			}
		}
		return auth.WriteSealingKey(path, auth.SealingKey(key))
	}, nil
}

// openPlace opens a store of backups.
func (p *program) openPlace(ctx context.Context, at place) (blob.Store, func(), error) {
	return at.open(ctx, nil, p.log) // only postgres: needs the database
}
