-- +goose Up

-- The accounts, for an admin: who, and how much; no hash, no content. For
-- anyone else there are none.
GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;
-- +goose StatementBegin
CREATE FUNCTION satchel.accounts()
RETURNS TABLE (id uuid, email text, name text, role text, quota bigint, created timestamptz, disabled boolean,
	files bigint, bytes bigint, stored bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT u.id, u.email, u.name, u.role, u.quota, u.created, u.disabled IS NOT NULL,
		coalesce(d.files, 0), coalesce(d.bytes, 0), coalesce(d.stored, 0)
	FROM satchel.users u LEFT JOIN satchel.drives d ON d.owner = u.id AND d.name = 'home'
	WHERE satchel.is_admin() AND u.id <> '00000000-0000-0000-0000-000000000000'
$$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION satchel.accounts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.accounts() TO satchel_app;
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
