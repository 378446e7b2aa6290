-- +goose Up

-- What people do with their own accounts: sign up, change a password, see who
-- else is here by name.

GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;

-- As before, but what was not used for too long is not brought back: a token
-- of a browser's session outlives the cookie, and must not revive it.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.session_by_id(sid uuid)
RETURNS TABLE (session uuid, kind text, device text, user_id uuid, email text, name text, role text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	last timestamptz;
	may_idle interval;
BEGIN
	SELECT s.id, s.kind, s.name, u.id, u.email, u.name, u.role, s.seen, s.idle
	INTO session, kind, device, user_id, email, name, role, last, may_idle
	FROM satchel.sessions s JOIN satchel.users u ON u.id = s.user_id
	WHERE s.id = sid AND s.revoked IS NULL AND (s.expires IS NULL OR s.expires > now()) AND u.disabled IS NULL;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	IF last < now() - interval '1 minute' AND (may_idle IS NULL OR last > now() - may_idle) THEN
		UPDATE satchel.sessions s SET seen = now() WHERE s.id = sid;
	END IF;
	RETURN NEXT;
END $$;
-- +goose StatementEnd

-- A new account, always an editor's. Whether anyone may sign up is the
-- server's flag; that nobody becomes an admin by it is decided here.
-- +goose StatementBegin
CREATE FUNCTION satchel.sign_up(new_id uuid, address text, new_name text, hash text)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO satchel.users (id, email, name, role, password_hash) VALUES (new_id, lower(address), new_name, 'editor', hash)
$$;
-- +goose StatementEnd

-- Changes the password of the user set for the transaction and ends his other
-- sessions; tells how many.
-- +goose StatementBegin
CREATE FUNCTION satchel.change_password(hash text, keep uuid)
RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH me AS (
		UPDATE satchel.users u SET password_hash = hash
		WHERE u.id = nullif(current_setting('satchel.user_id', true), '')::uuid
		RETURNING u.id
	), ended AS (
		UPDATE satchel.sessions s SET revoked = now() FROM me
		WHERE s.user_id = me.id AND s.id <> keep AND s.revoked IS NULL
		RETURNING 1)
	SELECT count(*) FROM ended
$$;
-- +goose StatementEnd

-- Who is here, for anyone with an account: no address, no hash, no role.
-- +goose StatementBegin
CREATE FUNCTION satchel.people()
RETURNS TABLE (id uuid, name text, created timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT u.id, u.name, u.created FROM satchel.users u
	WHERE u.disabled IS NULL AND nullif(current_setting('satchel.user_id', true), '') IS NOT NULL
$$;
-- +goose StatementEnd

REVOKE EXECUTE ON FUNCTION satchel.sign_up(uuid, text, text, text), satchel.change_password(text, uuid), satchel.people() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.sign_up(uuid, text, text, text), satchel.change_password(text, uuid), satchel.people() TO satchel_app;
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
