package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// TestUsersAreApart: whatever Boris asks, by any API, his mount or SQL, he
// learns nothing of Anna's files, not even that they are there.
func TestUsersAreApart(t *testing.T) {
	s := server(t)
	anna, boris := newAccount(t, s, "anna"), newAccount(t, s, "boris")
	secret := anna.store(t, "diary/secret.txt", []byte("Anna's own"))
	boris.store(t, "diary/his.txt", []byte("Boris's own"))

	missing := boris.retrieve(t, "diary/nothing.txt")
	hidden := boris.retrieve(t, "diary/secret.txt")
	if missing.status != 400 || missing.message() != "File not found." || hidden.String() != missing.String() {
		t.Errorf("a missing file: %v; a hidden one: %v", missing, hidden)
	}
	for _, path := range []string{"../diary/secret.txt", "diary/../../" + anna.email + "/diary/secret.txt", "/diary/secret.txt"} {
		if got := boris.retrieve(t, path); got.status != 400 {
			t.Errorf("retrieve %q: %v", path, got)
		}
	}
	for _, f := range boris.files(t, "select=*") {
		if f.ID == secret || f.FilePath != "diary/his.txt" {
			t.Errorf("Boris's /files has %+v", f)
		}
	}
	if all := boris.files(t, "id=eq."+secret); len(all) != 0 {
		t.Errorf("/files by the id of Anna's file: %+v", all)
	}
	boris.ask(t, "DELETE", "/files?id=eq."+secret, nil, nil)
	boris.ask(t, "PATCH", "/files?id=eq."+secret, map[string]string{"Content-Type": "application/json"}, []byte(`{"file_path":"diary/mine.txt"}`))
	must(t, anna.stored(t, "diary/secret.txt", []byte("Anna's own")))

	var home struct{ ID, Root string }
	got := anna.ask(t, "GET", "/v1/drives/home", nil, nil)
	if err := json.Unmarshal(got.body, &home); err != nil || home.ID == "" {
		t.Fatalf("/v1/drives/home: %v %v", got, err)
	}
	nowhere := "00000000-0000-7000-8000-00000000dead"
	for _, path := range []string{"", "/nodes/" + home.Root, "/nodes/" + home.Root + "/children", "/nodes/" + home.Root + "/content", "/lookup?path=diary/secret.txt", "/changes?after=0&wait=0"} {
		mine, theirs := anna.ask(t, "GET", "/v1/drives/"+home.ID+path, nil, nil), boris.ask(t, "GET", "/v1/drives/"+home.ID+path, nil, nil)
		absent := boris.ask(t, "GET", "/v1/drives/"+nowhere+path, nil, nil)
		if theirs.status != 404 || absent.status != 404 {
			t.Errorf("GET /v1/drives/…%s: Anna's %v, Boris asking for it %v, for none %v", path, mine.status, theirs, absent)
		}
	}
	for _, path := range []string{"/batches", "/missing", "/packs"} {
		if got := boris.ask(t, "POST", "/v1/drives/"+home.ID+path, map[string]string{"Content-Type": "application/json"}, []byte(`{"hashes":[],"incarnation":"`+nowhere+`","number":1,"mutations":[]}`)); got.status != 404 {
			t.Errorf("POST /v1/drives/…%s: %v", path, got)
		}
	}

	d := boris.mountNew(t, "boris")
	if out := command(t, d.Mount, "find", ".", "-type", "f"); out != "./diary/his.txt\n" {
		t.Errorf("Boris's mount has %q", out)
	}
	if _, err := os.Stat(filepath.Join(d.Mount, "diary", "secret.txt")); !os.IsNotExist(err) {
		t.Errorf("stat of Anna's file in Boris's mount: %v", err)
	}
}

// TestDatabaseIsTheGuard asks as the service's own role, behind its back: the
// database alone keeps users apart.
func TestDatabaseIsTheGuard(t *testing.T) {
	s := server(t)
	anna, boris := newAccount(t, s, "anna"), newAccount(t, s, "boris")
	anna.store(t, "secret.txt", []byte("Anna's own"))
	boris.store(t, "his.txt", []byte("Boris's own"))
	annaID, borisID := anna.files(t, "select=*")[0].UserID, boris.files(t, "select=*")[0].UserID

	out, err := s.Satcheld(t.Context(), "", "psql-url")
	must(t, err)
	db, err := pgx.Connect(t.Context(), strings.TrimSpace(out))
	must(t, err)
	defer db.Close(context.Background())
	var who string
	must(t, db.QueryRow(t.Context(), "SELECT current_user").Scan(&who))
	if who != "satchel_app" {
		t.Fatalf("psql-url logs in as %s", who)
	}

	rows, err := db.Query(t.Context(), `
		SELECT c.oid::regclass::text, c.relrowsecurity AND c.relforcerowsecurity, r.rolname,
			has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
		WHERE n.nspname = 'satchel' AND c.relkind IN ('r', 'p')`)
	must(t, err)
	type table struct {
		Name     string
		Guarded  bool
		Owner    string
		Readable bool
	}
	tables, err := pgx.CollectRows(rows, pgx.RowToStructByPos[table])
	must(t, err)
	if len(tables) < 5 {
		t.Fatalf("only %d tables in the schema: %+v", len(tables), tables)
	}

	as := func(user string, fn func(tx pgx.Tx) error) error {
		return pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
			if user != "" {
				if _, err := tx.Exec(t.Context(), "SELECT set_config('satchel.user_id', $1, true)", user); err != nil {
					return err
				}
			}
			return fn(tx)
		})
	}
	// text is every visible row of a table, as text.
	text := func(user string, tab table) (all string) {
		err := as(user, func(tx pgx.Tx) error {
			rows, err := tx.Query(t.Context(), "SELECT * FROM "+tab.Name)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				values, err := rows.Values()
				if err != nil {
					return err
				}
				for _, v := range values {
					if id, ok := v.([16]byte); ok {
						v = fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
					}
					all += fmt.Sprintf("%v ", v)
				}
			}
			return rows.Err()
		})
		if code := sqlState(err); err != nil && code != "42501" {
			t.Errorf("reading %s: %v", tab.Name, err)
		}
		return all
	}
	seen := 0
	for _, tab := range tables {
		if strings.Contains(tab.Name, "goose") {
			continue
		}
		if tab.Owner == "satchel_app" {
			t.Errorf("%s belongs to the role that serves requests", tab.Name)
		}
		if !tab.Guarded && tab.Readable {
			t.Errorf("%s is readable and has no forced row-level security", tab.Name)
		}
		if got := text("", tab); strings.Contains(got, annaID) || strings.Contains(got, borisID) {
			t.Errorf("with no user set, %s shows %.300s", tab.Name, got)
		}
		got := text(borisID, tab)
		if strings.Contains(got, annaID) {
			t.Errorf("as Boris, %s shows Anna's %.300s", tab.Name, got)
		}
		if strings.Contains(got, borisID) {
			seen++
		}
	}
	if seen < 3 {
		t.Errorf("Boris sees himself in %d tables only: these checks show nothing", seen)
	}

	for what, statement := range map[string]string{
		"raise one's own role":   "UPDATE satchel.users SET role = 'admin' WHERE id = '" + borisID + "'",
		"make a drive for Anna":  "INSERT INTO satchel.drives (id, owner, name) VALUES (gen_random_uuid(), '" + annaID + "', 'x')",
		"become the owner":       "SET ROLE satchel_owner",
		"turn the guard off":     "ALTER TABLE satchel.nodes DISABLE ROW LEVEL SECURITY",
		"read password hashes":   "SELECT password_hash FROM satchel.users",
		"add a signing key":      "INSERT INTO satchel.signing_keys SELECT * FROM satchel.signing_keys",
		"make a superuser":       "CREATE ROLE evil SUPERUSER",
		"read the server's disk": "SELECT pg_read_file('/etc/passwd')",
	} {
		err := as(borisID, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), statement)
			return err
		})
		if sqlState(err) != "42501" {
			t.Errorf("%s: %v, wanted SQLSTATE 42501", what, err)
		}
	}
}

func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
