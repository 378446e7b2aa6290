package postgres

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"satchel/api"
	"satchel/storage/postgres/pgtest"
	"satchel/storage/postgres/populate"
	"satchel/storage/tree"
)

var (
	plansFile  = flag.String("plans", "", "write the plans of the hot queries into this Markdown `file`")
	plansNodes = flag.Int("nodes", 30_000, "nodes of the drive that they are made for")
)

// planned is a drive whose queries tell their plans.
type planned struct {
	db    *DB
	admin string // the database's address for its superuser
	user  api.ID
	by    Author
	drive Drive
	made  populate.Made
	took  *[]plan // of the statements since it was emptied
}

// plan is what PostgreSQL did for one statement, as auto_explain tells.
type plan struct {
	ms   float64
	text string
}

// newPlanned makes a drive, another user's beside it, and a
// connection on which every statement of satchel_app comes with its plan.
func newPlanned(t *testing.T, nodes int) *planned {
	t.Helper()
	p := newPlans(t)
	p.fill(t, populate.Shape{Nodes: nodes / 10, Wide: nodes / 100})
	p.fill(t, populate.Shape{Nodes: nodes, Wide: nodes / 10})
	return p
}

// newPlans makes the connection, to a database without users.
func newPlans(t *testing.T) *planned {
	t.Helper()
	database := pgtest.New(t)
	admin, err := pgx.Connect(t.Context(), database.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.WithoutCancel(t.Context()))
	config, err := configure(database.App)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 1 // so that its notices come one after another
	took := new([]plan)
	config.ConnConfig.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		ms, text, ok := strings.Cut(strings.TrimPrefix(n.Message, "duration: "), " ms  plan:\n")
		if ok && !strings.Contains(text, "set_config(") && !strings.Contains(text, "pg_notify(") {
			d, _ := strconv.ParseFloat(ms, 64)
			*took = append(*took, plan{d, strings.TrimSpace(text)})
		}
	}
	for _, table := range strings.Split(growing, "|") { // PostgreSQL would look at them by itself, now or later
		if _, err := admin.Exec(t.Context(), `ALTER TABLE satchel.`+table+` SET (autovacuum_enabled = off)`); err != nil {
			t.Fatal(err)
		}
	}
	var name string
	if err := admin.QueryRow(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	for _, set := range []string{
		"session_preload_libraries = 'auto_explain'", "auto_explain.log_min_duration = 0", "auto_explain.log_level = 'notice'",
		"auto_explain.log_analyze = on", "auto_explain.log_buffers = on",
	} {
		if _, err := admin.Exec(t.Context(), `LOAD 'auto_explain'; ALTER DATABASE `+name+` SET `+set); err != nil {
			t.Fatalf("auto_explain (it comes with PostgreSQL, on some systems in a package of its own, postgresql-contrib): %v", err)
		}
	}
	db, err := open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return &planned{db: db, admin: database.Admin, by: Author{Device: api.NewID(), Incarnation: api.NewID()}, took: took}
}

// fill makes another user, with a drive, whose plans are told from now on.
func (p *planned) fill(t *testing.T, s populate.Shape) {
	t.Helper()
	admin, err := pgx.Connect(t.Context(), p.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.WithoutCancel(t.Context()))
	p.user = api.NewID()
	if _, err := admin.Exec(t.Context(), `
		INSERT INTO satchel.users (id, email, role, password_hash, quota) VALUES ($1::uuid, $1::uuid::text, 'editor', 'x', 1::bigint << 50)`, p.user.String()); err != nil {
		t.Fatal(err)
	}
	err = p.db.As(t.Context(), p.user, func(ctx context.Context, tx *Tx) (err error) {
		if err := tx.EnsureHome(ctx); err != nil {
			return err
		}
		p.drive, err = tx.Home(ctx)
		return err
	})
	if err == nil {
		p.made, err = populate.Drive(t.Context(), p.admin, p.drive.ID, s)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// hot is a query that a request or a commit waits for.
type hot struct {
	name string
	ask  func(context.Context, *Tx) error
	all  bool // it is about the whole drive, so a scan of a table is no fault
}

func (p *planned) queries(t *testing.T) []hot {
	var hash api.Hash
	var node, version, doc api.ID
	var docs []api.ID
	err := p.db.AsReadOnly(t.Context(), p.user, func(ctx context.Context, tx *Tx) error {
		found, err := tx.Walk(ctx, p.drive.ID, p.drive.Root, p.made.Deep)
		if err == nil && len(found) != len(p.made.Deep) {
			err = fmt.Errorf("only %d nodes on the way", len(found))
		}
		if err != nil {
			return err
		}
		last := found[len(found)-1]
		node, version, doc = last.ID, last.Version, last.Document
		c, err := tx.Content(ctx, p.drive.ID, node, version)
		if err == nil {
			hash = c.Version.Chunks[0].Hash
		}
		if err != nil {
			return err
		}
		files, err := tx.Files(ctx, Tree{Drive: p.drive.ID, Owner: p.user, Root: p.drive.Root}, FileQuery{Limit: 100})
		for _, f := range files {
			docs = append(docs, f.ID)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	id := p.drive.ID
	path := make([]string, len(p.made.Deep))
	for i, n := range p.made.Deep {
		path[i] = string(n)
	}
	folder := strings.Join(path[:len(path)-1], "/") + "/%"
	return []hot{
		{name: "The drive of a request", ask: func(ctx context.Context, tx *Tx) error { _, err := tx.Drive(ctx, id); return err }},
		{name: "Look-up by path", ask: func(ctx context.Context, tx *Tx) error {
			_, err := tx.Walk(ctx, id, p.drive.Root, p.made.Deep)
			return err
		}},
		{name: "The first page of a large directory", ask: p.children("", 1000)},
		{name: "A later page of it", ask: p.children("file-0001000.txt", 1000)},
		{name: "Nodes that are to be listed together", ask: func(ctx context.Context, tx *Tx) error {
			found, err := tx.Dirs(ctx, id, []api.ID{p.made.Wide, p.made.Top, p.drive.Root})
			if err == nil && (len(found) != 3 || found[p.made.Wide].Entries < 1) {
				err = fmt.Errorf("found %+v", found)
			}
			return err
		}},
		{name: "The first pages of many directories", ask: func(ctx context.Context, tx *Tx) error {
			found, err := tx.FirstChildren(ctx, id, []Head{{p.made.Top, 1001}, {p.made.Wide, 1000}, {p.drive.Root, 10}})
			if err == nil && (len(found[0]) < 1 || len(found[1]) != 1000 || len(found[2]) < 1) {
				err = fmt.Errorf("pages of %d, %d and %d entries", len(found[0]), len(found[1]), len(found[2]))
			}
			return err
		}},
		{name: "All of it, as the page shows it", ask: func(ctx context.Context, tx *Tx) error {
			n := 0
			err := tx.EachBrief(ctx, id, p.made.Wide, func(Brief) error {
				n++
				return nil
			})
			if err == nil && n < 1 {
				err = fmt.Errorf("%d entries", n)
			}
			return err
		}},
		{name: "Folder size", all: true, ask: func(ctx context.Context, tx *Tx) error { _, err := tx.Usage(ctx, id, p.made.Top); return err }},
		{name: "The change feed, nearly at its end", ask: func(ctx context.Context, tx *Tx) error {
			_, err := tx.ChangesAfter(ctx, id, p.by, int64(p.made.Nodes-50), 1000)
			return err
		}},
		{name: "The state of nodes and entries that changed", ask: func(ctx context.Context, tx *Tx) error {
			_, err := tx.State(ctx, id, tree.Touched{Nodes: []api.ID{node, p.made.Top}, Entries: []tree.Key{{Parent: p.made.Wide, Name: "file-0000001.txt"}}})
			return err
		}},
		{name: "Which chunks are missing", ask: func(ctx context.Context, tx *Tx) error {
			_, _, err := tx.MissingChunks(ctx, p.user, []api.Hash{hash, {1}})
			return err
		}},
		{name: "Where chunks are", ask: func(ctx context.Context, tx *Tx) error {
			_, err := tx.FindChunks(ctx, p.user, []api.Hash{hash})
			return err
		}},
		{name: "Content of a file", ask: func(ctx context.Context, tx *Tx) error {
			_, err := tx.Content(ctx, id, node, api.ID{})
			return err
		}},
		{name: "Contents of many small files", ask: func(ctx context.Context, tx *Tx) error {
			_, err := tx.Contents(ctx, id, []api.ContentRef{{Node: node}, {Node: node, Version: version}}, 1<<20)
			return err
		}},
		{name: "The history of a file", ask: func(ctx context.Context, tx *Tx) error {
			found, err := tx.Versions(ctx, id, doc)
			if err == nil && len(found) != 1 {
				err = fmt.Errorf("%d versions", len(found))
			}
			return err
		}},
		{name: "Descriptions of 100 files", ask: func(ctx context.Context, tx *Tx) error {
			return tx.Describe(ctx, id, p.user, "what it is", docs...)
		}},
		{name: "The trash", ask: func(ctx context.Context, tx *Tx) error { _, err := tx.Trash(ctx, id, 1<<62, 100); return err }},
		{name: "A folder's files, as /files lists them", ask: func(ctx context.Context, tx *Tx) error {
			_, err := tx.Files(ctx, Tree{Drive: id, Owner: p.user, Root: p.drive.Root},
				FileQuery{Filters: []Filter{{Column: ColumnFilePath, Op: Like, Values: []string{folder}}}, Limit: 100})
			return err
		}},
		{name: "A pack's chunks become known", ask: p.addPack},
		{name: "Commit of 100 created files", ask: p.commit(func(i int) []api.Mutation { return p.creations(100) })},
		{name: "Commit of a rename of the top folder", ask: p.commit(func(i int) []api.Mutation {
			names := []api.Name{"top", "renamed"}
			return []api.Mutation{{Op: api.OpRename, Node: p.made.Top, Parent: p.drive.Root, Name: names[i%2], ToParent: p.drive.Root, ToName: names[1-i%2], Time: 1}}
		})},
	}
}

func (p *planned) children(after api.Name, n int) func(context.Context, *Tx) error {
	return func(ctx context.Context, tx *Tx) error {
		page, err := tx.Children(ctx, p.drive.ID, p.made.Wide, after, n)
		if err == nil && len(page) != n {
			err = fmt.Errorf("a page of %d entries", len(page))
		}
		return err
	}
}

func (p *planned) addPack(ctx context.Context, tx *Tx) error {
	hashes := make([]Extent, 100)
	for i := range hashes {
		id := api.NewID()
		hashes[i] = Extent{Hash: api.Hash(slices.Repeat(id[:], 2)), Off: int64(i) * 100, Len: 100}
	}
	slices.SortFunc(hashes, func(a, b Extent) int { return strings.Compare(string(a.Hash[:]), string(b.Hash[:])) })
	return tx.AddPack(ctx, p.user, Pack{ID: api.NewID(), Bytes: 10_000, Came: time.Now(), Chunks: hashes})
}

func (p *planned) creations(n int) []api.Mutation {
	batch := make([]api.Mutation, n)
	for i := range batch {
		batch[i] = api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: p.made.Top, Name: api.Name("new-" + api.NewID().String()),
			Attr: &api.Attr{Type: api.File}, Version: &api.Version{ID: api.NewID(), SHA256: emptySum}, Time: 1}
	}
	return batch
}

// emptySum is the SHA-256 of nothing.
var emptySum = api.Hash(sha256.Sum256(nil))

// commit is what storage does for a batch.
func (p *planned) commit(batch func(i int) []api.Mutation) func(context.Context, *Tx) error {
	i := 0
	return func(ctx context.Context, tx *Tx) error {
		locked, err := tx.Lock(ctx, p.drive.ID, p.user, p.by, nil)
		if err != nil {
			return err
		}
		set := tree.NewSet(locked.Drive, tx.Working(ctx, p.drive.ID, p.by.Device), tree.Env{Device: p.by.Device, DeviceName: "laptop", Chunks: locked.Chunks, NewID: api.NewID})
		outcomes, err := set.Apply(batch(i))
		if err != nil {
			return err
		}
		i++
		for _, o := range outcomes {
			if o.Status != api.Applied {
				return fmt.Errorf("%+v", o)
			}
		}
		return tx.Write(ctx, []tree.Diff{set.Diff()}, p.by, Answer{Number: locked.Last.Number + 1, Outcomes: outcomes})
	}
}

// repeats is how often a query runs before its plan counts: after five times
// PostgreSQL may keep one plan for all parameters.
const repeats = 7

// TestPlans holds the hot queries to plans that do not grow with the drive,
// under row-level security and beside another user's drive. With -plans it
// writes them down (`make plans`).
func TestPlans(t *testing.T) {
	p := newPlanned(t, *plansNodes)
	var details, table strings.Builder
	for _, q := range p.queries(t) {
		plans := p.plans(t, q)
		sum := 0.0
		fmt.Fprintf(&details, "\n## %s\n", q.name)
		for _, one := range plans {
			sum += one.ms
			fmt.Fprintf(&details, "\n```\n%s\n```\n", tidy(one.text))
		}
		t.Logf("%-50s %8.3f ms, %d statements", q.name, sum, len(plans))
		fmt.Fprintf(&table, "| %s | %d | %.2f |\n", q.name, len(plans), sum)
	}
	if *plansFile != "" {
		intro := fmt.Sprintf(plansIntro, p.made.Nodes, p.made.Files, time.Now().UTC().Format(time.DateOnly))
		if err := os.WriteFile(*plansFile, []byte(intro+table.String()+details.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPlansOfAFreshDrive holds them to the same in a drive that was filled just now, of which the planner's
// statistics say that it has hardly a row. There it would take any index that has the drive in front, and
// throw away all of the drive that it reads, for each row.
func TestPlansOfAFreshDrive(t *testing.T) {
	p := newPlans(t)
	p.fill(t, populate.Shape{Nodes: *plansNodes, Wide: *plansNodes / 10})
	p.fill(t, populate.Shape{Nodes: *plansNodes, Wide: *plansNodes / 10, Fresh: true})
	for _, q := range p.queries(t) {
		p.plans(t, q)
	}
}

// TestPlansOfAFreshServer holds them to the same on a server whose tables had next to nothing when its
// connections first asked, and have not been looked at since.
func TestPlansOfAFreshServer(t *testing.T) {
	p := newPlans(t)
	p.fill(t, populate.Shape{Nodes: 4, Wide: 1, Fresh: true})
	for _, q := range p.queries(t) {
		for range repeats {
			p.db.As(t.Context(), p.user, q.ask) // a few complain of how little they find
		}
	}
	p.fill(t, populate.Shape{Nodes: *plansNodes, Wide: *plansNodes / 10, Fresh: true})
	was := planAge
	t.Cleanup(func() { planAge = was })
	planAge = 0 // some time has gone by
	for _, q := range p.queries(t) {
		p.plans(t, q)
	}
}

// plans are those of a query's statements when it runs as often as makes them the ones that are kept, held to what checkPlan asks.
func (p *planned) plans(t *testing.T, q hot) []plan {
	t.Helper()
	for range repeats {
		*p.took = nil
		if err := p.db.As(t.Context(), p.user, q.ask); err != nil {
			t.Fatalf("%s: %v", q.name, err)
		}
	}
	plans := slices.Clone(*p.took) // that of a transaction's last statement comes with COMMIT
	if len(plans) == 0 {
		t.Fatalf("%s: no plan came", q.name)
	}
	for _, one := range plans {
		if !q.all {
			checkPlan(t, q.name, one)
		}
	}
	return plans
}

const plansIntro = `# Plans of the hot queries

Written by ` + "`make plans`" + `: as ` + "`satchel_app`" + `, under row-level security, for a drive of %d nodes (%d files) beside another
user's, on %s. The plans are those of the seventh run, made for all values of a statement's parameters;
times are PostgreSQL's own, and include what measuring each step costs. ` + "`$0`" + ` is the user, from the setting, found once for each statement.
` + "`go test ./storage/postgres -run TestPlans`" + ` holds them to what they are here: no table that grows is scanned, and hardly
a row is read to be thrown away.

| query | statements | ms |
|---|--:|--:|
`

// growing are the tables whose rows are as many as a drive's files.
const growing = `nodes|entries|versions|dirs|chunks|changes`

var (
	scanned = regexp.MustCompile(`Seq Scan on (` + growing + `)\b`)
	removed = regexp.MustCompile(`Rows Removed by Filter: (\d+)`)
	guarded = regexp.MustCompile(`owner = \$\d+|One-Time Filter: \(\$\d+ = `) // $n is the user, from the setting
	touches = regexp.MustCompile(` (on|using \w+ on) (` + growing + `)\b`)
	noise   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	lists   = regexp.MustCompile(`'\{[^}]{80,}\}'`)
)

// checkPlan tells what would make a query slower on a larger drive.
func checkPlan(t *testing.T, name string, p plan) {
	t.Helper()
	if m := scanned.FindString(p.text); m != "" {
		t.Errorf("%s: %s:\n%s", name, m, p.text)
	}
	for _, m := range removed.FindAllStringSubmatch(p.text, -1) {
		if n, err := strconv.Atoi(m[1]); err != nil || n > 100 {
			t.Errorf("%s: %s rows are read in vain:\n%s", name, m[1], p.text)
		}
	}
	foreignKey := strings.Contains(p.text, "SELECT 1 FROM ONLY") // PostgreSQL's own look-up
	if touches.MatchString(p.text) && !strings.Contains(p.text, "INSERT") && !foreignKey && !guarded.MatchString(p.text) {
		t.Errorf("%s: nothing of row-level security is in\n%s", name, p.text)
	}
}

// tidy shortens what would differ each time.
func tidy(text string) string {
	text = lists.ReplaceAllString(noise.ReplaceAllString(text, "…"), "'{…}'")
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(strings.ReplaceAll(l, "\t", "  "), " ")
	}
	return strings.Join(lines, "\n")
}

// TestRenameWritesAFewRows: whatever is below a folder, renaming or moving it
// writes the same few rows.
func TestRenameWritesAFewRows(t *testing.T) {
	p := newPlanned(t, 3000)
	counted := errors.New("counted")
	written := func(m api.Mutation) int64 {
		t.Helper()
		var before, after int64
		err := p.db.As(t.Context(), p.user, func(ctx context.Context, tx *Tx) error {
			count := func(n *int64) error { // of the connection, as far as it has not told the others
				return tx.conn.QueryRow(ctx, `
					SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_xact_user_tables WHERE schemaname = 'satchel'`).Scan(n)
			}
			err := count(&before)
			if err == nil {
				err = p.commit(func(int) []api.Mutation { return []api.Mutation{m} })(ctx, tx)
			}
			if err == nil {
				err = count(&after)
			}
			return cmp.Or(err, counted) // and roll back
		})
		if !errors.Is(err, counted) {
			t.Fatal(err)
		}
		return after - before
	}
	empty := api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: p.drive.Root, Name: "empty", Attr: &api.Attr{Type: api.Directory}, Time: 1}
	if err := p.db.As(t.Context(), p.user, p.commit(func(int) []api.Mutation { return []api.Mutation{empty} })); err != nil {
		t.Fatal(err)
	}
	rename := func(node api.ID, from api.Name) api.Mutation {
		return api.Mutation{Op: api.OpRename, Node: node, Parent: p.drive.Root, Name: from, ToParent: p.drive.Root, ToName: "renamed", Time: 1}
	}
	full, none := written(rename(p.made.Top, "top")), written(rename(empty.Node, "empty"))
	t.Logf("%d rows", full)
	if full != none || full < 1 || full > 12 {
		t.Errorf("renaming a folder of %d nodes writes %d rows, an empty one %d", p.made.Nodes, full, none)
	}
}
