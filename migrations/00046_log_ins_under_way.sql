-- +goose Up

-- What ends an account's sessions ends what is under way, too: a log-in that was checked against the former password, and what
-- somebody makes through a session that ends meanwhile. Whoever makes such a thing holds the account's row as it is until he has
-- committed: so it was made before the others ended, and ends with them, or it is not made.
GRANT INSERT ON satchel.sessions TO satchel_auth;
CREATE POLICY auth_insert ON satchel.sessions FOR INSERT TO satchel_auth WITH CHECK (true);

GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;

-- Whether the transaction's user may make what ends with his sessions: the hash that his password was checked against is still
-- his, or the session through which he asks is live.
-- +goose StatementBegin
CREATE FUNCTION satchel.vouched(verified text, through uuid)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	me   CONSTANT uuid := nullif(current_setting('satchel.user_id', true), '')::uuid;
	hash text;
BEGIN
	SELECT u.password_hash INTO hash FROM satchel.users u WHERE u.id = me AND u.disabled IS NULL FOR SHARE;
	-- A statement of its own sees what was committed while this one waited.
	RETURN FOUND AND (hash IS NOT DISTINCT FROM verified OR EXISTS (SELECT FROM satchel.session_by_id(through) s WHERE s.user_id = me));
END $$;
-- +goose StatementEnd

-- Makes a session of the user's; false: he is not vouched for. Servers of the version before insert the row themselves.
-- +goose StatementBegin
CREATE FUNCTION satchel.begin_session(new_id uuid, of_kind text, new_name text, secret bytea, may_idle interval, until timestamptz, verified text, through uuid)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT satchel.vouched(verified, through) THEN
		RETURN false;
	END IF;
	INSERT INTO satchel.sessions (id, user_id, kind, name, secret_sha256, idle, expires)
	VALUES (new_id, current_setting('satchel.user_id')::uuid, of_kind, new_name, secret, may_idle, until);
	RETURN true;
END $$;
-- +goose StatementEnd

-- Lets the device that shows a code log in as the user, or never, through a session of his. The function of the same name with
-- two arguments stays for servers of the version before.
-- +goose StatementBegin
CREATE FUNCTION satchel.answer_device(shown text, allow boolean, through uuid)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT satchel.vouched(NULL, through) THEN
		RETURN false;
	END IF;
	RETURN satchel.answer_device(shown, allow);
END $$;
-- +goose StatementEnd

-- Changes the caller's password, which must still be the one that was verified, through a live session of his, and ends all his
-- other sessions; tells how many. It is several statements: those after the first see what was committed while that waited.
-- +goose StatementBegin
CREATE FUNCTION satchel.change_password(verified text, hash text, keep uuid)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	me    CONSTANT uuid := nullif(current_setting('satchel.user_id', true), '')::uuid;
	ended bigint;
BEGIN
	UPDATE satchel.users u SET password_hash = hash WHERE u.id = me AND u.password_hash = verified;
	IF NOT FOUND OR NOT EXISTS (SELECT FROM satchel.session_by_id(keep) s WHERE s.user_id = me) THEN
		RAISE EXCEPTION 'the password is another one by now, or the session has ended' USING ERRCODE = '28P01';
	END IF;
	DELETE FROM satchel.device_codes c WHERE c.user_id = me;
	UPDATE satchel.sessions s SET revoked = now() WHERE s.user_id = me AND s.id <> keep AND s.revoked IS NULL;
	GET DIAGNOSTICS ended = ROW_COUNT;
	RETURN ended;
END $$;
-- +goose StatementEnd

-- As servers of the version before call it, which do not say what was verified.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.change_password(hash text, keep uuid)
RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT satchel.change_password(
		(SELECT u.password_hash FROM satchel.users u WHERE u.id = nullif(current_setting('satchel.user_id', true), '')::uuid), hash, keep)
$$;
-- +goose StatementEnd

REVOKE EXECUTE ON FUNCTION satchel.vouched(text, uuid), satchel.begin_session(uuid, text, text, bytea, interval, timestamptz, text, uuid),
	satchel.answer_device(text, boolean, uuid), satchel.change_password(text, text, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.begin_session(uuid, text, text, bytea, interval, timestamptz, text, uuid),
	satchel.answer_device(text, boolean, uuid), satchel.change_password(text, text, uuid) TO satchel_app;
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
