-- +goose Up

-- As before, but the first use of a session is noted at once: one that was seen when it was made, and never
-- since, was never used.
GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.session_by_id(sid uuid)
RETURNS TABLE (session uuid, kind text, device text, user_id uuid, email text, name text, role text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	last timestamptz;
	made timestamptz;
	may_idle interval;
BEGIN
	SELECT s.id, s.kind, s.name, u.id, u.email, u.name, u.role, s.seen, s.created, s.idle
	INTO session, kind, device, user_id, email, name, role, last, made, may_idle
	FROM satchel.sessions s JOIN satchel.users u ON u.id = s.user_id
	WHERE s.id = sid AND s.revoked IS NULL AND (s.expires IS NULL OR s.expires > now()) AND u.disabled IS NULL;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	IF (last < now() - interval '1 minute' OR last = made) AND (may_idle IS NULL OR last > now() - may_idle) THEN
		UPDATE satchel.sessions s SET seen = now() WHERE s.id = sid;
	END IF;
	RETURN NEXT;
END $$;
-- +goose StatementEnd
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
