package storage

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"satchel/api"
)

var rowsRead = regexp.MustCompile(`actual (?:time=\S+ )?rows=([\d.]+) loops=(\d+)|Rows Removed by [A-Za-z ]+: (\d+)`)

// What the database looks at when a guest gives names to other files grows with their number, not with its square: the drive is locked meanwhile.
func TestNamesOfGuestsCostWhatTheyAre(t *testing.T) {
	s := newSharing(t)
	s.grant(t, "shared", s.bob.User.String(), "read", "list", "write", "rename")
	config, err := pgx.ParseConfig(s.world.admin.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	rows := 0.0
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		loops := 1.0
		for _, m := range rowsRead.FindAllStringSubmatch(n.Message, -1) {
			if m[3] == "" {
				each, _ := strconv.ParseFloat(m[1], 64)
				loops, _ = strconv.ParseFloat(m[2], 64)
				rows += each * loops
			} else { // of the same step of the plan, for each loop
				removed, _ := strconv.ParseFloat(m[3], 64)
				rows += removed * loops
			}
		}
	}
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_level = 'notice';
		SET auto_explain.log_analyze = on; SET auto_explain.log_nested_statements = on`); err != nil {
		t.Fatal(err)
	}

	// read is how many rows it takes to let so many files of two folders change places.
	read := func(pairs int) float64 {
		one, two := createDir(s.home.lookup(t, "shared").ID, api.Name(fmt.Sprint("one ", pairs))), createDir(s.home.lookup(t, "shared").ID, api.Name(fmt.Sprint("two ", pairs)))
		batch := []api.Mutation{one, two}
		for i := range pairs {
			for _, dir := range []api.ID{one.Node, two.Node} {
				batch = append(batch, api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: dir, Name: api.Name(fmt.Sprint(i)), Attr: &api.Attr{Type: api.Symlink, Target: "x"}, Time: 1})
			}
		}
		for _, o := range s.home.commit(t, batch...).Outcomes {
			if o.Status != api.Applied {
				t.Fatalf("%+v", o)
			}
		}
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback(t.Context())
		if _, err := tx.Exec(t.Context(), `SELECT set_config('satchel.actor', $1, true)`, s.bob.User.String()); err != nil {
			t.Fatal(err)
		}
		rows = 0
		tag, err := tx.Exec(t.Context(), `
			UPDATE satchel.entries e SET node = o.node, born = d.seq + 1
			FROM satchel.entries o, satchel.drives d
			WHERE d.id = e.drive AND e.drive = $1 AND o.drive = e.drive AND o.name = e.name AND o.parent <> e.parent AND e.parent = ANY ($2) AND o.parent = ANY ($2)`,
			s.home.ID(), []api.ID{one.Node, two.Node})
		if err != nil || tag.RowsAffected() != int64(2*pairs) {
			t.Fatalf("%v %v", tag, err)
		}
		return rows
	}
	read(1) // statements are prepared
	few, many := read(20), read(320)
	if few < 40 || many > 16*2*few {
		t.Errorf("it reads %.0f rows for 20 exchanges and %.0f for 320", few, many)
	}
}
