package postgres

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"satchel/api"
)

// TestPlansOfMakingRoom holds to it what follows each save where the files nearly fill the quota, and the looks and the steps by which a drive
// that is far over it gets room.
func TestPlansOfMakingRoom(t *testing.T) {
	defer func(was int) { evictablePage = was }(evictablePage)
	evictablePage = 50
	p := newPlanned(t, *plansNodes)
	i := 0
	p.plans(t, hot{name: "Making room for what was replaced", ask: func(ctx context.Context, tx *Tx) error {
		name := api.Name(fmt.Sprintf("file-%07d.txt", i))
		i++
		found, err := tx.Walk(ctx, p.drive.ID, p.made.Wide, []api.Name{name})
		if err != nil || len(found) != 1 {
			return fmt.Errorf("%s: %d, %w", name, len(found), err)
		}
		write := api.Mutation{Op: api.OpWrite, Node: found[0].ID, Base: found[0].Version, Parent: p.made.Wide, Name: name, Version: &api.Version{ID: api.NewID(), SHA256: emptySum}, Time: 1}
		if err := p.commit(func(int) []api.Mutation { return []api.Mutation{write} })(ctx, tx); err != nil {
			return err
		}
		drive, err := tx.Drive(ctx, p.drive.ID)
		if err != nil {
			return err
		}
		replaced, err := tx.Replaced(ctx, p.drive.ID)
		if err != nil {
			return err
		}
		gone, enough, err := tx.Evict(ctx, p.drive.ID, p.user, replaced, drive.Stored-found[0].Size)
		if err == nil && (gone != Expired{Versions: 1, Bytes: found[0].Size} || !enough) {
			err = fmt.Errorf("%+v of %d bytes went", gone, found[0].Size)
		}
		return err
	}})
	p.plans(t, hot{name: "A look at what may give way", ask: func(ctx context.Context, tx *Tx) error {
		_, last, more, err := tx.Evictable(ctx, p.drive.ID, api.ID{})
		if err == nil {
			_, _, more, err = tx.Evictable(ctx, p.drive.ID, last)
		}
		if err == nil && !more {
			err = errors.New("there are no more")
		}
		return err
	}})
}
