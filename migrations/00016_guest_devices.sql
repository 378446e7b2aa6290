-- +goose Up

-- What devices of guests need: a feed of what they may see, batches of their
-- own, and the chunks that they sent.

-- Which chunks guests have sent. A guest's batch may name these only: by others
-- he could read what the owner has, of which he knows no more than the hash.
CREATE TABLE satchel.guest_chunks (
	owner  uuid NOT NULL,
	sha256 bytea NOT NULL,
	guest  uuid NOT NULL,
	at     timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (owner, sha256, guest),
	FOREIGN KEY (owner, sha256) REFERENCES satchel.chunks (owner, sha256) ON DELETE CASCADE
);
CREATE INDEX guest_chunks_guest ON satchel.guest_chunks (guest, at);
ALTER TABLE satchel.guest_chunks ENABLE ROW LEVEL SECURITY;
ALTER TABLE satchel.guest_chunks FORCE  ROW LEVEL SECURITY;
GRANT SELECT, INSERT, UPDATE (at), DELETE ON satchel.guest_chunks TO satchel_auth;
CREATE POLICY auth_read   ON satchel.guest_chunks FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_insert ON satchel.guest_chunks FOR INSERT TO satchel_auth WITH CHECK (true);
CREATE POLICY auth_change ON satchel.guest_chunks FOR UPDATE TO satchel_auth USING (true);
CREATE POLICY auth_delete ON satchel.guest_chunks FOR DELETE TO satchel_auth USING (true);

GRANT UPDATE (seq) ON satchel.drives TO satchel_auth;
GRANT SELECT, INSERT ON satchel.changes TO satchel_auth;
GRANT SELECT ON satchel.batches TO satchel_auth;
GRANT SELECT (type) ON satchel.nodes TO satchel_auth;
CREATE POLICY auth_read   ON satchel.changes FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_insert ON satchel.changes FOR INSERT TO satchel_auth WITH CHECK (true);
CREATE POLICY auth_read   ON satchel.batches FOR SELECT TO satchel_auth USING (true);

GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;

-- Puts a change of rights into a drive's order, and wakes its feeds: whoever it
-- concerns (a principal; NULL: every guest) has to list again what he sees. With
-- '' it is the owner's devices only that shall look. Those who have bound something of the drive
-- are told by their own drives, unless these are being changed right now: waiting for one while this one is locked
-- could be for ever, and devices ask for their binds now and then by themselves.
-- +goose StatementBegin
CREATE FUNCTION satchel.rights_changed(in_drive uuid, in_node uuid, whose text)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	b record;
BEGIN
	WITH next AS (
		UPDATE satchel.drives d SET seq = d.seq + 1 WHERE d.id = in_drive RETURNING d.id, d.owner, d.seq
	)
	INSERT INTO satchel.changes (drive, seq, owner, op, node, name, time)
	SELECT n.id, n.seq, n.owner, 'rights', in_node, whose, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000 FROM next n;
	PERFORM pg_notify('satchel_changes', in_drive::text);
	IF whose IS DISTINCT FROM '' THEN
		FOR b IN
			SELECT k.drive, k.node FROM satchel.binds k JOIN satchel.drives d ON d.id = k.drive
			WHERE k.source_drive = in_drive AND k.drive <> in_drive
			  AND (whose IS NULL OR whose IN ('anonymous', 'authenticated') OR whose = k.owner::text)
			ORDER BY k.drive
			FOR NO KEY UPDATE OF d SKIP LOCKED
		LOOP
			PERFORM satchel.rights_changed(b.drive, b.node, '');
		END LOOP;
	END IF;
END $$;
-- +goose StatementEnd

-- As in 00009, and told to the feeds.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.grant_access(in_drive uuid, in_node uuid, to_whom text, more int)
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
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM satchel.rights_changed(in_drive, in_node, to_whom);
	RETURN true;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.revoke_access(in_drive uuid, in_node uuid, from_whom text, less int)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	had int;
BEGIN
	IF NOT satchel.grants_are_mine(in_drive) THEN
		RAISE EXCEPTION 'only the owner of a drive revokes access to it' USING ERRCODE = '42501';
	END IF;
	PERFORM FROM satchel.drives d WHERE d.id = in_drive FOR NO KEY UPDATE;
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
	PERFORM satchel.rights_changed(in_drive, in_node, from_whom);
	RETURN true;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.add_shared_pack(in_drive uuid, pack uuid, bytes bigint, hashes bytea[], offs int[], lens int[])
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	me    CONSTANT uuid := nullif(current_setting('satchel.user_id', true), '')::uuid;
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
	IF me IS NOT NULL THEN
		DELETE FROM satchel.guest_chunks g WHERE g.guest = me AND g.at < now() - interval '7 days';
		INSERT INTO satchel.guest_chunks (owner, sha256, guest) SELECT whose, h, me FROM unnest(hashes) h
		ON CONFLICT (owner, sha256, guest) DO UPDATE SET at = now();
	END IF;
END $$;
-- +goose StatementEnd

-- Those of the hashes that the user has not sent to a drive, or that are about
-- to be collected.
-- +goose StatementBegin
CREATE FUNCTION satchel.guest_missing(in_drive uuid, hashes bytea[])
RETURNS SETOF bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT DISTINCT h
	FROM unnest(hashes) h
	WHERE NOT EXISTS (
		SELECT FROM satchel.drives d
		JOIN satchel.guest_chunks g ON g.owner = d.owner AND g.sha256 = h
		WHERE d.id = in_drive AND g.guest = nullif(current_setting('satchel.user_id', true), '')::uuid
		  AND NOT EXISTS (SELECT FROM satchel.condemned k WHERE k.owner = d.owner AND k.sha256 = h))
$$;
-- +goose StatementEnd

-- For each node whether the user holds one of the permissions wanted beside it.
-- +goose StatementBegin
CREATE FUNCTION satchel.holds(in_drive uuid, needed uuid[], wanted int[])
RETURNS boolean[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT array_agg(satchel.node_in_zones(in_drive, n.id, z.held) ORDER BY n.i)
	FROM unnest(needed, wanted) WITH ORDINALITY n (id, bits, i)
	JOIN (SELECT w.bits, satchel.zones_for(w.bits) AS held FROM (SELECT DISTINCT unnest(wanted) AS bits) w) z ON z.bits = n.bits
$$;
-- +goose StatementEnd

-- The last batch of a device in another one's drive; not for a device of another user's.
-- +goose StatementBegin
CREATE FUNCTION satchel.guest_batch(in_drive uuid, in_device uuid, in_incarnation uuid)
RETURNS TABLE (number bigint, outcomes jsonb, touched jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT b.number, b.outcomes, b.touched
	FROM satchel.batches b
	WHERE b.drive = in_drive AND b.device = in_device AND b.incarnation = in_incarnation
	  AND NOT EXISTS (
		SELECT FROM satchel.sessions s
		WHERE s.id = in_device AND s.user_id IS DISTINCT FROM nullif(current_setting('satchel.user_id', true), '')::uuid)
$$;
-- +goose StatementEnd

-- Whether a directory is in one of some zones; one in the trash is where it was.
-- +goose StatementBegin
CREATE FUNCTION satchel.place_in_zones(in_drive uuid, place uuid, held uuid[])
RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	here uuid := place;
BEGIN
	WHILE here IS NOT NULL AND NOT EXISTS (SELECT FROM satchel.dirs d WHERE d.drive = in_drive AND d.id = here) LOOP
		here := (SELECT t.parent FROM satchel.trash t WHERE t.drive = in_drive AND t.node = here);
	END LOOP;
	RETURN here IS NOT NULL AND satchel.dir_in_zones(in_drive, here, held);
END $$;
-- +goose StatementEnd

-- The changes of a drive after a point, as a guest may see them: of those that
-- do not concern him only the number. Lost: he has to list again, because his rights changed
-- or a directory came into what he sees, whose past is not his to know.
-- +goose StatementBegin
CREATE FUNCTION satchel.guest_changes(in_drive uuid, after bigint, in_device uuid, most int)
RETURNS TABLE (lost boolean, seq bigint, node uuid, parent uuid, name text, to_parent uuid, to_name text, other uuid)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	me   CONSTANT text := coalesce(current_setting('satchel.user_id', true), '');
	held CONSTANT uuid[] := satchel.zones_for(127);
BEGIN
	IF after < (SELECT d.forgotten FROM satchel.drives d WHERE d.id = in_drive)
		OR EXISTS (
			SELECT FROM satchel.changes c
			WHERE c.drive = in_drive AND c.seq > after
			  AND CASE c.op
				WHEN 'rights' THEN c.name IS NULL OR c.name IN ('anonymous', 'authenticated', me)
				WHEN 'rename' THEN c.parent <> c.to_parent
					AND EXISTS (SELECT FROM satchel.nodes n WHERE n.drive = in_drive AND n.id = c.node AND n.type = 'd')
					AND satchel.place_in_zones(in_drive, c.to_parent, held) AND NOT satchel.place_in_zones(in_drive, c.parent, held)
				WHEN 'exchange' THEN c.parent <> c.to_parent
					AND satchel.place_in_zones(in_drive, c.to_parent, held) <> satchel.place_in_zones(in_drive, c.parent, held)
				ELSE false END) THEN
		RETURN QUERY SELECT true, 0::bigint, NULL::uuid, NULL::uuid, NULL::text, NULL::uuid, NULL::text, NULL::uuid;
		RETURN;
	END IF;
	RETURN QUERY
	SELECT false, c.seq, CASE WHEN s.source OR s.target OR s.self THEN c.node END,
		CASE WHEN s.source THEN c.parent END, CASE WHEN s.source THEN c.name END,
		CASE WHEN s.target THEN c.to_parent END, CASE WHEN s.target THEN c.to_name END,
		CASE WHEN s.target THEN c.other END
	FROM (
		SELECT * FROM satchel.changes x
		WHERE x.drive = in_drive AND x.seq > after AND (x.device IS DISTINCT FROM in_device OR x.incarnation IS NULL)
		ORDER BY x.seq LIMIT most) c
	CROSS JOIN LATERAL (
		SELECT satchel.place_in_zones(in_drive, c.parent, held) AS source, satchel.place_in_zones(in_drive, c.to_parent, held) AS target,
			satchel.node_in_zones(in_drive, c.node, held) AS self) s
	ORDER BY c.seq;
END $$;
-- +goose StatementEnd

REVOKE EXECUTE ON FUNCTION satchel.rights_changed(uuid, uuid, text), satchel.guest_missing(uuid, bytea[]), satchel.holds(uuid, uuid[], int[]),
	satchel.guest_batch(uuid, uuid, uuid), satchel.place_in_zones(uuid, uuid, uuid[]), satchel.guest_changes(uuid, bigint, uuid, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.guest_missing(uuid, bytea[]), satchel.holds(uuid, uuid[], int[]),
	satchel.guest_batch(uuid, uuid, uuid), satchel.guest_changes(uuid, bigint, uuid, int) TO satchel_app;
SET LOCAL ROLE satchel_owner;
-- The owner's devices hear of a bind by the change of its directory; whoever a
-- bind lets inherit, by one of the source.
-- +goose StatementBegin
CREATE FUNCTION satchel.bind_changed()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	b satchel.binds;
BEGIN
	b := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
	PERFORM FROM satchel.drives d WHERE d.id IN (b.drive, b.source_drive) ORDER BY d.id FOR NO KEY UPDATE;
	PERFORM satchel.rights_changed(b.drive, b.node, '');
	IF b.inherit THEN
		PERFORM satchel.rights_changed(b.source_drive, b.source_node, NULL);
	END IF;
	RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER bind_changed AFTER INSERT OR DELETE ON satchel.binds FOR EACH ROW EXECUTE FUNCTION satchel.bind_changed();
REVOKE EXECUTE ON FUNCTION satchel.bind_changed() FROM PUBLIC;
ALTER FUNCTION satchel.bind_changed() OWNER TO satchel_auth;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
