-- +goose Up

-- An access key signs requests of the S3 API. It is a login: its session says
-- whose it is and until when. The secret must be known to check a signature, so it
-- is kept, sealed under the key that is not in the database.
ALTER TABLE satchel.sessions DROP CONSTRAINT sessions_kind_check;
ALTER TABLE satchel.sessions ADD CONSTRAINT sessions_kind_check CHECK (kind IN ('device', 'browser', 'app', 'key'));
ALTER TABLE satchel.sessions ADD UNIQUE (user_id, id);
CREATE TABLE satchel.access_keys (
	key     text PRIMARY KEY,
	owner   uuid NOT NULL REFERENCES satchel.users ON DELETE CASCADE,
	session uuid NOT NULL UNIQUE,
	sealed  bytea NOT NULL,
	rotated timestamptz NOT NULL DEFAULT now(),      -- when the present secret was made
	FOREIGN KEY (owner, session) REFERENCES satchel.sessions (user_id, id) ON DELETE CASCADE
);

-- A bucket is a directory with a name that no other bucket has. The name stays
-- with the directory wherever that is moved; a deleted one's is free.
CREATE TABLE satchel.buckets (
	name    text COLLATE "C" PRIMARY KEY,
	drive   uuid NOT NULL,
	node    uuid NOT NULL,
	owner   uuid NOT NULL,
	policy  jsonb,                                   -- as its owner wrote it
	rules   jsonb NOT NULL DEFAULT '[]',             -- what it says, for bucket_access
	created timestamptz NOT NULL DEFAULT now(),
	UNIQUE (drive, node),
	FOREIGN KEY (drive, node) REFERENCES satchel.nodes (drive, id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE
);

-- Uploads in parts that are not complete yet. The parts' chunks are stored,
-- and gc spares them.
CREATE TABLE satchel.uploads (
	drive   uuid NOT NULL,
	id      uuid NOT NULL,
	owner   uuid NOT NULL,
	bucket  uuid NOT NULL,                           -- its directory
	key     text COLLATE "C" NOT NULL,
	headers jsonb NOT NULL DEFAULT '{}',
	created timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (drive, id),
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE
);
CREATE TABLE satchel.parts (
	drive    uuid NOT NULL,
	upload   uuid NOT NULL,
	number   int NOT NULL CHECK (number BETWEEN 1 AND 10000),
	owner    uuid NOT NULL,
	size     bigint NOT NULL,
	md5      bytea NOT NULL CHECK (length(md5) = 16),
	sha256   bytea NOT NULL CHECK (length(sha256) = 32),
	manifest bytea NOT NULL,                         -- as in versions
	at       timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (drive, upload, number),
	FOREIGN KEY (drive, upload) REFERENCES satchel.uploads (drive, id) ON DELETE CASCADE,
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE
);
ALTER TABLE satchel.parts ALTER COLUMN manifest SET STORAGE EXTERNAL;

-- +goose StatementBegin
DO $$
DECLARE
	t  text;
	me CONSTANT text := '(owner = (SELECT nullif(current_setting(''satchel.user_id'', true), '''')::uuid))';
BEGIN
	FOREACH t IN ARRAY ARRAY['access_keys', 'buckets', 'uploads', 'parts'] LOOP
		EXECUTE format('ALTER TABLE satchel.%I ENABLE ROW LEVEL SECURITY', t);
		EXECUTE format('ALTER TABLE satchel.%I FORCE ROW LEVEL SECURITY', t);
		EXECUTE format('CREATE POLICY own_read ON satchel.%I FOR SELECT TO satchel_app USING %s', t, me);
		EXECUTE format('CREATE POLICY own_insert ON satchel.%I FOR INSERT TO satchel_app WITH CHECK %s', t, me);
		EXECUTE format('CREATE POLICY own_change ON satchel.%I FOR UPDATE TO satchel_app USING %s WITH CHECK %s', t, me, me);
		EXECUTE format('CREATE POLICY own_delete ON satchel.%I FOR DELETE TO satchel_app USING %s', t, me);
	END LOOP;
END $$;
-- +goose StatementEnd
GRANT SELECT, INSERT, UPDATE (sealed, rotated)  ON satchel.access_keys TO satchel_app;
GRANT SELECT, INSERT, DELETE, UPDATE (policy, rules) ON satchel.buckets TO satchel_app;
GRANT SELECT, INSERT, DELETE ON satchel.uploads TO satchel_app;
GRANT SELECT, INSERT, DELETE ON satchel.parts   TO satchel_app;
GRANT SELECT ON satchel.parts TO satchel_keeper;
CREATE POLICY keeper_read ON satchel.parts FOR SELECT TO satchel_keeper USING (true);

GRANT SELECT (key, session, sealed, owner) ON satchel.access_keys TO satchel_auth;
GRANT SELECT, DELETE ON satchel.buckets TO satchel_auth;
GRANT SELECT (nlink) ON satchel.nodes TO satchel_auth;
CREATE POLICY auth_read   ON satchel.access_keys FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_read   ON satchel.buckets     FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_delete ON satchel.buckets     FOR DELETE TO satchel_auth USING (true);

GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;

-- The live login of an access key, and its sealed secret.
-- +goose StatementBegin
CREATE FUNCTION satchel.access_key(id text)
RETURNS TABLE (session uuid, kind text, device text, user_id uuid, email text, name text, role text, sealed bytea)
LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
	SELECT f.*, k.sealed FROM satchel.access_keys k, satchel.session_by_id(k.session) f WHERE k.key = id
$$;
-- +goose StatementEnd

-- Whether the user set for this transaction (nobody, if none is) may do an
-- action with a bucket, or with an object in it: its directory then, and nothing if there
-- is no such bucket, and a row of NULLs if he may not. Owners may all; others what
-- a statement of the policy allows and none denies.
-- +goose StatementBegin
CREATE FUNCTION satchel.bucket_access(bucket text, action text, object text)
RETURNS TABLE (drive uuid, node uuid, owner uuid)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	me  CONSTANT uuid := nullif(current_setting('satchel.user_id', true), '')::uuid;
	arn CONSTANT text := 'arn:aws:s3:::' || bucket || CASE WHEN object = '' THEN '' ELSE '/' || object END;
	b   satchel.buckets;
	who text[] := ARRAY['*'];
	allowed boolean := false;
	rule jsonb;
BEGIN
	SELECT k.* INTO b
	FROM satchel.buckets k JOIN satchel.nodes n ON n.drive = k.drive AND n.id = k.node
	WHERE k.name = bucket AND n.nlink > 0;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	IF b.owner = me THEN
		RETURN QUERY SELECT b.drive, b.node, b.owner;
		RETURN;
	END IF;
	IF me IS NOT NULL THEN
		SELECT who || me::text || u.email || array(
			SELECT k.key FROM satchel.access_keys k JOIN satchel.sessions s ON s.id = k.session
			WHERE k.owner = me AND s.revoked IS NULL)
		INTO who FROM satchel.users u WHERE u.id = me AND u.disabled IS NULL;
	END IF;
	FOR rule IN SELECT jsonb_array_elements(b.rules) LOOP
		IF EXISTS (SELECT FROM jsonb_array_elements_text(rule->'principals') p WHERE p = ANY (who))
			AND EXISTS (SELECT FROM jsonb_array_elements_text(rule->'actions') a WHERE action LIKE a)
			AND EXISTS (SELECT FROM jsonb_array_elements_text(rule->'resources') r WHERE arn LIKE r) THEN
			IF rule->>'effect' <> 'Allow' THEN
				allowed := false;
				EXIT;
			END IF;
			allowed := true;
		END IF;
	END LOOP;
	IF allowed THEN
		RETURN QUERY SELECT b.drive, b.node, b.owner;
	ELSE
		RETURN QUERY SELECT NULL::uuid, NULL::uuid, NULL::uuid;
	END IF;
END $$;
-- +goose StatementEnd

-- The policy of a bucket, for its owner and for admins.
-- +goose StatementBegin
CREATE FUNCTION satchel.bucket_policy(bucket text)
RETURNS TABLE (policy jsonb)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
	SELECT k.policy
	FROM satchel.buckets k JOIN satchel.nodes n ON n.drive = k.drive AND n.id = k.node
	WHERE k.name = bucket AND n.nlink > 0
	  AND (k.owner = nullif(current_setting('satchel.user_id', true), '')::uuid OR satchel.is_admin())
$$;
-- +goose StatementEnd

-- Frees the name of a bucket whose directory was deleted.
-- +goose StatementBegin
CREATE FUNCTION satchel.free_bucket(bucket text)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	DELETE FROM satchel.buckets k
	WHERE k.name = bucket AND EXISTS (
		SELECT FROM satchel.nodes n WHERE n.drive = k.drive AND n.id = k.node AND n.nlink = 0)
$$;
-- +goose StatementEnd

REVOKE EXECUTE ON FUNCTION satchel.access_key(text), satchel.bucket_access(text, text, text), satchel.bucket_policy(text), satchel.free_bucket(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.access_key(text), satchel.bucket_access(text, text, text), satchel.bucket_policy(text), satchel.free_bucket(text) TO satchel_app;
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
