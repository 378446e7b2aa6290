-- +goose Up

-- What an admin does and sees from the page: accounts, sessions, bans, upkeep,
-- figures. Everything but reading rows that are an admin's to read is a function
-- that asks satchel.is_admin(), so that no statement of the program can do it for
-- anyone else.

-- Runs of gc and fsck. Whoever runs one writes how far it is, so that every server's
-- page can tell; one that was not touched for a while has died.
CREATE TABLE satchel.runs (
	id       uuid PRIMARY KEY,
	kind     text NOT NULL CHECK (kind IN ('gc', 'fsck')),
	deep     boolean NOT NULL DEFAULT false,
	repair   boolean NOT NULL DEFAULT false,
	actor    uuid,                                   -- the admin who started it; NULL: a command, or the server by itself
	via      text NOT NULL CHECK (via IN ('request', 'command', 'server')),
	host     text NOT NULL,
	started  timestamptz NOT NULL DEFAULT now(),
	touched  timestamptz NOT NULL DEFAULT now(),
	finished timestamptz,
	step     text NOT NULL DEFAULT '',
	done     bigint NOT NULL DEFAULT 0,
	total    bigint NOT NULL DEFAULT 0,              -- 0: nobody knows
	report   jsonb,
	failure  text
);
CREATE INDEX runs_started ON satchel.runs (started, id);

-- What each day did to a drive, and what was in it at the day's end (UTC).
CREATE TABLE satchel.activity (
	drive   uuid NOT NULL,
	owner   uuid NOT NULL,
	day     date NOT NULL,
	changes bigint NOT NULL,
	added   bigint NOT NULL,                         -- bytes of new versions
	removed bigint NOT NULL,                         -- bytes of versions that were let go
	files   bigint NOT NULL,
	bytes   bigint NOT NULL,
	stored  bigint NOT NULL,
	PRIMARY KEY (drive, day),
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE
) WITH (fillfactor = 70);
CREATE INDEX activity_day ON satchel.activity (day);

-- Files and bytes of each owner by the extensions of names, as they were counted last.
CREATE TABLE satchel.extensions (
	owner     uuid NOT NULL REFERENCES satchel.users ON DELETE CASCADE,
	extension text COLLATE "C" NOT NULL,
	files     bigint NOT NULL,
	bytes     bigint NOT NULL,
	PRIMARY KEY (owner, extension)
);
CREATE TABLE satchel.counted (
	what text PRIMARY KEY,
	at   timestamptz NOT NULL
);

-- +goose StatementBegin
DO $$
DECLARE
	t text;
BEGIN
	FOREACH t IN ARRAY ARRAY['runs', 'activity', 'extensions', 'counted'] LOOP
		EXECUTE format('ALTER TABLE satchel.%I ENABLE ROW LEVEL SECURITY', t);
		EXECUTE format('ALTER TABLE satchel.%I FORCE ROW LEVEL SECURITY', t);
		EXECUTE format('GRANT SELECT ON satchel.%I TO satchel_app', t);
		EXECUTE format('CREATE POLICY admin_read ON satchel.%I FOR SELECT TO satchel_app USING ((SELECT satchel.is_admin()))', t);
	END LOOP;
	FOREACH t IN ARRAY ARRAY['runs', 'extensions', 'counted'] LOOP
		EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON satchel.%I TO satchel_keeper', t);
		EXECUTE format('CREATE POLICY keeper_read ON satchel.%I FOR SELECT TO satchel_keeper USING (true)', t);
		EXECUTE format('CREATE POLICY keeper_insert ON satchel.%I FOR INSERT TO satchel_keeper WITH CHECK (true)', t);
		EXECUTE format('CREATE POLICY keeper_change ON satchel.%I FOR UPDATE TO satchel_keeper USING (true)', t);
		EXECUTE format('CREATE POLICY keeper_delete ON satchel.%I FOR DELETE TO satchel_keeper USING (true)', t);
	END LOOP;
END $$;
-- +goose StatementEnd
GRANT SELECT, INSERT, UPDATE (changes, added, removed, files, bytes, stored) ON satchel.activity TO satchel_auth;
CREATE POLICY auth_read   ON satchel.activity FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_insert ON satchel.activity FOR INSERT TO satchel_auth WITH CHECK (true);
CREATE POLICY auth_change ON satchel.activity FOR UPDATE TO satchel_auth USING (true);
GRANT SELECT (id, kind, deep, repair, actor, via) ON satchel.runs TO satchel_auth;
CREATE POLICY auth_read ON satchel.runs FOR SELECT TO satchel_auth USING (true);
GRANT SELECT (nlink, mtime) ON satchel.nodes TO satchel_auth;

GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;

-- +goose StatementBegin
CREATE FUNCTION satchel.count_activity()
RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO satchel.activity AS a (drive, owner, day, changes, added, removed, files, bytes, stored)
	VALUES (NEW.id, NEW.owner, (now() AT TIME ZONE 'UTC')::date, NEW.seq - OLD.seq, greatest(NEW.stored - OLD.stored, 0),
		greatest(OLD.stored - NEW.stored, 0), NEW.files, NEW.bytes, NEW.stored)
	ON CONFLICT (drive, day) DO UPDATE SET changes = a.changes + excluded.changes, added = a.added + excluded.added,
		removed = a.removed + excluded.removed, files = excluded.files, bytes = excluded.bytes, stored = excluded.stored;
	RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION satchel.audit_runs()
RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM satchel.record(NEW.kind || CASE WHEN TG_OP = 'INSERT' THEN ' started' ELSE ' ended' END, NEW.host,
		jsonb_build_object('run', NEW.id, 'deep', nullif(NEW.deep, false), 'repair', nullif(NEW.repair, false), 'failure', NEW.failure), NEW.actor);
	RETURN NULL;
END $$;
-- +goose StatementEnd

-- Refuses whoever is no admin.
-- +goose StatementBegin
CREATE FUNCTION satchel.must_be_admin()
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT satchel.is_admin() THEN
		RAISE EXCEPTION 'only an admin may do this' USING ERRCODE = '42501';
	END IF;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION satchel.admin_add_user(new_id uuid, address text, new_name text, new_role text, new_quota bigint, hash text)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM satchel.must_be_admin();
	INSERT INTO satchel.users (id, email, name, role, password_hash, quota) VALUES (new_id, lower(address), new_name, new_role, hash, new_quota);
END $$;
-- +goose StatementEnd

-- Changes what is not NULL of an account, and ends its sessions where they would
-- go on with what is no more; tells how many accounts there were. Admins are changed one
-- after another, each seeing what the one before did: so of two who take the
-- other's role at once one stays, and there is always an admin who can log in.
-- +goose StatementBegin
CREATE FUNCTION satchel.admin_change_user(whom uuid, to_name text, to_role text, to_quota bigint, to_disabled boolean, hash text)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	old record;
BEGIN
	PERFORM pg_advisory_xact_lock(hashtext('satchel.admins'));
	PERFORM satchel.must_be_admin();
	SELECT u.role, u.disabled IS NOT NULL AS disabled INTO old
	FROM satchel.users u WHERE u.id = whom AND u.id <> '00000000-0000-0000-0000-000000000001' FOR UPDATE;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	IF old.role = 'admin' AND NOT old.disabled AND (to_disabled OR to_role <> 'admin')
	   AND NOT EXISTS (SELECT FROM satchel.users u WHERE u.id <> whom AND u.role = 'admin' AND u.disabled IS NULL) THEN
		RAISE EXCEPTION 'this is the last admin who can log in' USING ERRCODE = 'SA001';
	END IF;
	UPDATE satchel.users u SET
		name = coalesce(to_name, u.name), role = coalesce(to_role, u.role), quota = coalesce(to_quota, u.quota),
		password_hash = coalesce(hash, u.password_hash),
		disabled = CASE WHEN to_disabled THEN coalesce(u.disabled, now()) WHEN NOT to_disabled OR hash IS NOT NULL THEN NULL ELSE u.disabled END
	WHERE u.id = whom;
	IF to_disabled OR hash IS NOT NULL OR to_role <> old.role THEN
		UPDATE satchel.sessions s SET revoked = now() WHERE s.user_id = whom AND s.revoked IS NULL;
	END IF;
	RETURN 1;
END $$;
-- +goose StatementEnd

-- The live logins of everybody, for an admin; for anyone else there are none.
-- +goose StatementBegin
CREATE FUNCTION satchel.all_sessions()
RETURNS TABLE (id uuid, user_id uuid, email text, kind text, name text, created timestamptz, seen timestamptz, expires timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT s.id, s.user_id, u.email, s.kind, s.name, s.created, s.seen, s.expires
	FROM satchel.sessions s JOIN satchel.users u ON u.id = s.user_id
	WHERE satchel.is_admin() AND s.revoked IS NULL AND u.disabled IS NULL
	  AND (s.expires IS NULL OR s.expires > now()) AND (s.idle IS NULL OR s.seen > now() - s.idle)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION satchel.admin_end_session(sid uuid)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n bigint;
BEGIN
	PERFORM satchel.must_be_admin();
	UPDATE satchel.sessions s SET revoked = now() WHERE s.id = sid AND s.revoked IS NULL;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION satchel.admin_lift_bans(of_network cidr)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n bigint;
BEGIN
	PERFORM satchel.must_be_admin();
	DELETE FROM satchel.bans b WHERE b.network && of_network;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END $$;
-- +goose StatementEnd

-- A page of the metadata of all files, in the order of the nodes' key: rows are
-- read from the cursor on until enough of them fit, and only those get a path. For
-- anyone but an admin there are none. What is NULL of the filters is none.
-- +goose StatementBegin
CREATE FUNCTION satchel.admin_files(after_drive uuid, after_node uuid, of_owner uuid, named text, suffixes text[],
	min_size bigint, max_size bigint, since bigint, until bigint, lim int)
RETURNS TABLE (drive uuid, node uuid, owner uuid, email text, drive_name text, path text, description text, size bigint, sha256 bytea,
	modified bigint, uploaded timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 200 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d record;
	left_over int := lim;
	n int;
BEGIN
	IF NOT satchel.is_admin() THEN
		RETURN;
	END IF;
	-- One drive after another: a range of the nodes' key each.
	FOR d IN SELECT v.id, v.owner, v.name, u.email FROM satchel.drives v JOIN satchel.users u ON u.id = v.owner
		WHERE (of_owner IS NULL OR v.owner = of_owner) AND (after_drive IS NULL OR v.id >= after_drive) ORDER BY v.id LOOP
		RETURN QUERY
			SELECT d.id, f.id, d.owner, d.email, d.name, satchel.path_to(d.id, f.id), coalesce(m.description, ''), f.size, v.sha256, f.mtime, v.created
			FROM (
				SELECT x.id, x.size, x.mtime, x.version, x.document
				FROM satchel.nodes x
				WHERE x.drive = d.id AND x.type = 'f' AND x.nlink > 0
				  AND (d.id IS DISTINCT FROM after_drive OR x.id > after_node)
				  AND (min_size IS NULL OR x.size >= min_size) AND (max_size IS NULL OR x.size <= max_size)
				  AND (since IS NULL OR x.mtime >= since) AND (until IS NULL OR x.mtime < until)
				  AND (named IS NULL AND suffixes IS NULL OR EXISTS (
					SELECT FROM satchel.entries e
					WHERE e.drive = x.drive AND e.node = x.id AND (named IS NULL OR e.name COLLATE "default" ILIKE named)
					  AND (suffixes IS NULL OR lower(substring(e.name FROM '\.([^.]*)$')) = ANY (suffixes))))
				ORDER BY x.drive, x.id LIMIT left_over) f
			JOIN satchel.versions v ON v.drive = d.id AND v.id = f.version
			LEFT JOIN satchel.documents m ON m.drive = d.id AND m.id = f.document
			ORDER BY f.id;
		GET DIAGNOSTICS n = ROW_COUNT;
		left_over := left_over - n;
		EXIT WHEN left_over <= 0;
	END LOOP;
END $$;
-- +goose StatementEnd

REVOKE EXECUTE ON FUNCTION satchel.count_activity(), satchel.audit_runs(), satchel.must_be_admin(),
	satchel.admin_add_user(uuid, text, text, text, bigint, text), satchel.admin_change_user(uuid, text, text, bigint, boolean, text),
	satchel.all_sessions(), satchel.admin_end_session(uuid), satchel.admin_lift_bans(cidr),
	satchel.admin_files(uuid, uuid, uuid, text, text[], bigint, bigint, bigint, bigint, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.admin_add_user(uuid, text, text, text, bigint, text), satchel.admin_change_user(uuid, text, text, bigint, boolean, text),
	satchel.all_sessions(), satchel.admin_end_session(uuid), satchel.admin_lift_bans(cidr),
	satchel.admin_files(uuid, uuid, uuid, text, text[], bigint, bigint, bigint, bigint, int) TO satchel_app;
GRANT EXECUTE ON FUNCTION satchel.count_activity(), satchel.audit_runs() TO satchel_owner;

-- As before, but without the owner of the system's drives, who is nobody.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.accounts()
RETURNS TABLE (id uuid, email text, name text, role text, quota bigint, created timestamptz, disabled boolean,
	files bigint, bytes bigint, stored bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT u.id, u.email, u.name, u.role, u.quota, u.created, u.disabled IS NOT NULL,
		coalesce(d.files, 0), coalesce(d.bytes, 0), coalesce(d.stored, 0)
	FROM satchel.users u LEFT JOIN satchel.drives d ON d.owner = u.id AND d.name = 'home'
	WHERE satchel.is_admin() AND u.id <> '00000000-0000-0000-0000-000000000001'
$$;
-- +goose StatementEnd
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;

CREATE TRIGGER activity AFTER UPDATE OF seq, stored ON satchel.drives FOR EACH ROW
	WHEN (NEW.seq > OLD.seq OR NEW.stored <> OLD.stored) EXECUTE FUNCTION satchel.count_activity();
CREATE TRIGGER audit_begin AFTER INSERT ON satchel.runs FOR EACH ROW EXECUTE FUNCTION satchel.audit_runs();
CREATE TRIGGER audit_end AFTER UPDATE OF finished ON satchel.runs FOR EACH ROW
	WHEN (OLD.finished IS NULL AND NEW.finished IS NOT NULL) EXECUTE FUNCTION satchel.audit_runs();
