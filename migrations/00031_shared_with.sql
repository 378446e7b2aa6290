-- +goose Up

-- Whom a grant is to, by the address at which the drive's owner shared it: an account need not have a name, and to
-- those who did not know it its address stays unknown.
ALTER TABLE satchel.grants ADD COLUMN address text;
GRANT UPDATE (address) ON satchel.grants TO satchel_auth;

GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;

-- Takes down that the owner of a drive shared a node with the user of an address. False: there is no such grant, or
-- the address is another one's.
-- +goose StatementBegin
CREATE FUNCTION satchel.address_grant(in_drive uuid, in_node uuid, to_whom uuid, at_address text)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT satchel.grants_are_mine(in_drive) THEN
		RAISE EXCEPTION 'only the owner of a drive grants access to it' USING ERRCODE = '42501';
	END IF;
	UPDATE satchel.grants g SET address = u.email
	FROM satchel.users u
	WHERE g.drive = in_drive AND g.node = in_node AND g.principal = to_whom::text AND u.id = to_whom AND u.email = lower(at_address);
	RETURN FOUND;
END $$;
-- +goose StatementEnd

-- The addresses of those with whom something in a drive was shared by them, for those who decide about it.
-- +goose StatementBegin
CREATE FUNCTION satchel.grant_addresses(in_drive uuid)
RETURNS TABLE (node uuid, principal text, address text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT g.node, g.principal, g.address FROM satchel.grants g
	WHERE g.drive = in_drive AND g.address IS NOT NULL AND satchel.grants_are_mine(in_drive)
$$;
-- +goose StatementEnd

-- As before; who shares something with a user by name, and has no name himself, is told by his address.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.shared_with_me()
RETURNS TABLE (drive uuid, node uuid, owner uuid, sharer text, name text, type text, size bigint, mtime bigint, permissions int)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT g.drive, g.node, g.owner, coalesce(nullif(u.name, ''), CASE WHEN g.by_name THEN u.email END, ''),
	       coalesce(e.name, ''), n.type::text, n.size, n.mtime, g.permissions
	FROM (
		SELECT g.drive, g.node, g.owner, bit_or(g.permissions) AS permissions, bool_or(g.principal <> 'authenticated') AS by_name
		FROM satchel.grants g
		WHERE g.principal IN (nullif(current_setting('satchel.user_id', true), ''), 'authenticated')
		  AND g.owner::text <> current_setting('satchel.user_id', true)
		GROUP BY g.drive, g.node, g.owner) g
	JOIN satchel.users u ON u.id = g.owner AND u.disabled IS NULL
	JOIN satchel.nodes n ON n.drive = g.drive AND n.id = g.node AND n.nlink > 0
	LEFT JOIN LATERAL (
		SELECT e.name FROM satchel.entries e WHERE e.drive = g.drive AND e.node = g.node ORDER BY e.parent, e.name LIMIT 1) e ON true
	ORDER BY 4, e.name, g.node
	LIMIT 1000
$$;
-- +goose StatementEnd

REVOKE EXECUTE ON FUNCTION satchel.address_grant(uuid, uuid, uuid, text), satchel.grant_addresses(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.address_grant(uuid, uuid, uuid, text), satchel.grant_addresses(uuid) TO satchel_app;
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
