package main

import (
	"fmt"

	"satchel/api"
	"satchel/storage/blob"
	"satchel/storage/postgres"
)

type blobsClaimCmd struct {
	Store string `arg:"" optional:"" help:"A store of backups; without it, the store of --blobs."`
	Force bool   `help:"Also a store of which this database knows nothing, which will be removed as garbage, or that has nothing of what the database names."`
}

// Run makes a store this installation's. What another one has there is its loss,
// so none must use it any more.
func (cmd *blobsClaimCmd) Run(p *program) error {
	at, holds := place{path: p.storeName()}, blob.Content
	var err error
	switch {
	case cmd.Store != "":
		holds = blob.Backups
		if at, err = p.place(cmd.Store); err == nil && at.open == nil {
			err = usageError{fmt.Sprintf("%s is no store: give file:DIR or s3://…", cmd.Store)}
		}
	case p.Blobs == inDatabase && !cmd.Force:
		err = usageError{"the store " + inDatabase + " is in the database, and nobody else's: there is nothing to claim"}
	default:
		at.open, err = p.blobStore()
	}
	if err != nil {
		return err
	}
	db, err := p.openDatabase(p.ctx)
	if err != nil {
		return err
	}
	defer db.close()
	store, closeStore, err := at.open(p.ctx, db, p.log)
	if err != nil {
		return err
	}
	defer closeStore()
	if err := cmd.claim(p, db, store, at.path, holds); err != nil {
		return err
	}
	return p.answer(map[string]string{"store": at.path, "holds": string(holds)}, "%s is this installation's", at.path)
}

func (cmd *blobsClaimCmd) claim(p *program, db *database, store blob.Store, name string, holds blob.Holding) error {
	return asKeeper(p.ctx, db.owner, func(k *postgres.Keeper) error {
		me, err := k.Installation(p.ctx)
		if err != nil {
			return err
		}
		found, err := readMark(p.ctx, store, name)
		switch {
		case err != nil && api.KindOf(err) != api.Invalid: // a damaged mark gets another one
			return err
		case found != nil && found.Holds != holds:
			return mine(*found, me, holds, name)
		case holds == blob.Backups && found != nil:
			return newMark(me, holds).Write(p.ctx, store)
		case holds == blob.Backups:
			return takeBackups(p.ctx, me, store, name)
		case cmd.Force:
			if name != inDatabase {
				if err := put(p.ctx, k, me, store, name); err != nil {
					return err
				}
			}
			return giveUp(p.ctx, k, store)
		}
		return take(p.ctx, k, me, store, name)
	})
}
