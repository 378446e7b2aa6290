package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/storage/postgres/populate"
)

// TestPlansOfUploads: a page of uploads reads what is on it, of however many, and whatever PostgreSQL knows of how many there are.
func TestPlansOfUploads(t *testing.T) {
	p := newPlans(t)
	p.fill(t, populate.Shape{Nodes: 4, Wide: 1})
	admin, err := pgx.Connect(t.Context(), p.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.WithoutCancel(t.Context()))
	bucket := api.NewID()
	page := hot{name: "A page of uploads", ask: func(ctx context.Context, tx *Tx) error {
		found, err := tx.Uploads(ctx, p.drive.ID, bucket, Upload{Key: "x/10000"}, 100)
		if err == nil && (len(found) != 100 || found[0].Key != "x/10000") {
			err = fmt.Errorf("a page of %d", len(found))
		}
		return err
	}}
	for _, statement := range []string{
		`ALTER TABLE satchel.uploads SET (autovacuum_enabled = off)`,
		`INSERT INTO satchel.uploads (drive, owner, id, bucket, key)
			SELECT d.id, d.owner, gen_random_uuid(), b::uuid, 'x/' || n
			FROM satchel.drives d, generate_series(10000, 29999) n, unnest(ARRAY['` + bucket.String() + `', '` + api.NewID().String() + `']) b
			WHERE d.id = '` + p.drive.ID.String() + `'`,
		`ANALYZE satchel.uploads`,
	} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(statement, "ALTER") {
			for _, one := range p.plans(t, page) {
				if n := one.pages(); n > 120 || strings.Contains(one.text, "Sort") {
					t.Errorf("%d pages of 8 KiB for 100 uploads:\n%s", n, one.text)
				}
			}
		}
	}
}

// TestKeysOfUploads: a key as long as there are is in the index, and a path that is longer than what an index has room for is a resumable
// upload's.
func TestKeysOfUploads(t *testing.T) {
	p := newPlans(t)
	p.fill(t, populate.Shape{Nodes: 4, Wide: 1})
	long := func(n int) string {
		var b strings.Builder
		for b.Len() < n {
			id := api.NewID() // what does not get smaller
			b.WriteString(id.String())
		}
		return b.String()[:n]
	}
	if err := p.db.As(t.Context(), p.user, func(ctx context.Context, tx *Tx) error {
		if err := tx.AddUpload(ctx, p.drive.ID, p.user, Upload{ID: api.NewID(), Bucket: api.NewID(), Key: long(1024)}); err != nil {
			return err
		}
		return tx.AddResumable(ctx, p.drive.ID, p.drive.Root, p.user, Resumable{ID: api.NewID(), Path: long(20_000)})
	}); err != nil {
		t.Error(err)
	}
}
