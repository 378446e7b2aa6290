package live

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// What no API does: this file goes behind the server's back.

// Backup stops the server and makes restore, which makes it what it is now: with
// another epoch, as after `satcheld restore`. The server must be started again
// after either.
func (s *Server) Backup() (restore func()) {
	s.t.Helper()
	s.Stop()
	cfg, err := pgx.ParseConfig(s.urls.Admin)
	if err != nil {
		s.t.Fatal(err)
	}
	name := cfg.Database
	cfg.Database = "postgres"
	admin := func(statements ...string) {
		s.t.Helper()
		db, err := pgx.ConnectConfig(context.Background(), cfg)
		if err != nil {
			s.t.Fatal(err)
		}
		defer db.Close(context.Background())
		for _, q := range statements {
			if _, err := db.Exec(context.Background(), q); err != nil {
				s.t.Fatalf("%s: %v", q, err)
			}
		}
	}
	admin("CREATE DATABASE " + name + "_backup TEMPLATE " + name)
	s.t.Cleanup(func() { admin("DROP DATABASE IF EXISTS " + name + "_backup") })
	return func() {
		s.t.Helper()
		s.Stop()
		admin("DROP DATABASE "+name+" WITH (FORCE)", "CREATE DATABASE "+name+" TEMPLATE "+name+"_backup")
		if _, err := s.sql("UPDATE satchel.drives SET epoch = gen_random_uuid()"); err != nil {
			s.t.Fatal(err)
		}
	}
}

// sql runs a statement as the database's superuser, whom no policy binds, and
// returns the first column of its rows as text.
func (s *Server) sql(statement string, args ...any) ([]string, error) {
	ctx := context.Background()
	db, err := pgx.Connect(ctx, s.urls.Admin)
	if err != nil {
		return nil, err
	}
	defer db.Close(ctx)
	rows, err := db.Query(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (string, error) {
		v, err := r.Values()
		if err != nil {
			return "", err
		}
		return fmt.Sprint(v[0]), nil
	})
}

// SetQuota sets the account's quota in bytes; 0 = none.
func (u *User) SetQuota(bytes int64) error {
	_, err := u.s.sql("UPDATE satchel.users SET quota = $2 WHERE id = $1", u.ID.String(), bytes)
	return err
}

// ForgetChanges makes a gap in the feed of the account's drive: all changes so far
// are forgotten.
func (u *User) ForgetChanges() error {
	if _, err := u.s.sql("UPDATE satchel.drives SET forgotten = seq WHERE owner = $1", u.ID.String()); err != nil {
		return err
	}
	_, err := u.s.sql("DELETE FROM satchel.changes WHERE owner = $1", u.ID.String())
	return err
}

// Kept is the SHA-256, in hexadecimal, of every version that the history of the account's
// files and its trash have.
func (u *User) Kept() (map[string]bool, error) {
	rows, err := u.s.sql(`
		SELECT encode(v.sha256, 'hex') FROM satchel.versions v JOIN satchel.nodes n ON n.drive = v.drive AND n.document = v.document
		WHERE v.owner = $1 AND (n.nlink > 0 OR EXISTS (SELECT FROM satchel.trash t WHERE t.drive = n.drive AND t.node = n.id))`, u.ID.String())
	kept := map[string]bool{}
	for _, r := range rows {
		kept[r] = true
	}
	return kept, err
}
