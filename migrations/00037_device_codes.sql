-- +goose Up

-- What ends an account's sessions ends, too, the wishes of devices that were granted and not asked about yet: else who
-- granted one at somebody else's browser could log in by it after the password was changed for his sake.
GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;

-- As in 00007, and with the devices.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.change_password(hash text, keep uuid)
RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH me AS (
		UPDATE satchel.users u SET password_hash = hash
		WHERE u.id = nullif(current_setting('satchel.user_id', true), '')::uuid
		RETURNING u.id
	), granted AS (
		DELETE FROM satchel.device_codes c USING me WHERE c.user_id = me.id
	), ended AS (
		UPDATE satchel.sessions s SET revoked = now() FROM me
		WHERE s.user_id = me.id AND s.id <> keep AND s.revoked IS NULL
		RETURNING 1)
	SELECT count(*) FROM ended
$$;
-- +goose StatementEnd

-- As in 00022, and with the devices.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.admin_change_user(whom uuid, to_name text, to_role text, to_quota bigint, to_disabled boolean, hash text)
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
		DELETE FROM satchel.device_codes c WHERE c.user_id = whom;
	END IF;
	RETURN 1;
END $$;
-- +goose StatementEnd

SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
