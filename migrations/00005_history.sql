-- +goose Up

-- The past of a drive: what changed since a point, as it was before. Rows are
-- written with the difference that a batch makes, so the points that can be
-- returned to are the ends of batches, which is all that anyone ever saw.

-- Where entries led that do not lead there any more: from after the change
-- born, until the change died.
CREATE TABLE satchel.past_entries (
	drive  uuid NOT NULL,
	parent uuid NOT NULL,
	name   text COLLATE "C" NOT NULL,
	died   bigint NOT NULL,
	born   bigint NOT NULL,
	node   uuid NOT NULL,
	owner  uuid NOT NULL,
	PRIMARY KEY (drive, parent, name, died),
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE
);

-- What nodes were until a change. Of directories only what is not their
-- times is a change here.
CREATE TABLE satchel.past_nodes (
	drive    uuid NOT NULL,
	id       uuid NOT NULL,
	until    bigint NOT NULL,
	owner    uuid NOT NULL,
	version  uuid,
	document uuid,
	mtime    bigint NOT NULL,
	uid      bigint NOT NULL,
	gid      bigint NOT NULL,
	mode     int NOT NULL,
	xattrs   jsonb,
	at       timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (drive, id, until),
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE
);
CREATE INDEX past_nodes_version ON satchel.past_nodes (drive, version) WHERE version IS NOT NULL;

ALTER TABLE satchel.entries ADD COLUMN born bigint NOT NULL DEFAULT 0; -- the change since which it leads there
ALTER TABLE satchel.drives
	ADD COLUMN stored bigint NOT NULL DEFAULT 0,             -- sizes of all versions: files, history and trash
	ADD COLUMN since  bigint NOT NULL DEFAULT 0;             -- the past is known from this change on

-- What is there already has no past. Even the tables' owner sees no rows of
-- theirs while row-level security is forced.
ALTER TABLE satchel.drives   NO FORCE ROW LEVEL SECURITY;
ALTER TABLE satchel.versions NO FORCE ROW LEVEL SECURITY;
UPDATE satchel.drives d SET since = d.seq,
	stored = coalesce((SELECT sum(v.size) FROM satchel.versions v WHERE v.drive = d.id), 0);
ALTER TABLE satchel.drives   FORCE ROW LEVEL SECURITY;
ALTER TABLE satchel.versions FORCE ROW LEVEL SECURITY;

-- The trash is listed from the last deletion on.
CREATE INDEX trash_seq ON satchel.trash (drive, seq);

-- +goose StatementBegin
DO $$
DECLARE
	t  text;
	me CONSTANT text := '(owner = (SELECT nullif(current_setting(''satchel.user_id'', true), '''')::uuid))';
BEGIN
	FOREACH t IN ARRAY ARRAY['past_entries', 'past_nodes'] LOOP
		EXECUTE format('ALTER TABLE satchel.%I ENABLE ROW LEVEL SECURITY', t);
		EXECUTE format('ALTER TABLE satchel.%I FORCE ROW LEVEL SECURITY', t);
		EXECUTE format('CREATE POLICY own_read ON satchel.%I FOR SELECT TO satchel_app USING %s', t, me);
		EXECUTE format('CREATE POLICY own_insert ON satchel.%I FOR INSERT TO satchel_app WITH CHECK %s', t, me);
		EXECUTE format('CREATE POLICY own_delete ON satchel.%I FOR DELETE TO satchel_app USING %s', t, me);
		EXECUTE format('GRANT SELECT, INSERT, DELETE ON satchel.%I TO satchel_app', t);
	END LOOP;
END $$;
-- +goose StatementEnd
GRANT UPDATE (stored, since) ON satchel.drives  TO satchel_app;
GRANT UPDATE (born)          ON satchel.entries TO satchel_app;
GRANT UPDATE (document)      ON satchel.versions TO satchel_app; -- a file that is saved by rename brings its versions along

-- What is beyond the retention policy, or gives way to a quota, goes; and what
-- a user empties his trash of.
GRANT DELETE ON satchel.versions, satchel.nodes, satchel.documents TO satchel_app;

-- What mends counters and looks for content that is missing knows these too.
GRANT SELECT, DELETE ON satchel.past_entries, satchel.past_nodes TO satchel_keeper;
GRANT UPDATE (stored) ON satchel.drives TO satchel_keeper;
CREATE POLICY keeper_read   ON satchel.past_entries FOR SELECT TO satchel_keeper USING (true);
CREATE POLICY keeper_read   ON satchel.past_nodes   FOR SELECT TO satchel_keeper USING (true);
CREATE POLICY keeper_delete ON satchel.past_entries FOR DELETE TO satchel_keeper USING (true);
CREATE POLICY keeper_delete ON satchel.past_nodes   FOR DELETE TO satchel_keeper USING (true);

-- All drives and their owners, for the server's own work, which then becomes
-- each owner in turn: only while no user is set.
-- +goose StatementBegin
CREATE FUNCTION satchel.all_drives()
RETURNS TABLE (drive uuid, owner uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT d.id, d.owner FROM satchel.drives d
	WHERE nullif(current_setting('satchel.user_id', true), '') IS NULL
	ORDER BY d.id
$$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION satchel.all_drives() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.all_drives() TO satchel_app;

-- A database that was restored from a backup: every drive gets another epoch,
-- so that clients notice. For the operator, in the restoring transaction.
GRANT UPDATE (epoch) ON satchel.drives TO satchel_auth;
CREATE POLICY auth_change ON satchel.drives FOR UPDATE TO satchel_auth USING (true);

GRANT CREATE ON SCHEMA satchel TO satchel_auth;
ALTER FUNCTION satchel.all_drives() OWNER TO satchel_auth;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
