package migrations

import (
	"context"
	"database/sql"
	"fmt"
)

// backupSQL lets satchel_backup read every table. It runs after the files,
// and not as one of them, so that no later file can add a table which backups
// silently leave out.
const backupSQL = `DO $$
DECLARE
	t text;
BEGIN
	PERFORM pg_advisory_xact_lock(hashtextextended('satchel.backup_grants', 0)); -- several servers may start at once
	FOR t IN
		SELECT c.relname FROM pg_class c
		WHERE c.relnamespace = 'satchel'::regnamespace AND c.relkind IN ('r', 'p')
		  AND (NOT has_table_privilege('satchel_backup', c.oid, 'SELECT')
		       OR c.relrowsecurity AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'backup_read'))
	LOOP
		EXECUTE format('GRANT SELECT ON satchel.%I TO satchel_backup', t);
		IF (SELECT c.relrowsecurity FROM pg_class c WHERE c.oid = format('satchel.%I', t)::regclass) THEN
			EXECUTE format('CREATE POLICY backup_read ON satchel.%I FOR SELECT TO satchel_backup USING (true)', t);
		END IF;
	END LOOP;
END $$`

// grantBackup runs it with satchel_owner's rights.
func grantBackup(ctx context.Context, db *sql.DB) error {
	if _, err := db.ExecContext(ctx, backupSQL); err != nil {
		return fmt.Errorf("let backups read the tables: %w", err)
	}
	return nil
}
