-- +goose Up

-- How grants are made, and how those who hold them change another one's drive.

-- Locks a drive for a change by someone whom a grant lets change something in it.
-- +goose StatementBegin
CREATE FUNCTION satchel.lock_shared(in_drive uuid)
RETURNS TABLE (id uuid, owner uuid, name text, root uuid, epoch uuid, seq bigint, files bigint, bytes bigint, stored bigint,
	forgotten bigint, since bigint, quota bigint, elsewhere bigint)
LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
	SELECT d.id, d.owner, d.name, d.root, d.epoch, d.seq, d.files, d.bytes, d.stored, d.forgotten, greatest(d.since, d.forgotten),
		coalesce((SELECT u.quota FROM satchel.users u WHERE u.id = d.owner), 0),
		coalesce((SELECT sum(o.stored) FROM satchel.drives o WHERE o.owner = d.owner AND o.id <> d.id), 0)::bigint
	FROM satchel.drives d
	WHERE d.id = in_drive
	  AND EXISTS (SELECT FROM satchel.zones z WHERE z.drive = d.id AND z.id = ANY ((SELECT satchel.zones_for(124))::uuid[]))
	FOR NO KEY UPDATE OF d
$$;
-- +goose StatementEnd

-- Makes a pack that a guest sent known, as its owner's: its chunks are of use
-- only to a change that he may make.
-- +goose StatementBegin
CREATE FUNCTION satchel.add_shared_pack(in_drive uuid, pack uuid, bytes bigint, hashes bytea[], offs int[], lens int[])
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	whose CONSTANT uuid := (SELECT l.owner FROM satchel.shared_drive(in_drive, NULL, NULL) l);
BEGIN
	IF whose IS NULL OR NOT EXISTS (
		SELECT FROM satchel.zones z WHERE z.drive = in_drive AND z.id = ANY ((SELECT satchel.zones_for(124))::uuid[])) THEN
		RAISE EXCEPTION 'the grants do not allow this' USING ERRCODE = '42501';
	END IF;
	INSERT INTO satchel.packs (owner, id, bytes) VALUES (whose, pack, bytes);
	INSERT INTO satchel.chunks AS c (owner, pack, sha256, off, len) -- as the owner's packs: see package postgres
	SELECT whose, pack, x.* FROM unnest(hashes, offs, lens) x
	ON CONFLICT (owner, sha256) DO UPDATE SET pack = c.pack WHERE false;
	DELETE FROM satchel.condemned WHERE owner = whose AND sha256 = ANY (hashes);
END $$;
-- +goose StatementEnd

-- Lets the user, for the rest of the transaction, change a drive as its owner
-- does, if he holds what he needs: for each node one of the permissions wanted
-- beside it. The changes that he then records are checked again (changes_by_guest).
-- +goose StatementBegin
CREATE FUNCTION satchel.act(in_drive uuid, needed uuid[], wanted int[])
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	me   CONSTANT text := coalesce(current_setting('satchel.user_id', true), '');
	need record;
BEGIN
	IF cardinality(needed) = 0 OR cardinality(needed) <> cardinality(wanted) THEN
		RAISE EXCEPTION 'acting needs a reason' USING ERRCODE = '42501';
	END IF;
	FOR need IN SELECT n.bits, array_agg(DISTINCT n.id) AS ids FROM unnest(needed, wanted) n (id, bits) GROUP BY n.bits LOOP
		IF EXISTS (
			SELECT FROM unnest(need.ids) i (id)
			WHERE i.id IS NULL OR NOT satchel.node_in_zones(in_drive, i.id, satchel.zones_for(need.bits))) THEN
			RAISE EXCEPTION 'the grants do not allow this' USING ERRCODE = '42501';
		END IF;
	END LOOP;
	PERFORM set_config('satchel.actor', CASE me WHEN '' THEN 'anonymous' ELSE me END, true),
		set_config('satchel.user_id', d.owner::text, true)
	FROM satchel.drives d WHERE d.id = in_drive;
END $$;
-- +goose StatementEnd

-- Whatever the program does while it acts for a guest: each place that a change
-- names must be one where the guest may change something. Places in directories
-- that the same change removed count as where those were.
-- +goose StatementBegin
CREATE FUNCTION satchel.check_guest()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	actor CONSTANT text := current_setting('satchel.actor');
	held  CONSTANT uuid[] := satchel.zones_held(CASE WHEN actor <> 'anonymous' THEN actor::uuid END, 124);
	place uuid;
	here  uuid;
BEGIN
	FOREACH place IN ARRAY array_remove(ARRAY[NEW.parent, NEW.to_parent], NULL) LOOP
		here := place;
		WHILE here IS NOT NULL AND NOT EXISTS (SELECT FROM satchel.dirs d WHERE d.drive = NEW.drive AND d.id = here) LOOP
			here := (SELECT t.parent FROM satchel.trash t WHERE t.drive = NEW.drive AND t.node = here);
		END LOOP;
		-- What has grants itself may be written to where its directory is not shared.
		IF here IS NULL OR NOT satchel.dir_in_zones(NEW.drive, here, held) AND
			NOT (NEW.op = 'write' AND satchel.node_in_zones(NEW.drive, NEW.node, held)) THEN
			RAISE EXCEPTION 'a guest''s change reaches beyond what is shared' USING ERRCODE = '42501';
		END IF;
	END LOOP;
	IF NEW.parent IS NULL AND NEW.to_parent IS NULL AND NOT satchel.node_in_zones(NEW.drive, NEW.node, held) THEN
		RAISE EXCEPTION 'a guest''s change reaches beyond what is shared' USING ERRCODE = '42501';
	END IF;
	RETURN NULL;
END $$;
-- +goose StatementEnd

-- Directories that moved, or came back from the trash, get the zone of where
-- they are now, and so does what is below them, down to the next zone.
-- +goose StatementBegin
CREATE FUNCTION satchel.rezone(in_drive uuid, moved uuid[])
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	next uuid;
BEGIN
	IF NOT EXISTS (SELECT FROM satchel.drives d WHERE d.id = in_drive AND d.owner::text = current_setting('satchel.user_id', true)) THEN
		RAISE EXCEPTION 'only the owner of a drive may do this' USING ERRCODE = '42501';
	END IF;
	FOR next IN -- from the top down, since a lower one may get its zone from a higher one
		WITH RECURSIVE up (id, at, depth) AS (
			SELECT m, m, 0 FROM unnest(moved) m
			UNION ALL
			SELECT u.id, d.parent, u.depth + 1
			FROM up u JOIN satchel.dirs d ON d.drive = in_drive AND d.id = u.at
			WHERE d.parent IS NOT NULL
		)
		SELECT id FROM up GROUP BY id ORDER BY max(depth)
	LOOP
		PERFORM satchel.set_zone(in_drive, next,
			coalesce(
				(SELECT z.id FROM satchel.zones z WHERE z.drive = in_drive AND z.node = next),
				(SELECT p.zone FROM satchel.dirs d JOIN satchel.dirs p ON p.drive = d.drive AND p.id = d.parent
				WHERE d.drive = in_drive AND d.id = next)));
	END LOOP;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION satchel.set_zone(in_drive uuid, top uuid, new_zone uuid)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE below (id) AS (
		SELECT top
		UNION ALL
		SELECT d.id
		FROM below b
		CROSS JOIN LATERAL (
			SELECT id FROM satchel.dirs d
			WHERE d.drive = in_drive AND d.parent = b.id
			  AND NOT EXISTS (SELECT FROM satchel.zones z WHERE z.drive = in_drive AND z.node = d.id)
			OFFSET 0) d
	)
	UPDATE satchel.dirs d SET zone = new_zone
	FROM below b
	WHERE d.drive = in_drive AND d.id = b.id AND d.zone IS DISTINCT FROM new_zone
$$;
-- +goose StatementEnd

-- Whether the user decides about a drive's grants: its owner, and admins for
-- system drives.
-- +goose StatementBegin
CREATE FUNCTION satchel.grants_are_mine(in_drive uuid)
RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (
		SELECT FROM satchel.drives d
		WHERE d.id = in_drive
		  AND (d.owner::text = current_setting('satchel.user_id', true)
		    OR d.owner = '00000000-0000-0000-0000-000000000001' AND satchel.is_admin()))
$$;
-- +goose StatementEnd

-- Makes a live node a zone, if it is none. The drive stays locked, so that no
-- directory is made or moved below it meanwhile.
-- +goose StatementBegin
CREATE FUNCTION satchel.make_zone(in_drive uuid, in_node uuid)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	made uuid;
BEGIN
	PERFORM FROM satchel.drives d WHERE d.id = in_drive FOR NO KEY UPDATE;
	INSERT INTO satchel.zones (drive, node, owner)
	SELECT d.id, n.id, d.owner
	FROM satchel.drives d JOIN satchel.nodes n ON n.drive = d.id AND n.id = in_node AND n.nlink > 0
	WHERE d.id = in_drive
	ON CONFLICT (drive, node) DO NOTHING
	RETURNING id INTO made;
	IF made IS NOT NULL THEN
		PERFORM satchel.set_zone(in_drive, in_node, made);
	END IF;
END $$;
-- +goose StatementEnd

-- Named system drives belong to an account that nobody can log in to; it is made
-- with the first of them. The nil UUID means absence everywhere else, so it is
-- the one after it.
-- +goose StatementBegin
CREATE FUNCTION satchel.ensure_system()
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO satchel.users (id, email, name, role, password_hash, disabled)
	VALUES ('00000000-0000-0000-0000-000000000001', 'system', 'System', 'editor', '', now())
	ON CONFLICT DO NOTHING
$$;
-- +goose StatementEnd

-- Makes the root of a drive a zone, which is how admins see a system drive.
-- +goose StatementBegin
CREATE FUNCTION satchel.zone_root(in_drive uuid)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT satchel.make_zone(d.id, d.root) FROM satchel.drives d
	WHERE d.id = in_drive AND satchel.grants_are_mine(d.id)
	  AND NOT EXISTS (SELECT FROM satchel.zones z WHERE z.drive = d.id AND z.node = d.root)
$$;
-- +goose StatementEnd

-- Adds permissions to what a principal has on a node. False: there is no such
-- node, or no such user.
-- +goose StatementBegin
CREATE FUNCTION satchel.grant_access(in_drive uuid, in_node uuid, to_whom text, more int)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT satchel.grants_are_mine(in_drive) THEN
		RAISE EXCEPTION 'only the owner of a drive grants access to it' USING ERRCODE = '42501';
	END IF;
	IF to_whom NOT IN ('anonymous', 'authenticated') AND NOT EXISTS (SELECT FROM satchel.users u WHERE u.id::text = to_whom) THEN
		RETURN false;
	END IF;
	PERFORM satchel.make_zone(in_drive, in_node);
	INSERT INTO satchel.grants AS g (drive, node, principal, owner, permissions)
	SELECT z.drive, z.node, to_whom, z.owner, more FROM satchel.zones z WHERE z.drive = in_drive AND z.node = in_node
	ON CONFLICT (drive, node, principal) DO UPDATE SET permissions = g.permissions | excluded.permissions;
	RETURN FOUND;
END $$;
-- +goose StatementEnd

-- Takes permissions away, and the grant with the last of them. False: there
-- was no such grant.
-- +goose StatementBegin
CREATE FUNCTION satchel.revoke_access(in_drive uuid, in_node uuid, from_whom text, less int)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	had int;
BEGIN
	IF NOT satchel.grants_are_mine(in_drive) THEN
		RAISE EXCEPTION 'only the owner of a drive revokes access to it' USING ERRCODE = '42501';
	END IF;
	SELECT g.permissions INTO had FROM satchel.grants g
	WHERE g.drive = in_drive AND g.node = in_node AND g.principal = from_whom FOR UPDATE;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	IF had & ~less = 0 THEN
		DELETE FROM satchel.grants g WHERE g.drive = in_drive AND g.node = in_node AND g.principal = from_whom;
	ELSE
		UPDATE satchel.grants g SET permissions = had & ~less
		WHERE g.drive = in_drive AND g.node = in_node AND g.principal = from_whom;
	END IF;
	RETURN true;
END $$;
-- +goose StatementEnd

-- Shows a directory of a drive in an empty one of another. Null: made; else why
-- it can't be.
-- +goose StatementBegin
CREATE FUNCTION satchel.make_bind(in_id uuid, in_drive uuid, in_node uuid, from_drive uuid, from_node uuid, inherits boolean)
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT satchel.grants_are_mine(in_drive) OR inherits AND NOT satchel.grants_are_mine(from_drive) THEN
		RAISE EXCEPTION 'only the owner of a drive binds into it, or passes on what is his' USING ERRCODE = '42501';
	END IF;
	PERFORM FROM satchel.drives d WHERE d.id IN (in_drive, from_drive) ORDER BY d.id FOR NO KEY UPDATE;
	IF NOT EXISTS (SELECT FROM satchel.dirs d WHERE d.drive = from_drive AND d.id = from_node)
		OR NOT (satchel.grants_are_mine(from_drive) OR satchel.dir_in_zones(from_drive, from_node, satchel.zones_for(127))) THEN
		RETURN 'source';
	END IF;
	IF EXISTS (SELECT FROM satchel.entries e WHERE e.drive = in_drive AND e.parent = in_node)
		OR EXISTS (SELECT FROM satchel.binds b WHERE b.drive = in_drive AND b.node = in_node)
		OR NOT EXISTS (SELECT FROM satchel.dirs d WHERE d.drive = in_drive AND d.id = in_node AND d.parent IS NOT NULL) THEN
		RETURN 'taken';
	END IF;
	-- Up from the bind, and from all binds that lead to a directory on that way:
	-- whoever comes by the source shall not come here again.
	IF EXISTS (
		WITH RECURSIVE up (drive, node) AS (
			SELECT in_drive, in_node
			UNION
			SELECT n.drive, n.node
			FROM up u
			CROSS JOIN LATERAL (
				SELECT d.drive, d.parent AS node FROM satchel.dirs d WHERE d.drive = u.drive AND d.id = u.node AND d.parent IS NOT NULL
				UNION ALL
				SELECT b.drive, b.node FROM satchel.binds b WHERE b.source_drive = u.drive AND b.source_node = u.node) n
		)
		SELECT FROM up u WHERE u.drive = from_drive AND u.node = from_node) THEN
		RETURN 'cycle';
	END IF;
	IF inherits THEN
		PERFORM satchel.make_zone(from_drive, from_node);
	END IF;
	INSERT INTO satchel.binds (drive, id, node, owner, source_drive, source_node, source_owner, inherit)
	SELECT d.id, in_id, in_node, d.owner, s.id, from_node, s.owner, inherits
	FROM satchel.drives d, satchel.drives s WHERE d.id = in_drive AND s.id = from_drive;
	RETURN NULL;
END $$;
-- +goose StatementEnd

-- Ends a bind, for who decides about either side.
-- +goose StatementBegin
CREATE FUNCTION satchel.drop_bind(in_id uuid)
RETURNS TABLE (drive uuid, node uuid)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	DELETE FROM satchel.binds b
	WHERE b.id = in_id AND (satchel.grants_are_mine(b.drive) OR satchel.grants_are_mine(b.source_drive))
	RETURNING b.drive, b.node
$$;
-- +goose StatementEnd

-- A drive's grants with the paths of their nodes, for who decides about them.
-- +goose StatementBegin
CREATE FUNCTION satchel.grants_of(in_drive uuid)
RETURNS TABLE (node uuid, path text, principal text, permissions int)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE up (node, at, depth, path) AS (
		SELECT z.node, z.node, 0, ''::text COLLATE "C" FROM satchel.zones z
		WHERE z.drive = in_drive AND satchel.grants_are_mine(in_drive)
		UNION ALL
		SELECT u.node, e.parent, u.depth + 1, '/' || e.name || u.path
		FROM up u
		CROSS JOIN LATERAL (
			SELECT parent, name FROM satchel.entries WHERE drive = in_drive AND satchel.entries.node = u.at
			ORDER BY parent, name LIMIT 1) e
	)
	SELECT g.node, coalesce(nullif(u.path, ''), '/'), g.principal, g.permissions
	FROM satchel.grants g
	CROSS JOIN LATERAL (SELECT path FROM up WHERE up.node = g.node ORDER BY depth DESC LIMIT 1) u
	WHERE g.drive = in_drive
	  AND (u.path <> '' OR EXISTS (SELECT FROM satchel.drives d WHERE d.id = in_drive AND d.root = g.node))
	ORDER BY 2, 3
$$;
-- +goose StatementEnd

-- The user's permissions on a node, as bits.
-- +goose StatementBegin
CREATE FUNCTION satchel.permissions_on(in_drive uuid, in_node uuid)
RETURNS int
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN EXISTS (SELECT FROM satchel.drives d WHERE d.id = in_drive AND d.owner::text = current_setting('satchel.user_id', true))
		THEN 127
		ELSE coalesce((
			SELECT sum(b.bit)::int FROM unnest(ARRAY[1, 2, 4, 8, 16, 32, 64]) b (bit)
			WHERE satchel.node_in_zones(in_drive, in_node, satchel.zones_for(b.bit))), 0)
	END
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
		IF f.proname NOT IN ('set_zone', 'make_zone', 'check_guest') THEN -- the others' own
			EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO satchel_app', f.name);
		END IF;
		IF f.proname <> 'check_guest' THEN
			EXECUTE format('ALTER FUNCTION %s OWNER TO satchel_auth', f.name);
		END IF;
	END LOOP;
END $$;
-- +goose StatementEnd

-- A guest's changes only: an owner's pay for one comparison.
CREATE TRIGGER changes_by_guest AFTER INSERT ON satchel.changes
	FOR EACH ROW WHEN (nullif(current_setting('satchel.actor', true), '') IS NOT NULL)
	EXECUTE FUNCTION satchel.check_guest();
ALTER FUNCTION satchel.check_guest() OWNER TO satchel_auth;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
