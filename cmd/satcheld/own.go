package main

import (
	"context"
	"os"
	"time"

	"satchel/api"
	"satchel/cmd/internal/cli"
	"satchel/storage/backup"
	"satchel/storage/blob"
	"satchel/storage/postgres"
)

// openStore opens the store of --blobs and makes sure that it is this
// installation's ([own]).
func (p *program) openStore(ctx context.Context, db *database) (_ blob.Store, closeStore func(), err error) {
	open, err := p.blobStore()
	if err != nil {
		return nil, nil, err
	}
	store, closeStore, err := open(ctx, db, p.log)
	if err != nil {
		return nil, nil, err
	}
	if err := own(ctx, db.owner, store, p.storeName()); err != nil {
		closeStore()
		return nil, nil, err
	}
	return store, closeStore, nil
}

// inDatabase is the name of the store that has no mark: it is in the database, and so this installation's.
const inDatabase = "postgres:"

// storeName is what the store of --blobs is called.
func (in *installation) storeName() string {
	if dir, ok := in.blobsDir(); ok {
		return "file:" + dir
	}
	return in.Blobs
}

// identity asks the database which installation it is of.
func identity(ctx context.Context, ownerURL string) (me postgres.Installation, err error) {
	err = asKeeper(ctx, ownerURL, func(k *postgres.Keeper) error {
		me, err = k.Installation(ctx)
		return err
	})
	return me, err
}

// asKeeper runs fn with a connection that sees all users' rows.
func asKeeper(ctx context.Context, ownerURL string, fn func(*postgres.Keeper) error) error {
	keeper, err := postgres.OpenKeeper(ctx, ownerURL)
	if err != nil {
		return err
	}
	defer keeper.Close()
	return fn(keeper)
}

// own makes sure that a store is where this installation keeps content: another
// one's content would be garbage to this one, and a store without a mark may be
// the empty directory on which the real one is to be mounted. The first store
// of an installation is marked. The error is [api.Exists] for another one's, and
// [api.NotFound] when it is not the one that this installation has marked, or content is not there but elsewhere.
func own(ctx context.Context, ownerURL string, store blob.Store, name string) error {
	return asKeeper(ctx, ownerURL, func(k *postgres.Keeper) error {
		if name != inDatabase {
			if err := ownMark(ctx, k, store, name); err != nil {
				return err
			}
		}
		return current(ctx, k, store, name)
	})
}

// ownMark makes sure that a store has this installation's mark.
func ownMark(ctx context.Context, k *postgres.Keeper, store blob.Store, name string) error {
	me, err := k.Installation(ctx) // first: who notes a mark has written it
	if err != nil {
		return err
	}
	found, err := readMark(ctx, store, name)
	switch {
	case err != nil:
		return err
	case found == nil && me.Marked:
		return api.Errorf(api.NotFound, "%s has not the mark of this installation's blob store: check that its disk is mounted, and --blobs\n"+
			"if it is the right one, and was brought there in another way than by satcheld blobs copy: satcheld blobs claim", name)
	case found == nil:
		return take(ctx, k, me, store, name)
	}
	if err := mine(*found, me, blob.Content, name); err != nil || me.Marked {
		return err
	}
	return k.NoteMark(ctx)
}

// current makes sure that content is kept in a store, [api.NotFound], and not elsewhere: where an installation moved away from, or has
// never been, all that is not there would be taken for lost, and new content be put beside what is left. An object is there before its row
// is, so the newest pack tells.
func current(ctx context.Context, k *postgres.Keeper, store blob.Store, name string) error {
	var missed api.ID
	for {
		newest, err := k.NewestPack(ctx)
		switch {
		case err != nil || newest.IsZero():
			return err
		case newest == missed: // and not what garbage collection removed just then
			return api.Errorf(api.NotFound, "%s has not the newest content that this database names: check --blobs, content may have moved to another store\n"+
				"to move here, while no server runs: satcheld blobs copy FROM %[1]s\n"+
				"if that content is lost: satcheld blobs claim --force, then satcheld fsck, which names the files", name)
		}
		if there, err := hasPack(ctx, store, newest); err != nil || there {
			return err
		}
		missed = newest
	}
}

// giveUp marks the newest content as lost that a store has not, until it passes for the one where content is kept ([current]). The check
// finds the rest.
func giveUp(ctx context.Context, k *postgres.Keeper, store blob.Store) error {
	for {
		newest, err := k.NewestPack(ctx)
		if err != nil || newest.IsZero() {
			return err
		}
		if there, err := hasPack(ctx, store, newest); err != nil || there {
			return err
		}
		if err := k.LosePack(ctx, newest); err != nil {
			return err
		}
	}
}

func hasPack(ctx context.Context, store blob.Store, id api.ID) (bool, error) {
	body, err := store.Get(ctx, id.String(), 0, 1)
	if api.KindOf(err) == api.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, body.Close()
}

// readMark reads whose a store is; nil if nobody has marked it.
func readMark(ctx context.Context, store blob.Store, name string) (*blob.Mark, error) {
	found, err := blob.ReadMark(ctx, store)
	switch api.KindOf(err) {
	case "":
		return &found, nil
	case api.NotFound:
		return nil, nil
	case api.Invalid:
		return nil, api.Errorf(api.Invalid, "whose %s is can't be read: %w\nif it is this installation's: satcheld blobs claim", name, err)
	}
	return nil, err
}

// mine makes sure that a mark is of this installation, and of a store for what
// is meant: [api.Exists] if it is not.
func mine(found blob.Mark, me postgres.Installation, holds blob.Holding, name string) error {
	switch since := "marked on " + found.Since.Format("2006-01-02") + " by the host " + cli.Printable(found.Host); {
	case found.Holds != holds && holds == blob.Backups:
		return api.Errorf(api.Exists, "content is kept there (%s): a backup must be elsewhere", name)
	case found.Holds != holds:
		return api.Errorf(api.Exists, "backups are kept there (%s): content must be elsewhere", name)
	case found.Installation == me.ID:
		return nil
	case holds == blob.Backups:
		return api.Errorf(api.Exists, "%s is the store of backups of another installation, %s: each would remove the other one's\n"+
			"choose another place or, when that installation is no more, as after a restore: satcheld blobs claim %[1]s", name, since)
	default:
		return api.Errorf(api.Exists, "%s is the blob store of another installation, %s: all that this database does not know there would be removed as garbage\n"+
			"if the database was lost, bring back its backup: satcheld restore BACKUP --claim\n"+
			"otherwise choose another place with --blobs or, when that installation is no more: satcheld blobs claim", name, since)
	}
}

// take makes a store with content that nobody has marked this installation's. One
// of which it knows nothing is refused, [api.Exists], since garbage collection would
// empty it, and [api.NotFound] one that has nothing of what it knows.
func take(ctx context.Context, k *postgres.Keeper, me postgres.Installation, store blob.Store, name string) error {
	empty, known, err := knows(ctx, k, store)
	if err != nil {
		return err
	}
	some, err := k.HasPacks(ctx)
	switch {
	case err != nil:
		return err
	case known:
	case !empty:
		return api.Errorf(api.Exists, "%s has content, and this database knows none of it: garbage collection would remove it\n"+
			"if the database was lost, bring back its backup: satcheld restore BACKUP --claim\n"+
			"otherwise choose another place with --blobs, or give up what is there, if it is no more than the remains of broken uploads or of accounts that were removed: satcheld blobs claim --force", name)
	case some:
		return api.Errorf(api.NotFound, "%s has nothing of the content that this database names: check that its disk is mounted, and --blobs\n"+
			"if that content is lost: satcheld blobs claim --force, then satcheld fsck, which names the files", name)
	}
	return put(ctx, k, me, store, name)
}

// knows tells whether a store has no packs at all, and whether it has any that
// the database knows.
func knows(ctx context.Context, k *postgres.Keeper, store blob.Store) (empty, known bool, err error) {
	const page = 500
	empty = true
	var packs []api.ID
	look := func() error {
		unknown, err := k.UnknownPacks(ctx, packs)
		known = known || len(unknown) < len(packs)
		packs = packs[:0]
		return err
	}
	for info, err := range store.List(ctx) {
		if err != nil {
			return empty, known, err
		}
		if id, err := api.ParseID(info.Key); err == nil {
			empty = false
			packs = append(packs, id)
		}
		if len(packs) == page {
			if err := look(); err != nil || known {
				return empty, known, err
			}
		}
	}
	return empty, known, look()
}

// put makes a store with content this installation's, and makes sure that nobody
// else did at the same time.
func put(ctx context.Context, k *postgres.Keeper, me postgres.Installation, store blob.Store, name string) error {
	if err := newMark(me, blob.Content).Write(ctx, store); err != nil {
		return err
	}
	found, err := blob.ReadMark(ctx, store)
	if err == nil {
		err = mine(found, me, blob.Content, name)
	}
	if err != nil {
		return err
	}
	return k.NoteMark(ctx)
}

func newMark(me postgres.Installation, holds blob.Holding) blob.Mark {
	return blob.Mark{Installation: me.ID, Holds: holds, Host: hostname(), Since: time.Now().UTC()}
}

// hostname is this machine's name, for people; "" if it has none.
func hostname() string {
	name, _ := os.Hostname()
	return name
}

// ownBackups makes sure that a store of backups is this installation's, and marks
// one that nobody has marked if it is certain to be another place than the one of
// content. If that is not known, mayPrune is false: nothing may be removed there.
func ownBackups(ctx context.Context, me postgres.Installation, apart bool, store blob.Store, name string) (mayPrune bool, err error) {
	found, err := readMark(ctx, store, name)
	switch {
	case err != nil:
		return false, err
	case found != nil:
		return true, mine(*found, me, blob.Backups, name)
	case !apart:
		return false, nil
	}
	return true, takeBackups(ctx, me, store, name)
}

// takeBackups makes a store of backups this installation's. One with packs and
// without backups is where some installation keeps content: [api.Exists].
func takeBackups(ctx context.Context, me postgres.Installation, store blob.Store, name string) error {
	content, err := backup.IsContent(ctx, store)
	if err == nil && content {
		err = api.Errorf(api.Exists, "content is kept there (%s): a backup must be elsewhere", name)
	}
	if err != nil {
		return err
	}
	return newMark(me, blob.Backups).Write(ctx, store)
}
