package postgres_test

import (
	"context"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// rules find what no migration may add, each by a walk over PostgreSQL's
// catalogs, and each has a statement that breaks it.
var rules = []struct{ what, query, breach string }{
	{"tables without forced row-level security", `
		SELECT c.relname FROM pg_class c
		WHERE c.relnamespace = 'satchel'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> 'goose_db_version'
		  AND NOT (c.relrowsecurity AND c.relforcerowsecurity)`,
		`CREATE TABLE satchel.bare (owner uuid); ALTER TABLE satchel.bare ENABLE ROW LEVEL SECURITY`},
	{"policies for all commands, or for everyone", `
		SELECT tablename || '.' || policyname FROM pg_policies
		WHERE schemaname = 'satchel' AND (cmd = 'ALL' OR 'public' = ANY (roles))`,
		`CREATE POLICY wide ON satchel.nodes FOR SELECT USING (true)`},
	{"policies by which satchel_app sees or writes rows whoever the user is", `
		SELECT tablename || '.' || policyname FROM pg_policies
		WHERE schemaname = 'satchel' AND 'satchel_app' = ANY (roles) AND tablename <> 'signing_keys' -- they are sealed
		  AND concat(qual, with_check) !~ 'satchel\.user_id' AND concat(qual, with_check) !~ 'satchel\.\w+\('`,
		`CREATE POLICY blind ON satchel.nodes FOR SELECT TO satchel_app USING (nlink > 0)`},
	{"policies that let rows be changed into another one's", `
		SELECT tablename || '.' || policyname FROM pg_policies
		WHERE schemaname = 'satchel' AND 'satchel_app' = ANY (roles) AND cmd = 'UPDATE' AND with_check = 'true'`,
		`CREATE POLICY gift ON satchel.nodes FOR UPDATE TO satchel_app
			USING (owner = current_setting('satchel.user_id')::uuid) WITH CHECK (true)`},
	{"drive tables whose foreign keys begin with neither drive nor owner", `
		SELECT k.conrelid::regclass || '.' || k.conname
		FROM pg_constraint k
		JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
		WHERE k.contype = 'f' AND k.connamespace = 'satchel'::regnamespace
		  AND EXISTS (SELECT FROM pg_attribute o WHERE o.attrelid = k.conrelid AND o.attname = 'owner')
		  AND a.attname NOT IN ('drive', 'owner')
		  AND NOT (k.conrelid = 'satchel.drives'::regclass AND a.attname = 'id')`,
		`CREATE TABLE satchel.far (owner uuid, "user" uuid REFERENCES satchel.users)`},
	{"functions that anyone may run", `
		SELECT p.proname FROM pg_proc p
		WHERE p.pronamespace = 'satchel'::regnamespace
		  AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0)`,
		`CREATE FUNCTION satchel.anyones() RETURNS int LANGUAGE sql AS 'SELECT 1'`},
	{"definer functions without a pinned search_path, or of a role that can log in, bypass policies or own tables", `
		SELECT p.proname FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
		WHERE p.pronamespace = 'satchel'::regnamespace AND p.prosecdef
		  AND (p.proconfig IS NULL OR p.proconfig::text !~ 'search_path=pg_catalog, pg_temp'
		    OR r.rolcanlogin OR r.rolsuper OR r.rolbypassrls OR EXISTS (SELECT FROM pg_class c WHERE c.relowner = r.oid))`,
		`CREATE FUNCTION satchel.owners() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'SELECT 1'`},
	{"views that show what their owner sees", `
		SELECT c.relname FROM pg_class c
		WHERE c.relnamespace = 'satchel'::regnamespace
		  AND (c.relkind = 'm' OR c.relkind = 'v' AND NOT coalesce(c.reloptions @> ARRAY['security_invoker=true'], false))`,
		`CREATE VIEW satchel.everything AS SELECT * FROM satchel.nodes`},
	{"sequences that satchel_app may use: they tell of others, and commit out of order", `
		SELECT c.relname FROM pg_class c
		WHERE c.relnamespace = 'satchel'::regnamespace
		  AND CASE WHEN c.relkind = 'S' THEN has_sequence_privilege('satchel_app', c.oid, 'USAGE, SELECT, UPDATE') END`,
		`CREATE SEQUENCE satchel.counter; GRANT USAGE ON SEQUENCE satchel.counter TO satchel_app`},
	{"what satchel_app owns, and roles that it is a member of", `
		SELECT relname FROM pg_class WHERE relowner = 'satchel_app'::regrole
		UNION ALL SELECT proname FROM pg_proc WHERE proowner = 'satchel_app'::regrole
		UNION ALL SELECT rolname FROM pg_roles r WHERE pg_has_role('satchel_app', r.oid, 'MEMBER') AND rolname <> 'satchel_app'`,
		`CREATE TABLE satchel.his (x int); ALTER TABLE satchel.his OWNER TO satchel_app`},
	{"roles of ours with more rights than rows", `
		SELECT rolname FROM pg_roles
		WHERE rolname LIKE 'satchel\_%' AND (rolsuper OR rolbypassrls OR rolreplication
		  OR (rolcreaterole OR rolcreatedb) AND rolname <> 'satchel_owner'
		  OR rolcanlogin AND rolname NOT IN ('satchel_app', 'satchel_owner'))`,
		`ALTER ROLE satchel_app BYPASSRLS`},
	{"rights of satchel_app that row-level security does not bind, or that it may hand on", `
		SELECT c.relname || ': ' || a.privilege_type
		FROM pg_class c, aclexplode(c.relacl) a
		WHERE c.relnamespace = 'satchel'::regnamespace AND a.grantee IN (0, 'satchel_app'::regrole)
		  AND (a.grantee = 0 OR a.is_grantable OR a.privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER'))`,
		`GRANT TRUNCATE ON satchel.nodes TO satchel_app`},
	{"columns that decide who sees a row and that satchel_app may change", `
		SELECT table_name || '.' || column_name FROM information_schema.column_privileges
		WHERE grantee = 'satchel_app' AND table_schema = 'satchel' AND privilege_type = 'UPDATE'
		  AND column_name IN ('owner', 'drive', 'id', 'user_id')`,
		`GRANT UPDATE (owner) ON satchel.nodes TO satchel_app`},
	{"schemas in which satchel_app may make something", `
		SELECT nspname FROM pg_namespace
		WHERE nspname !~ '^pg_(toast_)?temp_' AND has_schema_privilege('satchel_app', oid, 'CREATE')`,
		`GRANT CREATE ON SCHEMA satchel TO satchel_app`},
}

func broken(ctx context.Context, tx pgx.Tx, query string) ([]string, error) {
	rows, _ := tx.Query(ctx, query)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Whatever a later migration adds keeps the rules, and every rule can tell.
func TestSchemaKeepsItsRules(t *testing.T) {
	a := newAccounts(t)
	conn, err := pgx.Connect(t.Context(), a.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for _, rule := range rules {
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if found, err := broken(t.Context(), tx, rule.query); err != nil || len(found) > 0 {
			t.Errorf("%s: %v %v", rule.what, found, err)
		}
		if _, err := tx.Exec(t.Context(), rule.breach); err != nil {
			t.Errorf("%s: %v", rule.breach, err)
		} else if found, err := broken(t.Context(), tx, rule.query); err != nil || len(found) == 0 {
			t.Errorf("%s: nothing was found after %q: %v", rule.what, rule.breach, err)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Every table is one whose rows the tests above look at as their owner, as
// another one and as nobody, or says here why it need not be.
func TestEveryTableIsTried(t *testing.T) {
	apart := map[string]string{
		"users":            "TestAccountRowsOverSQL",
		"sessions":         "TestAccountRowsOverSQL",
		"signing_keys":     "sealed; nobody's",
		"goose_db_version": "the migrations' own; satchel_app may not read it",
		"installation":     "satchel_app may not read it",
		"blobs":            "satchel_app may not read it",
		"blob_parts":       "satchel_app may not read it",
		"discarded_packs":  "satchel_app may not read it",
		"bans":             "satchel_app may not read it",
		"guest_chunks":     "satchel_app may not read it",
		"device_codes":     "satchel_app may not read it",
		"identities":       "satchel_app may not read it",
		"text_generation":  "satchel_app may not read it",
		"zones":            "package storage: TestGrantShowsExactlyItsSubtree and TestReadGrantCannotWrite",
		"grants":           "the same; only functions write it",
		"binds":            "the same; only functions write it",
		"audit":            "TestAuditIsAppendOnlyOverSQL",
		"runs":             "TestAuditIsAppendOnlyOverSQL",
		"activity":         "TestAuditIsAppendOnlyOverSQL",
		"extensions":       "TestAuditIsAppendOnlyOverSQL",
		"counted":          "TestAuditIsAppendOnlyOverSQL",
		"retention":        "TestRetentionIsForAdmins",
	}
	a := newAccounts(t)
	conn, err := pgx.Connect(t.Context(), a.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	rows, _ := conn.Query(t.Context(), `
		SELECT c.relname, has_any_column_privilege('satchel_app', c.oid, 'SELECT, INSERT, UPDATE') OR has_table_privilege('satchel_app', c.oid, 'DELETE')
		FROM pg_class c WHERE c.relnamespace = 'satchel'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`)
	var name string
	var reached bool
	if _, err := pgx.ForEachRow(rows, []any{&name, &reached}, func() error {
		why := apart[name]
		switch {
		case slices.Contains(driveTables, name):
		case why == "":
			t.Errorf("%s is a table that no test tries: add it to driveTables, and a row of it to fill", name)
		case reached && why == "satchel_app may not read it":
			t.Errorf("satchel_app can reach %s", name)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// What someone who can run any statement as satchel_app, with a user set,
// would try next.
func TestEscalationRefusedOverSQL(t *testing.T) {
	a := newAccounts(t)
	bobs := a.fill(t, a.bob)
	for _, statement := range []string{
		`SET ROLE satchel_owner`, `SET ROLE satchel_auth`, `SET ROLE satchel_keeper`, `SET SESSION AUTHORIZATION satchel_owner`,
		`SET session_replication_role = replica`,
		`SET row_security = off; SELECT FROM satchel.nodes`,
		`ALTER TABLE satchel.nodes NO FORCE ROW LEVEL SECURITY`,
		`CREATE POLICY mine ON satchel.nodes FOR SELECT TO satchel_app USING (true)`,
		`GRANT SELECT ON satchel.blobs TO satchel_app`,
		`ALTER ROLE satchel_app BYPASSRLS`, `CREATE ROLE evil`, `GRANT satchel_auth TO satchel_app`,
		`TRUNCATE satchel.nodes CASCADE`,
		`COPY satchel.nodes TO PROGRAM 'cat'`, `COPY satchel.nodes TO '/tmp/nodes'`,
		`SELECT pg_read_file('/etc/passwd')`, `SELECT lo_import('/etc/passwd')`,
		`CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE c AS '/tmp/evil.so', 'f'`,
		`ALTER FUNCTION satchel.is_admin() OWNER TO satchel_app`,
		`CREATE OR REPLACE FUNCTION satchel.is_admin() RETURNS boolean LANGUAGE sql AS 'SELECT true'`,
		`CREATE TRIGGER t BEFORE UPDATE ON satchel.nodes FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
		`CREATE RULE r AS ON SELECT TO satchel.nodes DO INSTEAD SELECT * FROM satchel.nodes`,
		`SELECT FROM satchel.blobs`, `SELECT FROM satchel.blob_parts`, `SELECT FROM satchel.discarded_packs`, `SELECT FROM satchel.goose_db_version`,
		`UPDATE satchel.drives SET owner = '` + a.alice.String() + `'`,
		`UPDATE satchel.drives SET epoch = gen_random_uuid()`,
	} {
		if _, err := a.sql(t, a.alice, statement); sqlState(err) != "42501" {
			t.Errorf("%s: %v, want 42501", statement, err)
		}
	}
	// What is allowed shows nothing of another one's all the same.
	for _, statement := range []string{
		`CREATE TEMPORARY VIEW v AS SELECT * FROM satchel.nodes; SELECT FROM v WHERE owner = '` + a.bob.String() + `'`,
		`CREATE TEMPORARY VIEW w WITH (security_invoker = false) AS SELECT * FROM satchel.drives; SELECT FROM w WHERE owner = '` + a.bob.String() + `'`,
		`CREATE FUNCTION pg_temp.f() RETURNS SETOF satchel.drives LANGUAGE sql SECURITY DEFINER AS 'SELECT * FROM satchel.drives';
			SELECT FROM pg_temp.f() WHERE owner = '` + a.bob.String() + `'`,
		// An operator that tells what it compares sees no row before the policy has.
		`CREATE FUNCTION pg_temp.tell(uuid) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS
			$$BEGIN IF $1 = '` + bobs.ID.String() + `' THEN RAISE 'seen %', $1; END IF; RETURN true; END$$;
			SELECT FROM satchel.drives WHERE pg_temp.tell(id) AND owner = '` + a.bob.String() + `'`,
		`SELECT FROM satchel.all_drives()`, `SELECT FROM satchel.all_files()`, `SELECT FROM satchel.list_blobs('', 10)`,
	} {
		if n, err := a.sql(t, a.alice, statement); err != nil || n != 0 {
			t.Errorf("%s: %d rows, %v", statement, n, err)
		}
	}
	// Whoever is set is who counts, also when it is set twice, or is nonsense.
	for _, user := range []string{"", "00000000-0000-0000-0000-000000000000", api.NewID().String()} {
		statement := `SELECT set_config('satchel.user_id', '` + user + `', false); SELECT FROM satchel.nodes`
		if n, err := a.sql(t, a.bob, statement); err != nil || n != 0 {
			t.Errorf("as %q there are %d nodes, %v", user, n, err)
		}
	}
	if _, err := a.sql(t, a.bob, `SELECT set_config('satchel.user_id', 'bob', false); SELECT FROM satchel.nodes`); sqlState(err) != "22P02" {
		t.Errorf("a user who is no id: %v", err)
	}
}
