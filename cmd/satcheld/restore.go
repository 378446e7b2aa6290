package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"satchel/api"
	"satchel/cmd/internal/cli"
	"satchel/storage/backup"
	"satchel/storage/blob"
	"satchel/storage/postgres"
)

type restoreCmd struct {
	From         string `arg:"" placeholder:"FILE|STORE" help:"What satcheld backup wrote: a file, - for standard input, or a blob store."`
	Name         string `placeholder:"BACKUP" help:"In a blob store: which backup; the newest if not given."`
	List         bool   `help:"List the backups in a blob store, and do nothing else."`
	Check        bool   `help:"Read the backup to its end and compare its hashes, and do nothing else."`
	Replace      bool   `help:"Let the backup take the place of the users and files that are there."`
	Claim        bool   `help:"Let the restored installation have the blob store of another one, which is no more."`
	AllowMissing bool   `help:"Restore although content is missing or damaged that the backup names; satcheld fsck --deep then tells which files it is of."`
}

// Run restores a backup, while no server runs.
func (cmd *restoreCmd) Run(p *program) error {
	from, err := p.place(cmd.From)
	switch {
	case err != nil:
		return err
	case from.open == nil && (cmd.Name != "" || cmd.List):
		return usageError{"--name and --list are for backups in a blob store"}
	}
	bars := newStepBars(p.stderr, p.json)
	defer bars.close()
	source, err := cmd.open(p, from)
	if err != nil {
		return err
	}
	defer source.close()
	options := backup.Options{Progress: bars.show}
	switch {
	case cmd.List:
		return source.list(p, p.json)
	case cmd.Check:
		report, err := source.check(p, options)
		bars.close()
		if err != nil {
			return err
		}
		return cmd.tell(p, "checked", report)
	}
	report, err := cmd.restore(p, source, options)
	bars.close()
	if err != nil {
		return err
	}
	return cmd.tell(p, "restored", report)
}

func (cmd *restoreCmd) restore(p *program, source *saved, o backup.Options) (backup.Report, error) {
	db, err := p.migrateDatabase(p.ctx, false)
	if err != nil {
		return backup.Report{}, err
	}
	defer db.close()
	if err := p.makeData(); err != nil { // with --database-url too: the key and the blobs
		return backup.Report{}, err
	}
	key := &restoredKey{path: p.keyPath(), replace: cmd.Replace}
	defer key.drop()
	to := backup.Target{AllowMissing: cmd.AllowMissing, Key: key.write}
	if p.Blobs != inDatabase { // that is filled in the same transaction
		open, err := p.blobStore()
		if err != nil {
			return backup.Report{}, err
		}
		store, closeStore, err := open(p.ctx, db, p.log)
		if err != nil {
			return backup.Report{}, err
		}
		defer closeStore()
		me, err := identity(p.ctx, db.owner)
		if err == nil {
			err = cmd.mayFill(p.ctx, me, store, p.storeName())
		}
		if err != nil {
			return backup.Report{}, err
		}
		to.Blobs = store
		to.Mark = func(ctx context.Context) error {
			return asKeeper(ctx, db.owner, func(k *postgres.Keeper) error { return put(ctx, k, me, store, p.storeName()) })
		}
	}
	if to.Rows, err = postgres.BeginRestore(p.ctx, db.owner, p.log); err != nil {
		return backup.Report{}, err
	}
	defer to.Rows.Close()
	empty, err := to.Rows.Empty(p.ctx)
	if err != nil {
		return backup.Report{}, err
	}
	if !empty && !cmd.Replace {
		return backup.Report{}, api.Errorf(api.Exists, "this installation has users, or files: restore into an empty one (another --data or --database-url), or give --replace to lose what is in it")
	}
	return source.restore(p, to, o)
}

// mayFill makes sure that a store is this installation's, or nobody's and new.
func (cmd *restoreCmd) mayFill(ctx context.Context, me postgres.Installation, store blob.Store, name string) error {
	found, err := readMark(ctx, store, name)
	switch {
	case err != nil && api.KindOf(err) == api.Invalid && cmd.Claim:
		return nil
	case err != nil:
		return err
	case found == nil && me.Marked && !cmd.Claim:
		return api.Errorf(api.NotFound, "%s has not the mark of this installation's blob store: check that its disk is mounted, and --blobs\n"+
			"if it is a new one, since the former is lost: the same command with --claim", name)
	case found == nil:
		return nil
	case cmd.Claim:
		found.Installation = me.ID
	}
	return mine(*found, me, blob.Content, name)
}

// saved is an open backup.
type saved struct {
	stream io.Reader  // of a file
	store  blob.Store // nil for a file
	name   string
	close  func()
}

func (cmd *restoreCmd) open(p *program, from place) (*saved, error) {
	switch {
	case from.open != nil:
		store, closeStore, err := p.openPlace(p.ctx, from)
		return &saved{store: store, name: cmd.Name, close: closeStore}, err
	case from.path == "-":
		return &saved{stream: p.stdin, close: func() {}}, nil
	}
	f, err := os.Open(from.path)
	if err != nil {
		return nil, fmt.Errorf("open the backup: %w", err)
	}
	return &saved{stream: f, close: func() { f.Close() }}, nil
}

func (s *saved) restore(p *program, to backup.Target, o backup.Options) (backup.Report, error) {
	if s.store != nil {
		return backup.RestoreFrom(p.ctx, s.store, s.name, to, o)
	}
	return backup.Restore(p.ctx, s.stream, to, o)
}

func (s *saved) check(p *program, o backup.Options) (backup.Report, error) {
	if s.store != nil {
		return backup.CheckIn(p.ctx, s.store, s.name, o)
	}
	return backup.Check(s.stream, o)
}

func (s *saved) list(p *program, inJSON bool) error {
	names, err := backup.Names(p.ctx, s.store)
	if err != nil {
		return err
	}
	all := []backup.Report{}
	for _, name := range names {
		r, err := backup.Describe(p.ctx, s.store, name)
		if err != nil {
			return err
		}
		all = append(all, r)
		if !inJSON {
			fmt.Fprintf(p.stdout, "%s  %s  %d rows, %s\n", name, r.Created.Format("2006-01-02 15:04:05Z"), r.Rows, contentText(r))
		}
	}
	if inJSON {
		return cli.PrintJSON(p.stdout, all)
	}
	return nil
}

// tell says what was restored, and what is to be done.
func (cmd *restoreCmd) tell(p *program, done string, r backup.Report) error {
	if p.json {
		if err := cli.PrintJSON(p.stdout, r); err != nil {
			return err
		}
		return unwhole(p.stderr, r)
	}
	fmt.Fprintf(p.stdout, "%s the backup of %s: %d rows and %s in %v\n", done, r.Created.Format("2006-01-02 15:04:05Z"), r.Rows, contentText(r), seconds(r.Seconds))
	if done == "restored" {
		if !r.WithKey {
			fmt.Fprintf(p.stdout, "the sealing key was not in it: put the one of the old server at %s before you start the server; without it all tokens are refused until they are renewed\n", p.keyPath())
		}
		if cmd.Claim {
			fmt.Fprintln(p.stdout, "the blob store is this installation's now; stores of backups stay the former one's until you say: satcheld blobs claim STORE")
		}
		fmt.Fprintln(p.stdout, "start the server: every device lists its drive again and sends what is newer on it")
	}
	return unwhole(p.stderr, r)
}
