package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"satchel/api"
	"satchel/api/auth"
	"satchel/cmd/internal/cli"
	"satchel/storage/backup"
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
	report, err := cmd.make(p, to, options)
	bars.close()
	if err != nil {
		return err
	}
	return cmd.tell(p, report)
}

func (cmd *backupCmd) make(p *program, to place, o backup.Options) (report backup.Report, err error) {
	db, err := p.openAsItIs(p.ctx)
	if err != nil {
		return report, err
	}
	defer db.close()
	src := backup.Source{RowsOnly: !cmd.Content}
	blobs, closeBlobs, err := p.openStore(p.ctx, db)
	switch {
	case err == nil:
		defer closeBlobs()
		src.Blobs = blobs
	case cmd.Content || !slices.Contains([]api.Kind{api.Unavailable, api.NotFound, api.Exists}, api.KindOf(err)):
		return report, err
	default:
		p.log.Warn("only rows are saved: the blob store is not there, or not this installation's", "err", err)
	}
	if src.Key, err = cmd.key(p); err != nil {
		return report, err
	}
	if src.Rows, err = postgres.OpenBackup(p.ctx, db.owner); err != nil {
		return report, err
	}
	defer src.Rows.Close()
	return cmd.save(p, db, src, to, o)
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
	me, err := identity(p.ctx, db.owner)
	if err != nil {
		return backup.Report{}, err
	}
	mayPrune, err := ownBackups(p.ctx, me, me.Marked || p.Blobs == inDatabase, store, to.path)
	if err != nil {
		return backup.Report{}, err
	}
	report, err := backup.SaveTo(p.ctx, src, store, o)
	if err != nil || cmd.Keep == 0 {
		return report, err
	}
	if !mayPrune {
		p.log.Warn("the store that content is kept in can't be asked whether it is another one: no older backup was removed")
		return report, nil
	}
	report.Removed, err = backup.Prune(p.ctx, src.Rows, store, cmd.Keep, p.log)
	return report, err
}

// saveFile writes a file that has its name when it is whole; "-" is standard
// output, and a device or a pipe is written into. One that lacks content does not take the place of another: it has
// [incomplete] after its name.
func saveFile(p *program, src backup.Source, path string, o backup.Options) (r backup.Report, err error) {
	if path == "-" {
		return backup.Save(p.ctx, src, p.stdout, o)
	}
	if cli.IsSpecial(path) { // a tape, or what another program reads
		err = cli.WriteSpecial(p.ctx, path, func(w io.Writer) (err error) {
			r, err = backup.Save(p.ctx, src, w, o)
			return err
		})
		return r, err
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
	return r, syncDir(filepath.Dir(path))
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
		content := contentText(r)
		if r.Content == backup.Beside {
			content += fmt.Sprintf(", %d of them copied now,", r.Copied)
		}
		if r.Name != "" {
			content += " as " + r.Name
		}
		fmt.Fprintf(out, "saved %d rows and %s in %v\n", r.Rows, content, seconds(r.Seconds))
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
	if r.Content == backup.None {
		return fmt.Sprintf("no content (%d packs, %s, are elsewhere)", r.Packs, bytesText(r.Bytes))
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

// syncDir makes names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
