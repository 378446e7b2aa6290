package postgres

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/storage/private"
)

var buffers = regexp.MustCompile(`Buffers: shared hit=(\d+)(?: read=(\d+))?`)

// pages is how many pages of 8 KiB a statement looked at, as its plan tells at its top.
func (p plan) pages() int {
	m := buffers.FindStringSubmatch(p.text)
	if m == nil {
		return 0
	}
	hit, _ := strconv.Atoi(m[1])
	read, _ := strconv.Atoi(m[2])
	return hit + read
}

// TestAdminPlans holds what an admin's pages ask to work that does not grow with
// the drives: figures come from tables that are as small as there are users and
// days, and a page of files reads what is on it. With -nodes 1000000 it is the
// drive of `make plans`, and with -plans it writes its figures at the file's end.
func TestAdminPlans(t *testing.T) {
	p := newPlanned(t, *plansNodes)
	admin, files := api.NewID(), p.made.Files
	database := p.db.pool.Config().ConnConfig
	superuser := *database
	superuser.User, superuser.OnNotice = private.Superuser, nil
	superuser.RuntimeParams = map[string]string{}
	conn, err := pgx.ConnectConfig(t.Context(), &superuser)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), `
		INSERT INTO satchel.users (id, email, role, password_hash) VALUES ($1::uuid, 'admin@example.org', 'admin', 'x')`, admin.String()); err != nil {
		t.Fatal(err)
	}
	// A year of days of each drive, and 100,000 events.
	for _, statement := range []string{
		`INSERT INTO satchel.activity (drive, owner, day, changes, added, removed, files, bytes, stored)
			SELECT d.id, d.owner, current_date - n, 10, 1000, 10, 1, 1, 1 FROM satchel.drives d, generate_series(0, 364) n`,
		`INSERT INTO satchel.audit (via, action, subject, at) SELECT 'server', 'action ' || n % 20, 'subject ' || n, now() - n * interval '1 minute' FROM generate_series(1, 100000) n`,
		`ANALYZE satchel.activity, satchel.audit, satchel.users`,
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	keeper := func() error {
		_, err := conn.Exec(t.Context(), `SET ROLE satchel_keeper; SET search_path = satchel`)
		k := &Keeper{conn: conn}
		if err == nil {
			err = k.CountExtensions(t.Context(), []string{"txt"})
		}
		return err
	}
	begin := time.Now()
	if err := keeper(); err != nil {
		t.Fatal(err)
	}
	t.Logf("counting the extensions of %d files took %v", files, time.Since(begin))

	var last Metadata
	metadata := func(q MetadataQuery, want int) func(context.Context, *Tx) error {
		return func(ctx context.Context, tx *Tx) error {
			if q.AfterDrive == (api.ID{1}) { // the page after the one before
				q.AfterDrive, q.AfterNode = last.Drive, last.Node
			}
			found, err := tx.Metadata(ctx, q)
			if err == nil && len(found) != want {
				err = fmt.Errorf("%d files, not %d", len(found), want)
			}
			if len(found) > 0 {
				last = found[len(found)-1]
			}
			return err
		}
	}
	var table strings.Builder
	for _, q := range []struct {
		name  string
		pages int // at most
		ask   func(context.Context, *Tx) error
	}{
		{"accounts", 100, func(ctx context.Context, tx *Tx) error { _, err := tx.Accounts(ctx); return err }},
		{"logins", 100, func(ctx context.Context, tx *Tx) error { _, err := tx.Logins(ctx, api.ID{}, "", 200, 0); return err }},
		{"days of all", 100, func(ctx context.Context, tx *Tx) error {
			_, err := tx.Days(ctx, time.Now().AddDate(0, 0, -30), api.ID{})
			return err
		}},
		{"days of one", 100, func(ctx context.Context, tx *Tx) error {
			_, err := tx.Days(ctx, time.Now().AddDate(-1, 0, 0), p.user)
			return err
		}},
		{"kinds", 100, func(ctx context.Context, tx *Tx) error { _, _, err := tx.Extensions(ctx, api.ID{}); return err }},
		{"the last events", 300, func(ctx context.Context, tx *Tx) error { _, err := tx.Events(ctx, EventQuery{Limit: 200}); return err }},
		{"events of an action", 800, func(ctx context.Context, tx *Tx) error {
			_, err := tx.Events(ctx, EventQuery{Action: "action 7", Limit: 200})
			return err
		}},
		{"which actions there are", 300, func(ctx context.Context, tx *Tx) error { _, err := tx.Actions(ctx); return err }},
		{"the first page of files", 12_000, metadata(MetadataQuery{Limit: 200}, 200)},
		{"the next page of files", 12_000, metadata(MetadataQuery{Limit: 200, AfterDrive: api.ID{1}}, 200)},
		{"files by owner", 12_000, metadata(MetadataQuery{Limit: 200, Owner: p.user}, 200)},
		{"files of a kind", 12_000, metadata(MetadataQuery{Limit: 200, Extensions: []string{"txt"}}, 200)},
		// This one reads all names there are, as it must, but not their nodes.
		{"files by a name that none has", 2000 + files/5, metadata(MetadataQuery{Limit: 200, Name: "nowhere-to-be-found"}, 0)},
	} {
		var plans []plan
		for range repeats {
			*p.took = nil
			if err := p.db.As(t.Context(), admin, q.ask); err != nil {
				t.Fatalf("%s: %v", q.name, err)
			}
			plans = slices.Clone(*p.took)
		}
		if len(plans) == 0 {
			t.Fatalf("%s: no plan came", q.name)
		}
		pages, ms := 0, 0.0
		for _, one := range plans {
			pages, ms = pages+one.pages(), ms+one.ms
		}
		t.Logf("%-32s %9.2f ms, %d pages", q.name, ms, pages)
		fmt.Fprintf(&table, "| %s | %d | %.2f |\n", q.name, pages, ms)
		if pages > q.pages {
			t.Errorf("%s looks at %d pages, more than %d:\n%s", q.name, pages, q.pages, plans[0].text)
		}
	}
	if *plansFile != "" {
		before, err := os.ReadFile(*plansFile)
		if err != nil {
			t.Fatal(err)
		}
		all, _, _ := strings.Cut(string(before), adminPlansIntro)
		if err := os.WriteFile(*plansFile, []byte(all+adminPlansIntro+table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

const adminPlansIntro = `
# What an admin's pages ask

On the same drive, with a year of days, 100,000 events and all files in one admin's view: pages of 8 KiB that PostgreSQL looked at, in its memory or
on the disk, and how long it took. A page of files is 200 of them with their paths; a name that none has makes it read all names.

| query | pages | ms |
|---|--:|--:|
`
