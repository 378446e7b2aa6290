-- +goose Up

-- Shares. A grant gives a principal permissions on a node and on all that is
-- below it. A zone is a node that has, or once had, grants of its own; every
-- directory names the nearest zone at or above it, so that who may see a row is
-- one comparison and not a walk. A grant writes the directories below it once,
-- a revocation only its own row, and moves keep the names right (rezone).
--
-- A zone's id is the server's: the ids of nodes are their makers', and unique
-- within a drive only, so that by them one drive's grants could reach into another.
CREATE TABLE satchel.zones (
	id    uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	drive uuid NOT NULL,
	node  uuid NOT NULL,
	owner uuid NOT NULL,
	UNIQUE (drive, node),
	FOREIGN KEY (drive, node) REFERENCES satchel.nodes (drive, id) ON DELETE CASCADE,
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE
);

-- Permissions are bits: read 1, list 2, write 4, mkdir 8, delete 16, rename 32,
-- copy 64. The names are package api's.
CREATE TABLE satchel.grants (
	drive       uuid NOT NULL,
	node        uuid NOT NULL,
	principal   text NOT NULL CHECK (principal IN ('anonymous', 'authenticated') OR principal ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'),
	owner       uuid NOT NULL,
	permissions int NOT NULL CHECK (permissions BETWEEN 1 AND 127),
	created     timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (drive, node, principal),
	FOREIGN KEY (drive, node) REFERENCES satchel.zones (drive, node) ON DELETE CASCADE,
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE
);
CREATE INDEX grants_principal ON satchel.grants (principal);

-- A directory of one drive in which another one's is shown: its own entries, if
-- it has any, are hidden by it. Who may see what is there is the source's affair; with
-- inherit, which only who decides about the source can make, whoever holds
-- something at the bind holds the same there.
CREATE TABLE satchel.binds (
	drive        uuid NOT NULL,
	id           uuid NOT NULL,
	node         uuid NOT NULL,
	owner        uuid NOT NULL,
	source_drive uuid NOT NULL,
	source_node  uuid NOT NULL,
	source_owner uuid NOT NULL,
	inherit      boolean NOT NULL,
	created      timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (drive, id),
	UNIQUE (drive, node),
	FOREIGN KEY (drive, node) REFERENCES satchel.nodes (drive, id) ON DELETE CASCADE,
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE
);
CREATE INDEX binds_source ON satchel.binds (source_drive, source_node);
CREATE INDEX binds_owner  ON satchel.binds (owner) WHERE inherit;

ALTER TABLE satchel.dirs ADD COLUMN zone uuid;        -- the nearest zone at or above it; NULL: none

-- When a system drive's directory was imported for the first time.
ALTER TABLE satchel.drives ADD COLUMN imported timestamptz;
GRANT UPDATE (imported) ON satchel.drives TO satchel_app;

ALTER TABLE satchel.zones  ENABLE ROW LEVEL SECURITY;
ALTER TABLE satchel.zones  FORCE  ROW LEVEL SECURITY;
ALTER TABLE satchel.grants ENABLE ROW LEVEL SECURITY;
ALTER TABLE satchel.grants FORCE  ROW LEVEL SECURITY;
ALTER TABLE satchel.binds  ENABLE ROW LEVEL SECURITY;
ALTER TABLE satchel.binds  FORCE  ROW LEVEL SECURITY;

-- An owner sees what he granted; changes go through the functions below.
GRANT SELECT ON satchel.zones, satchel.grants, satchel.binds TO satchel_app;
CREATE POLICY own_read ON satchel.zones FOR SELECT TO satchel_app
	USING (owner = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid));
CREATE POLICY own_read ON satchel.grants FOR SELECT TO satchel_app
	USING (owner = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid));

-- Binds show on both sides.
CREATE POLICY own_read ON satchel.binds FOR SELECT TO satchel_app
	USING ((SELECT nullif(current_setting('satchel.user_id', true), '')::uuid) IN (owner, source_owner));

GRANT SELECT, INSERT ON satchel.zones TO satchel_auth;
GRANT SELECT, INSERT, DELETE ON satchel.binds TO satchel_auth;
GRANT SELECT, INSERT, UPDATE (permissions), DELETE ON satchel.grants TO satchel_auth;
GRANT SELECT, UPDATE (zone)              ON satchel.dirs     TO satchel_auth;
GRANT SELECT                             ON satchel.drives   TO satchel_auth;
GRANT SELECT (drive, id, nlink)          ON satchel.nodes    TO satchel_auth;
GRANT SELECT (drive, id, owner, manifest) ON satchel.versions TO satchel_auth;
GRANT SELECT, INSERT, UPDATE (pack)      ON satchel.chunks   TO satchel_auth;
GRANT SELECT, INSERT                     ON satchel.packs    TO satchel_auth;
GRANT SELECT, DELETE                     ON satchel.condemned TO satchel_auth;
GRANT SELECT (drive, node, parent)       ON satchel.trash    TO satchel_auth;
CREATE POLICY auth_read   ON satchel.zones  FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_insert ON satchel.zones  FOR INSERT TO satchel_auth WITH CHECK (true);
CREATE POLICY auth_read   ON satchel.binds  FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_insert ON satchel.binds  FOR INSERT TO satchel_auth WITH CHECK (true);
CREATE POLICY auth_delete ON satchel.binds  FOR DELETE TO satchel_auth USING (true);
CREATE POLICY auth_read   ON satchel.grants FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_insert ON satchel.grants FOR INSERT TO satchel_auth WITH CHECK (true);
CREATE POLICY auth_change ON satchel.grants FOR UPDATE TO satchel_auth USING (true);
CREATE POLICY auth_delete ON satchel.grants FOR DELETE TO satchel_auth USING (true);
CREATE POLICY auth_change ON satchel.dirs   FOR UPDATE TO satchel_auth USING (true);
CREATE POLICY auth_read   ON satchel.chunks FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_insert ON satchel.chunks FOR INSERT TO satchel_auth WITH CHECK (true);
CREATE POLICY auth_change ON satchel.chunks FOR UPDATE TO satchel_auth USING (true);
CREATE POLICY auth_read   ON satchel.packs  FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_insert ON satchel.packs  FOR INSERT TO satchel_auth WITH CHECK (true);
CREATE POLICY auth_read   ON satchel.condemned FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_delete ON satchel.condemned FOR DELETE TO satchel_auth USING (true);
CREATE POLICY auth_read   ON satchel.trash  FOR SELECT TO satchel_auth USING (true);
GRANT SELECT ON satchel.zones, satchel.grants TO satchel_keeper;
CREATE POLICY keeper_read ON satchel.zones  FOR SELECT TO satchel_keeper USING (true);
CREATE POLICY keeper_read ON satchel.grants FOR SELECT TO satchel_keeper USING (true);

-- The zones in which somebody (NULL: a stranger) holds one of the wanted
-- permissions: those of his grants, and those within them; what is bound with
-- inherit counts as within. An admin may list system drives.
-- +goose StatementBegin
CREATE FUNCTION satchel.zones_held(who uuid, wanted int)
RETURNS uuid[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	held uuid[];
BEGIN
	WITH RECURSIVE granted (id, drive) AS (
		SELECT z.id, z.drive
		FROM satchel.grants g JOIN satchel.zones z ON z.drive = g.drive AND z.node = g.node
		WHERE g.permissions & wanted <> 0
		  AND g.principal = ANY (CASE WHEN who IS NULL THEN ARRAY['anonymous'] ELSE ARRAY['anonymous', 'authenticated', who::text] END)
		UNION ALL
		SELECT z.id, z.drive
		FROM satchel.users u, satchel.drives d JOIN satchel.zones z ON z.drive = d.id AND z.node = d.root
		WHERE wanted & 2 <> 0 AND u.id = who AND u.role = 'admin' AND u.disabled IS NULL
		  AND d.owner = '00000000-0000-0000-0000-000000000001'
		UNION ALL
		SELECT z.id, z.drive
		FROM satchel.binds b JOIN satchel.zones z ON z.drive = b.source_drive AND z.node = b.source_node
		WHERE b.inherit AND b.owner = who
	), within (id, drive) AS (
		SELECT id, drive FROM granted
		UNION
		SELECT c.id, c.drive
		FROM within w
		CROSS JOIN LATERAL (
			SELECT c.id, c.drive
			FROM satchel.zones c
			JOIN satchel.dirs d ON d.drive = c.drive AND d.id = c.node
			JOIN satchel.dirs p ON p.drive = d.drive AND p.id = d.parent
			WHERE c.drive = w.drive AND p.zone = w.id
			UNION ALL
			SELECT z.id, z.drive
			FROM satchel.binds b
			JOIN satchel.dirs d ON d.drive = b.drive AND d.id = b.node
			JOIN satchel.zones z ON z.drive = b.source_drive AND z.node = b.source_node
			WHERE b.inherit AND b.drive = w.drive AND d.zone = w.id) c
	)
	SELECT coalesce(array_agg(id), '{}') INTO held FROM within;
	RETURN held;
END $$;
-- +goose StatementEnd

-- The same for the transaction's user.
-- +goose StatementBegin
CREATE FUNCTION satchel.zones_for(wanted int)
RETURNS uuid[]
LANGUAGE plpgsql STABLE SECURITY DEFINER COST 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN satchel.zones_held(nullif(current_setting('satchel.user_id', true), '')::uuid, wanted);
END $$;
-- +goose StatementEnd

-- Whether a live node is in one of some zones. The policies call it for each
-- row that is not the user's own, with zones_for's answer, which is asked once.
-- Their cost is told as next to nothing, as it is for an owner, whose rows never
-- ask: plans stay his, and generic ones worth keeping.
-- +goose StatementBegin
CREATE FUNCTION satchel.node_in_zones(in_drive uuid, in_node uuid, held uuid[])
RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER COST 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF cardinality(held) = 0 THEN
		RETURN false;
	END IF;
	RETURN EXISTS (
		SELECT FROM satchel.entries e JOIN satchel.dirs d ON d.drive = e.drive AND d.id = e.parent
		WHERE e.drive = in_drive AND e.node = in_node AND d.zone = ANY (held))
	OR EXISTS (
		SELECT FROM satchel.zones z JOIN satchel.nodes n ON n.drive = z.drive AND n.id = z.node
		WHERE z.drive = in_drive AND z.node = in_node AND z.id = ANY (held) AND n.nlink > 0);
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION satchel.dir_in_zones(in_drive uuid, in_dir uuid, held uuid[])
RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER COST 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF cardinality(held) = 0 THEN
		RETURN false;
	END IF;
	RETURN EXISTS (SELECT FROM satchel.dirs d WHERE d.drive = in_drive AND d.id = in_dir AND d.zone = ANY (held));
END $$;
-- +goose StatementEnd

-- Of a file's content only what it is now: what it was before it was shared
-- stays its owner's.
-- +goose StatementBegin
CREATE FUNCTION satchel.version_in_zones(in_drive uuid, in_version uuid, held uuid[])
RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER COST 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF cardinality(held) = 0 THEN
		RETURN false;
	END IF;
	RETURN EXISTS (
		SELECT FROM satchel.nodes n
		WHERE n.drive = in_drive AND n.version = in_version AND n.nlink > 0
		  AND satchel.node_in_zones(in_drive, n.id, held));
END $$;
-- +goose StatementEnd

-- What grants let others see. Any permission shows a directory's rows, as the
-- making of a change needs them; content needs read. There is no policy by
-- which they may write: see act. Each is one expression that asks for the owner
-- first: the order in which PostgreSQL joins several policies is its own, and
-- with the other one each statement of an owner would look for his zones.
ALTER POLICY own_read ON satchel.nodes
	USING (owner = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid)
		OR nlink > 0 AND satchel.node_in_zones(drive, id, (SELECT satchel.zones_for(127))));
ALTER POLICY own_read ON satchel.entries
	USING (owner = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid)
		OR satchel.dir_in_zones(drive, parent, (SELECT satchel.zones_for(127))));
ALTER POLICY own_read ON satchel.dirs
	USING (owner = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid)
		OR zone = ANY ((SELECT satchel.zones_for(127))::uuid[]));
ALTER POLICY own_read ON satchel.versions
	USING (owner = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid)
		OR satchel.version_in_zones(drive, id, (SELECT satchel.zones_for(1))));

CREATE POLICY shared_read ON satchel.binds FOR SELECT TO satchel_app
	USING (satchel.dir_in_zones(drive, node, (SELECT satchel.zones_for(127))));

-- A drive in which the user holds something: by its id, or by its owner and name.
-- +goose StatementBegin
CREATE FUNCTION satchel.shared_drive(in_id uuid, in_owner uuid, in_name text)
RETURNS TABLE (id uuid, owner uuid, name text, root uuid, epoch uuid, seq bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT d.id, d.owner, d.name, d.root, d.epoch, d.seq
	FROM satchel.drives d
	WHERE (d.id = in_id OR in_id IS NULL AND d.owner = in_owner AND d.name = in_name)
	  AND EXISTS (SELECT FROM satchel.zones z WHERE z.drive = d.id AND z.id = ANY ((SELECT satchel.zones_for(127))::uuid[]))
$$;
-- +goose StatementEnd

-- Follows names down from a directory as far as they lead: only those nodes
-- that are in the user's zones, which the way to them need not be.
-- +goose StatementBegin
CREATE FUNCTION satchel.walk_shared(in_drive uuid, top uuid, path text[])
RETURNS TABLE (depth int, id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE walk (depth, id) AS (
		SELECT 0, top
		UNION ALL
		SELECT w.depth + 1, e.node
		FROM walk w
		CROSS JOIN LATERAL (
			SELECT node FROM satchel.entries
			WHERE drive = in_drive AND parent = w.id AND name = path[w.depth + 1] COLLATE "C"
			OFFSET 0) e
		WHERE w.depth < cardinality(path)
	)
	SELECT w.depth, w.id FROM walk w
	WHERE w.depth > 0 AND satchel.node_in_zones(in_drive, w.id, (SELECT satchel.zones_for(127)))
$$;
-- +goose StatementEnd

-- Where chunks of content that the user may read are.
-- +goose StatementBegin
CREATE FUNCTION satchel.shared_chunks(in_drive uuid, in_versions uuid[], wanted bytea[])
RETURNS TABLE (sha256 bytea, pack uuid, off int, len int)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH named AS MATERIALIZED (
		SELECT DISTINCT v.owner, substr(v.manifest, i * 36 + 1, 32) AS sha256
		FROM satchel.versions v
		CROSS JOIN LATERAL generate_series(0, octet_length(v.manifest) / 36 - 1) i
		WHERE v.drive = in_drive AND v.id = ANY (in_versions)
		  AND satchel.version_in_zones(in_drive, v.id, (SELECT satchel.zones_for(1)))
	)
	SELECT c.sha256, c.pack, c.off, c.len
	FROM named n JOIN satchel.chunks c ON c.owner = n.owner AND c.sha256 = n.sha256
	WHERE n.sha256 = ANY (wanted)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $$
DECLARE
	f record;
BEGIN
	-- As in 00001: the functions' owner may create in the schema only while it becomes that.
	GRANT CREATE ON SCHEMA satchel TO satchel_auth;
	FOR f IN SELECT p.oid::regprocedure AS name, p.proname FROM pg_proc p
		WHERE p.pronamespace = 'satchel'::regnamespace AND p.prosecdef AND p.proowner = 'satchel_owner'::regrole LOOP
		EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f.name);
		IF f.proname <> 'zones_held' THEN -- the others' own
			EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO satchel_app', f.name);
		END IF;
		EXECUTE format('ALTER FUNCTION %s OWNER TO satchel_auth', f.name);
	END LOOP;
END $$;
-- +goose StatementEnd

REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
