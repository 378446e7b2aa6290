-- +goose Up

-- Who may log in. The address is stored in lower case, so that one mailbox is
-- one account.
CREATE TABLE satchel.users (
	id            uuid PRIMARY KEY,
	email         text NOT NULL UNIQUE CHECK (email = lower(email)),
	name          text NOT NULL DEFAULT '',
	role          text NOT NULL CHECK (role IN ('editor', 'admin')),
	password_hash text NOT NULL,                            -- argon2id, with its parameters and salt
	quota         bigint NOT NULL DEFAULT 0 CHECK (quota >= 0), -- bytes; 0 = none
	disabled      timestamptz,
	created       timestamptz NOT NULL DEFAULT now()
);

-- One row for each login. A device IS such a row: its secret does not expire.
-- A browser's cookie holds a secret too; both are known here as SHA-256 only.
CREATE TABLE satchel.sessions (
	id            uuid PRIMARY KEY,
	user_id       uuid NOT NULL REFERENCES satchel.users ON DELETE CASCADE,
	kind          text NOT NULL CHECK (kind IN ('device', 'browser')),
	name          text NOT NULL,                            -- for people: the device's, or the browser's
	secret_sha256 bytea NOT NULL UNIQUE CHECK (length(secret_sha256) = 32),
	created       timestamptz NOT NULL DEFAULT now(),
	seen          timestamptz NOT NULL DEFAULT now(),       -- to the minute
	idle          interval,                                 -- the secret is no good when not used for so long; NULL = for ever
	expires       timestamptz,                              -- NULL = never
	revoked       timestamptz
);
CREATE INDEX sessions_user ON satchel.sessions (user_id);

-- The keys that sign tokens, sealed under a key that is not in the database.
CREATE TABLE satchel.signing_keys (
	kid     text PRIMARY KEY,
	sealed  bytea NOT NULL,
	created timestamptz NOT NULL DEFAULT now(),
	retired timestamptz                                     -- its tokens are refused from then on
);

ALTER TABLE satchel.users        ENABLE ROW LEVEL SECURITY;
ALTER TABLE satchel.users        FORCE  ROW LEVEL SECURITY;
ALTER TABLE satchel.sessions     ENABLE ROW LEVEL SECURITY;
ALTER TABLE satchel.sessions     FORCE  ROW LEVEL SECURITY;
ALTER TABLE satchel.signing_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE satchel.signing_keys FORCE  ROW LEVEL SECURITY;

-- satchel_app: one's own rows. Role, address, quota and password are no
-- columns that it may write, and the hashes none that it may read.
GRANT SELECT (id, email, name, role, quota, disabled, created), UPDATE (name) ON satchel.users TO satchel_app;
GRANT SELECT (id, user_id, kind, name, created, seen, idle, expires, revoked),
	INSERT (id, user_id, kind, name, secret_sha256, idle, expires),
	UPDATE (seen, revoked) ON satchel.sessions TO satchel_app;
GRANT SELECT ON satchel.signing_keys TO satchel_app;

CREATE POLICY own_read ON satchel.users FOR SELECT TO satchel_app
	USING (id = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid));
CREATE POLICY own_change ON satchel.users FOR UPDATE TO satchel_app
	USING (id = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid));
CREATE POLICY own_read ON satchel.sessions FOR SELECT TO satchel_app
	USING (user_id = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid));
CREATE POLICY own_insert ON satchel.sessions FOR INSERT TO satchel_app
	WITH CHECK (user_id = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid));
CREATE POLICY own_change ON satchel.sessions FOR UPDATE TO satchel_app
	USING (user_id = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid));
CREATE POLICY all_read ON satchel.signing_keys FOR SELECT TO satchel_app
	USING (true);

-- satchel_auth: the functions below, and the operator's commands.
GRANT SELECT, INSERT, UPDATE ON satchel.users TO satchel_auth;
GRANT SELECT, UPDATE, DELETE ON satchel.sessions TO satchel_auth;
GRANT SELECT, INSERT, UPDATE ON satchel.signing_keys TO satchel_auth;
CREATE POLICY auth_read   ON satchel.users        FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_insert ON satchel.users        FOR INSERT TO satchel_auth WITH CHECK (true);
CREATE POLICY auth_change ON satchel.users        FOR UPDATE TO satchel_auth USING (true);
CREATE POLICY auth_read   ON satchel.sessions     FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_change ON satchel.sessions     FOR UPDATE TO satchel_auth USING (true);
CREATE POLICY auth_delete ON satchel.sessions     FOR DELETE TO satchel_auth USING (true);
CREATE POLICY auth_read   ON satchel.signing_keys FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_insert ON satchel.signing_keys FOR INSERT TO satchel_auth WITH CHECK (true);
CREATE POLICY auth_change ON satchel.signing_keys FOR UPDATE TO satchel_auth USING (true);

-- The account that a login names; nothing for a disabled one.
-- +goose StatementBegin
CREATE FUNCTION satchel.login_account(address text)
RETURNS TABLE (id uuid, email text, name text, role text, password_hash text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT u.id, u.email, u.name, u.role, u.password_hash
	FROM satchel.users u
	WHERE u.email = lower(address) AND u.disabled IS NULL
$$;
-- +goose StatementEnd

-- The live session of an id (from a signed token) and its user. Marks it seen,
-- at most once a minute, so that most requests write nothing.
-- +goose StatementBegin
CREATE FUNCTION satchel.session_by_id(sid uuid)
RETURNS TABLE (session uuid, kind text, device text, user_id uuid, email text, name text, role text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	last timestamptz;
BEGIN
	SELECT s.id, s.kind, s.name, u.id, u.email, u.name, u.role, s.seen
	INTO session, kind, device, user_id, email, name, role, last
	FROM satchel.sessions s JOIN satchel.users u ON u.id = s.user_id
	WHERE s.id = sid AND s.revoked IS NULL AND (s.expires IS NULL OR s.expires > now()) AND u.disabled IS NULL;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	IF last < now() - interval '1 minute' THEN
		UPDATE satchel.sessions s SET seen = now() WHERE s.id = sid;
	END IF;
	RETURN NEXT;
END $$;
-- +goose StatementEnd

-- The live session of a secret, of a device or from a cookie.
-- +goose StatementBegin
CREATE FUNCTION satchel.session_by_secret(hash bytea, of_kind text)
RETURNS TABLE (session uuid, kind text, device text, user_id uuid, email text, name text, role text)
LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
	SELECT f.*
	FROM satchel.sessions s, satchel.session_by_id(s.id) f
	WHERE s.secret_sha256 = hash AND s.kind = of_kind AND (s.idle IS NULL OR s.seen > now() - s.idle)
$$;
-- +goose StatementEnd

-- Removes the sessions that have been dead for a while, and tells how many.
-- +goose StatementBegin
CREATE FUNCTION satchel.clean_sessions()
RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH dead AS (
		DELETE FROM satchel.sessions s
		WHERE s.revoked < now() - interval '30 days'
		   OR s.expires < now() - interval '1 day'
		   OR s.seen + s.idle < now() - interval '1 day'
		RETURNING 1)
	SELECT count(*) FROM dead
$$;
-- +goose StatementEnd

-- Adds a signing key and retires the others, unless there is one younger than
-- max_age: of several servers that find the key too old only one replaces it.
-- Retired keys verify for two hours, longer than any token lives.
-- +goose StatementBegin
CREATE FUNCTION satchel.add_signing_key(new_kid text, new_sealed bytea, max_age interval)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM pg_advisory_xact_lock(hashtext('satchel.signing_keys'));
	IF EXISTS (SELECT FROM satchel.signing_keys k WHERE k.retired IS NULL AND k.created > now() - max_age) THEN
		RETURN;
	END IF;
	UPDATE satchel.signing_keys k SET retired = now() + interval '2 hours' WHERE k.retired IS NULL;
	INSERT INTO satchel.signing_keys (kid, sealed) VALUES (new_kid, new_sealed);
END $$;
-- +goose StatementEnd

-- Whether the user set for this transaction is an admin.
-- +goose StatementBegin
CREATE FUNCTION satchel.is_admin()
RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (
		SELECT FROM satchel.users u
		WHERE u.id = nullif(current_setting('satchel.user_id', true), '')::uuid
		  AND u.role = 'admin' AND u.disabled IS NULL)
$$;
-- +goose StatementEnd

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA satchel FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA satchel TO satchel_app;

-- A function's owner must be allowed to create in its schema while it becomes
-- the owner, and only then. Afterwards satchel_owner may change the functions
-- no more without becoming satchel_auth.
GRANT CREATE ON SCHEMA satchel TO satchel_auth;
ALTER FUNCTION satchel.login_account(text)                       OWNER TO satchel_auth;
ALTER FUNCTION satchel.session_by_id(uuid)                       OWNER TO satchel_auth;
ALTER FUNCTION satchel.session_by_secret(bytea, text)            OWNER TO satchel_auth;
ALTER FUNCTION satchel.clean_sessions()                          OWNER TO satchel_auth;
ALTER FUNCTION satchel.add_signing_key(text, bytea, interval)    OWNER TO satchel_auth;
ALTER FUNCTION satchel.is_admin()                                OWNER TO satchel_auth;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
