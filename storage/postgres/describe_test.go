package postgres

import (
	"context"
	"slices"
	"strings"
	"testing"

	"satchel/api"
	"satchel/storage/postgres/populate"
)

// Any number of documents is described by one statement.
func TestDescribeIsOneStatement(t *testing.T) {
	p := newPlans(t)
	p.fill(t, populate.Shape{Wide: 1000})
	err := p.db.As(t.Context(), p.user, func(ctx context.Context, tx *Tx) error {
		files, err := tx.Files(ctx, Tree{Drive: p.drive.ID, Owner: p.user, Root: p.drive.Root}, FileQuery{})
		if err != nil {
			return err
		}
		docs := make([]api.ID, len(files))
		for i, f := range files {
			docs[i] = f.ID
		}
		*p.took = nil
		if err := tx.Describe(ctx, p.drive.ID, p.user, "described", append(docs, docs[0])...); err != nil {
			return err
		}
		statements := slices.DeleteFunc(*p.took, func(one plan) bool { return !strings.Contains(one.text, "INSERT INTO documents") })
		if len(docs) != 1000 || len(statements) != 1 {
			t.Errorf("%d documents in %d statements", len(docs), len(statements))
		}
		described := FileQuery{Filters: []Filter{{Column: ColumnDescription, Op: Eq, Values: []string{"described"}}}}
		if n, err := tx.CountFiles(ctx, Tree{Drive: p.drive.ID, Owner: p.user, Root: p.drive.Root}, described); err != nil || n != 1000 {
			t.Errorf("%d are described: %v", n, err)
		}
		return tx.Describe(ctx, p.drive.ID, p.user, "gone", docs[0], api.NewID())
	})
	if api.KindOf(err) != api.NotFound {
		t.Errorf("one that is not there: %v", err)
	}
}
