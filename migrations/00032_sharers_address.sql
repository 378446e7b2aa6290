-- +goose Up

-- What others share with the user, or with everyone who has an account: as satchel.shared_with_me, which stays for
-- servers of the version before until the last of them is restarted. Who shares it is told by his name, which he
-- chooses himself and may be '', and by his address in a column of its own: NULL for one who shared nothing with the user by name,
-- and so showed him none.
GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;
-- +goose StatementBegin
CREATE FUNCTION satchel.theirs()
RETURNS TABLE (drive uuid, node uuid, owner uuid, sharer text, address text, name text, type text, size bigint, mtime bigint, permissions int)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT g.drive, g.node, g.owner, u.name, CASE WHEN g.by_name THEN u.email END,
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
	ORDER BY 4, 5, e.name, g.node
	LIMIT 1000
$$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION satchel.theirs() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.theirs() TO satchel_app;
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
