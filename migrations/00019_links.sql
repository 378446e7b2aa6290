-- +goose Up

-- Links. Whoever has a link's token may read and list one node and what is
-- below it, until the link expires or is removed. Like a grant it belongs to a zone,
-- and follows the document there. The token is kept as it is, so that its
-- owner can copy it again: what it opens lies beside it, and nothing else does.
CREATE TABLE satchel.links (
	id       uuid PRIMARY KEY,
	drive    uuid NOT NULL,
	node     uuid NOT NULL,
	owner    uuid NOT NULL,
	token    text NOT NULL UNIQUE CHECK (length(token) >= 22),
	password text,                                   -- its Argon2id hash; NULL: none is asked for
	expires  timestamptz,                            -- NULL: never
	created  timestamptz NOT NULL DEFAULT now(),
	FOREIGN KEY (drive, node) REFERENCES satchel.zones (drive, node) ON DELETE CASCADE ON UPDATE CASCADE,
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE
);
CREATE INDEX links_node ON satchel.links (drive, node);
ALTER TABLE satchel.links ENABLE ROW LEVEL SECURITY;
ALTER TABLE satchel.links FORCE ROW LEVEL SECURITY;
GRANT SELECT, DELETE ON satchel.links TO satchel_app;
CREATE POLICY own_read ON satchel.links FOR SELECT TO satchel_app
	USING (owner = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid));
CREATE POLICY own_delete ON satchel.links FOR DELETE TO satchel_app
	USING (owner = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid));
GRANT SELECT, INSERT ON satchel.links TO satchel_auth;
CREATE POLICY auth_read   ON satchel.links FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_insert ON satchel.links FOR INSERT TO satchel_auth WITH CHECK (true);
GRANT SELECT ON satchel.links TO satchel_keeper;
CREATE POLICY keeper_read ON satchel.links FOR SELECT TO satchel_keeper USING (true);

GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;

-- Makes a link to a node of a drive of the transaction's user.
-- +goose StatementBegin
CREATE FUNCTION satchel.add_link(in_id uuid, in_drive uuid, in_node uuid, in_token text, in_password text, in_expires timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM satchel.drives d WHERE d.id = in_drive AND d.owner::text = current_setting('satchel.user_id', true)) THEN
		RAISE EXCEPTION 'only the owner of a drive makes links into it' USING ERRCODE = '42501';
	END IF;
	PERFORM satchel.make_zone(in_drive, in_node);
	INSERT INTO satchel.links (id, drive, node, owner, token, password, expires)
	SELECT in_id, z.drive, z.node, z.owner, in_token, in_password, in_expires FROM satchel.zones z WHERE z.drive = in_drive AND z.node = in_node;
END $$;
-- +goose StatementEnd

-- What a token opens, for anyone; nothing if the link is over or the node is gone.
-- +goose StatementBegin
CREATE FUNCTION satchel.link_target(in_token text)
RETURNS TABLE (id uuid, drive uuid, node uuid, owner uuid, sharer text, name text, password text, expires timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
	SELECT l.id, l.drive, l.node, l.owner, u.name, coalesce(e.name, ''), coalesce(l.password, ''), l.expires
	FROM satchel.links l
	JOIN satchel.nodes n ON n.drive = l.drive AND n.id = l.node AND n.nlink > 0
	JOIN satchel.users u ON u.id = l.owner AND u.disabled IS NULL
	LEFT JOIN LATERAL (
		SELECT e.name FROM satchel.entries e WHERE e.drive = l.drive AND e.node = l.node ORDER BY e.parent, e.name LIMIT 1) e ON true
	WHERE l.token = in_token AND (l.expires IS NULL OR l.expires > now())
$$;
-- +goose StatementEnd

-- The zones that a link opens: its own, and those within.
-- +goose StatementBegin
CREATE FUNCTION satchel.zones_of_link(in_token text)
RETURNS uuid[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE within (id, drive) AS (
		SELECT z.id, z.drive
		FROM satchel.link_target(in_token) l JOIN satchel.zones z ON z.drive = l.drive AND z.node = l.node
		UNION
		SELECT c.id, c.drive
		FROM within w
		JOIN satchel.zones c ON c.drive = w.drive
		JOIN satchel.dirs d ON d.drive = c.drive AND d.id = c.node
		JOIN satchel.dirs p ON p.drive = d.drive AND p.id = d.parent AND p.zone = w.id
	)
	SELECT coalesce(array_agg(id), '{}') FROM within
$$;
-- +goose StatementEnd

-- As before, and a stranger who comes by a link sees what it opens, and no
-- more: to read and list it.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.zones_for(wanted int)
RETURNS uuid[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	who CONSTANT uuid := nullif(current_setting('satchel.user_id', true), '')::uuid;
	by_link CONSTANT text := nullif(current_setting('satchel.link', true), '');
BEGIN
	IF who IS NULL AND by_link IS NOT NULL THEN
		RETURN CASE WHEN wanted & 3 <> 0 THEN satchel.zones_of_link(by_link) ELSE '{}' END;
	END IF;
	IF who IS NULL AND coalesce(current_setting('satchel.anonymous', true), '') <> 'on' THEN
		RETURN '{}';
	END IF;
	RETURN satchel.zones_held(who, wanted);
END $$;
-- +goose StatementEnd

-- The user of an address, for those who want to share something with him.
-- +goose StatementBegin
CREATE FUNCTION satchel.person_at(address text)
RETURNS TABLE (id uuid, name text)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
	SELECT u.id, u.name FROM satchel.users u
	WHERE u.email = lower(address) AND u.disabled IS NULL AND u.role = 'editor'
	  AND nullif(current_setting('satchel.user_id', true), '') IS NOT NULL
$$;
-- +goose StatementEnd

-- What others granted to the transaction's user by name, or to everyone with
-- an account: where the grants are, and what he may do there.
-- +goose StatementBegin
CREATE FUNCTION satchel.shared_with_me()
RETURNS TABLE (drive uuid, node uuid, owner uuid, sharer text, name text, type text, size bigint, mtime bigint, permissions int)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT g.drive, g.node, g.owner, u.name, coalesce(e.name, ''), n.type::text, n.size, n.mtime, g.permissions
	FROM (
		SELECT g.drive, g.node, g.owner, bit_or(g.permissions) AS permissions
		FROM satchel.grants g
		WHERE g.principal IN (nullif(current_setting('satchel.user_id', true), ''), 'authenticated')
		  AND g.owner::text <> current_setting('satchel.user_id', true)
		GROUP BY g.drive, g.node, g.owner) g
	JOIN satchel.users u ON u.id = g.owner AND u.disabled IS NULL
	JOIN satchel.nodes n ON n.drive = g.drive AND n.id = g.node AND n.nlink > 0
	LEFT JOIN LATERAL (
		SELECT e.name FROM satchel.entries e WHERE e.drive = g.drive AND e.node = g.node ORDER BY e.parent, e.name LIMIT 1) e ON true
	ORDER BY u.name, e.name, g.node
	LIMIT 1000
$$;
-- +goose StatementEnd

REVOKE EXECUTE ON FUNCTION satchel.add_link(uuid, uuid, uuid, text, text, timestamptz), satchel.link_target(text),
	satchel.zones_of_link(text), satchel.person_at(text), satchel.shared_with_me() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.add_link(uuid, uuid, uuid, text, text, timestamptz), satchel.link_target(text),
	satchel.person_at(text), satchel.shared_with_me() TO satchel_app;
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
