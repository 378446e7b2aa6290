package migrations

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"satchel/api"
)

// The names of the schema and of the roles, in every installation.
const (
	Schema = "satchel"
	Owner  = "satchel_owner"
	App    = "satchel_app"
	Auth   = "satchel_auth"
	Keeper = "satchel_keeper"
	Backup = "satchel_backup"
)

var roles = []string{Owner, App, Auth, Keeper, Backup}

// rolesSQL makes the roles and the schema, as far as they are missing. It
// needs CREATEROLE, and CREATE on the database.
const rolesSQL = `DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'satchel_owner') THEN
		-- A member of satchel_auth, it must not see what that sees without becoming it.
		CREATE ROLE satchel_owner LOGIN NOINHERIT;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'satchel_app') THEN
		CREATE ROLE satchel_app LOGIN;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'satchel_auth') THEN
		CREATE ROLE satchel_auth NOLOGIN;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'satchel_keeper') THEN
		CREATE ROLE satchel_keeper NOLOGIN;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'satchel_backup') THEN
		CREATE ROLE satchel_backup NOLOGIN;
	END IF;
END $$;
GRANT satchel_auth, satchel_keeper, satchel_backup TO satchel_owner;
GRANT satchel_owner, satchel_app TO %[1]s;
CREATE SCHEMA IF NOT EXISTS satchel AUTHORIZATION satchel_owner;
GRANT USAGE ON SCHEMA satchel TO satchel_app, satchel_auth, satchel_backup;
`

// MissingRoles is why [Prepare] failed: its role may not make the roles and
// the schema. SQL does it when run by one that may, in the same database.
type MissingRoles struct {
	SQL   string
	cause error
}

func (e *MissingRoles) Error() string {
	return fmt.Sprintf("the roles %s, %s, %s, %s and %s, or the schema %s, are missing and can't be made: %v", Owner, App, Auth, Keeper, Backup, Schema, e.cause)
}

func (e *MissingRoles) Unwrap() error { return e.cause }

// Prepare makes the roles and the schema that [Up] needs, if they are missing,
// as the role of the URL. When that may not, the error is a *[MissingRoles].
// An app role that could pass row-level security by is [api.Invalid].
func Prepare(ctx context.Context, adminURL string) error {
	conn, err := connect(ctx, adminURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	ready, err := prepared(ctx, conn)
	if err != nil {
		return err
	}
	if !ready {
		if err := makeRoles(ctx, conn); err != nil {
			return err
		}
	}
	var lawless bool
	err = conn.QueryRow(ctx, `SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = $1`, App).Scan(&lawless)
	if err != nil {
		return fmt.Errorf("check the role %s: %w", App, err)
	}
	if lawless {
		return api.Errorf(api.Invalid, "the role %s is a superuser or has BYPASSRLS: row-level security would not bind it; ALTER ROLE %[1]s NOSUPERUSER NOBYPASSRLS", App)
	}
	return nil
}

// prepared tells whether all is there already. Only then may a role without
// CREATEROLE go on.
func prepared(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var ready bool
	err := conn.QueryRow(ctx, `
		SELECT count(*) = $3
		   AND bool_and(pg_has_role(current_user, oid, 'MEMBER'))
		   AND EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)
		FROM pg_roles WHERE rolname = ANY ($2)`,
		Schema, roles, len(roles)).Scan(&ready)
	if err != nil {
		return false, fmt.Errorf("look for the roles: %w", err)
	}
	return ready, nil
}

func makeRoles(ctx context.Context, conn *pgx.Conn) error {
	var me string
	if err := conn.QueryRow(ctx, `SELECT current_user`).Scan(&me); err != nil {
		return fmt.Errorf("ask for the database role: %w", err)
	}
	statements := fmt.Sprintf(rolesSQL, pgx.Identifier{me}.Sanitize())
	var err error
	for range 3 {
		// Roles belong to the whole cluster: whoever makes them for another
		// database at the same moment makes this fail once.
		_, err = conn.Exec(ctx, statements)
		if code := sqlState(err); code != "42710" && code != "23505" && code != "XX000" {
			break
		}
	}
	if sqlState(err) == "42501" {
		return &MissingRoles{SQL: statements, cause: err}
	}
	if err != nil {
		return fmt.Errorf("make the roles: %w", err)
	}
	return nil
}

// CreateDatabase makes a database for satchel_owner to use, if it is missing.
func CreateDatabase(ctx context.Context, adminURL, name string) error {
	conn, err := connect(ctx, adminURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var there bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&there)
	if err == nil && !there {
		_, err = conn.Exec(ctx, `CREATE DATABASE `+pgx.Identifier{name}.Sanitize())
	}
	if code := sqlState(err); err != nil && code != "42P04" && code != "23505" { // made meanwhile
		return fmt.Errorf("make the database %s: %w", name, err)
	}
	return nil
}

// As is the URL with which its role acts as another one, of which it must be a
// member.
func As(databaseURL, role string) (string, error) {
	c, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return "", api.Errorf(api.Invalid, "the database URL: %w", err)
	}
	if c.User == role {
		return databaseURL, nil
	}
	switch {
	case !strings.Contains(databaseURL, "://"):
		return databaseURL + " role=" + role, nil // libpq's keyword form
	case strings.Contains(databaseURL, "?"):
		return databaseURL + "&role=" + role, nil
	}
	return databaseURL + "?role=" + role, nil
}

// connect opens one connection. The error says what to look at, without the
// URL's password.
func connect(ctx context.Context, databaseURL string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, databaseURL)
	var parse *pgconn.ParseConfigError
	switch {
	case errors.As(err, &parse):
		return nil, api.Errorf(api.Invalid, "the database URL: %w", err)
	case err != nil:
		return nil, api.Errorf(api.Unavailable, "connect to the database: %w", err)
	}
	return conn, nil
}

func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
