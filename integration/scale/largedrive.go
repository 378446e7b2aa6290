package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"satchel/api"
	"satchel/api/client"
	"satchel/migrations"
	"satchel/storage/blob/local"
	"satchel/storage/postgres"
	"satchel/storage/postgres/populate"
	"satchel/storage/private"
)

// largeDrive measures what a drive of many nodes answers.
func (l *lab) largeDrive(ctx context.Context, nodes, wide int) error {
	drive, info, err := l.user(ctx, "boris")
	if err != nil {
		return err
	}
	who, err := l.whose(ctx, "boris@example.org")
	if err != nil {
		return err
	}
	admin, err := l.server.DatabaseURL(ctx, private.Superuser)
	if err != nil {
		return err
	}
	blobs, err := local.Open(filepath.Join(l.server.Data, "blobs"))
	if err != nil {
		return err
	}
	begin := time.Now()
	made, err := populate.Drive(ctx, admin, info.ID, populate.Shape{Nodes: nodes, Wide: wide, Store: func(ctx context.Context, id api.ID, pack []byte) error {
		return blobs.Put(ctx, id.String(), bytes.NewReader(pack))
	}})
	if err != nil {
		return err
	}
	l.drive, l.made = drive, made
	l.note(fmt.Sprintf("a drive of %d nodes, copied into the database with the words of its files", made.Nodes), "%.0f s", time.Since(begin).Seconds())
	if info, err = drive.Info(ctx); err != nil || info.Files != int64(made.Files) {
		return fmt.Errorf("the drive has %d files, not %d: %w", info.Files, made.Files, err)
	}
	if err := l.listing(ctx, drive, made, wide); err != nil {
		return err
	}
	if err := l.lookups(ctx, who, drive, info, made); err != nil {
		return err
	}
	return l.folders(ctx, drive, info, made)
}

// whose is the id of an account.
func (l *lab) whose(ctx context.Context, email string) (api.ID, error) {
	out, err := l.server.Satcheld(ctx, "", "user", "list")
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); err == nil && len(f) > 1 && f[0] == email {
			return api.ParseID(f[len(f)-1])
		}
	}
	return api.ID{}, fmt.Errorf("user list has no %s: %w", email, err)
}

// listing reads the large directory page by page, as a client does.
func (l *lab) listing(ctx context.Context, drive *client.Drive, made populate.Made, wide int) error {
	begin := time.Now()
	var first time.Duration
	seen, last := 0, api.Name("")
	for {
		page, err := drive.Children(ctx, made.Wide, last, 0, nil)
		if err != nil {
			return err
		}
		if first == 0 {
			first = time.Since(begin)
		}
		if seen += len(page.Entries); !page.More {
			break
		}
		last = page.Entries[len(page.Entries)-1].Name
	}
	whole := time.Since(begin)
	if seen != wide {
		return fmt.Errorf("a listing had %d entries, not %d", seen, wide)
	}
	again, err := median(20, func() error {
		_, err := drive.Children(ctx, made.Wide, "", 0, nil)
		return err
	})
	if err != nil {
		return err
	}
	l.note(fmt.Sprintf("a directory of %d entries: its first page of 1000, over HTTP", wide), "%s, then %s", ms(first), ms(again))
	l.note("all its pages", "%.1f s (%.0f entries/s)", whole.Seconds(), float64(seen)/whole.Seconds())
	return nil
}

// lookups finds a file at the bottom of the tree.
func (l *lab) lookups(ctx context.Context, who api.ID, drive *client.Drive, info api.DriveInfo, made populate.Made) error {
	url, err := l.server.DatabaseURL(ctx, migrations.App)
	if err != nil {
		return err
	}
	db, err := postgres.Open(ctx, url)
	if err != nil {
		return err
	}
	defer db.Close()
	var inSQL time.Duration
	err = db.AsReadOnly(ctx, who, func(ctx context.Context, tx *postgres.Tx) (err error) {
		inSQL, err = median(200, func() error {
			found, err := tx.Walk(ctx, info.ID, info.Root, made.Deep)
			if err == nil && len(found) != len(made.Deep) {
				err = fmt.Errorf("only %d of %d names were found", len(found), len(made.Deep))
			}
			return err
		})
		return err
	})
	if err != nil {
		return err
	}
	names := make([]string, len(made.Deep))
	for i, n := range made.Deep {
		names[i] = string(n)
	}
	overHTTP, err := median(100, func() error {
		_, err := drive.Lookup(ctx, strings.Join(names, "/"))
		return err
	})
	if err != nil {
		return err
	}
	l.note(fmt.Sprintf("look-up of a path of %d names: in SQL, over HTTP", len(names)), "%s, %s", ms(inSQL), ms(overHTTP))
	return nil
}

// folders renames the folder that has nearly everything, and asks for its size.
func (l *lab) folders(ctx context.Context, drive *client.Drive, info api.DriveInfo, made populate.Made) error {
	batch := api.Batch{Incarnation: api.NewID()}
	names := []api.Name{"top", "renamed"}
	renaming, err := median(20, func() error {
		i := batch.Number % 2
		batch.Number++
		batch.Mutations = []api.Mutation{{Op: api.OpRename, Node: made.Top, Parent: info.Root, Name: names[i], ToParent: info.Root, ToName: names[1-i], Time: time.Now().UnixNano()}}
		c, err := drive.Commit(ctx, batch)
		if err == nil && c.Outcomes[0].Status != api.Applied {
			err = fmt.Errorf("the rename was %s: %s", c.Outcomes[0].Status, c.Outcomes[0].Message)
		}
		return err
	})
	if err != nil {
		return err
	}
	var u api.Usage
	size, err := median(20, func() (err error) {
		u, err = drive.Usage(ctx, made.Top)
		return err
	})
	if err != nil {
		return err
	}
	wide, err := drive.Usage(ctx, made.Wide)
	if err != nil || u.Files+wide.Files != int64(made.Files) || u.Bytes+wide.Bytes != made.Bytes {
		return fmt.Errorf("the folders' sizes are %+v and %+v, the drive's %d files and %d bytes: %w", u, wide, made.Files, made.Bytes, err)
	}
	below := made.Nodes - int(wide.Files) - 2
	l.note(fmt.Sprintf("rename of a folder with %d nodes below it, over HTTP", below), "%s", ms(renaming))
	l.note("size of that folder, all the way down, over HTTP", "%s", ms(size))
	return nil
}

// median is the time that the middle one of n calls takes.
func median(n int, call func() error) (time.Duration, error) {
	times := make([]time.Duration, n)
	for i := range times {
		begin := time.Now()
		if err := call(); err != nil {
			return 0, err
		}
		times[i] = time.Since(begin)
	}
	slices.Sort(times)
	return times[n/2], nil
}
