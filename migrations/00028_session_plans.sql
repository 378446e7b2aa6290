-- +goose Up

-- Every request with a secret asks for its session. A function in SQL is parsed and planned in each
-- query that calls it; one in PL/pgSQL keeps its plans for as long as the connection does.

GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.session_by_secret(hash bytea, of_kind text)
RETURNS TABLE (session uuid, kind text, device text, user_id uuid, email text, name text, role text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	sid uuid;
BEGIN
	SELECT s.id INTO sid FROM satchel.sessions s
	WHERE s.secret_sha256 = hash AND s.kind = of_kind AND (s.idle IS NULL OR s.seen > now() - s.idle);
	IF FOUND THEN
		RETURN QUERY SELECT * FROM satchel.session_by_id(sid);
	END IF;
END $$;
-- +goose StatementEnd

SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
