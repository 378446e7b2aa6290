-- +goose Up

-- The words of files, for full-text search. A row says which version it is of;
-- a file without words (a picture) has a row too, so that it is looked at once.
CREATE TABLE satchel.texts (
	drive   uuid NOT NULL,
	node    uuid NOT NULL,
	owner   uuid NOT NULL,
	version uuid NOT NULL,
	words   tsvector NOT NULL,
	PRIMARY KEY (drive, node),
	FOREIGN KEY (drive, node) REFERENCES satchel.nodes (drive, id) ON DELETE CASCADE,
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE
);
CREATE INDEX texts_words ON satchel.texts USING gin (words);
ALTER TABLE satchel.texts ENABLE ROW LEVEL SECURITY;
ALTER TABLE satchel.texts FORCE  ROW LEVEL SECURITY;

-- Files that changed after it were not looked at yet; -1: none was.
ALTER TABLE satchel.drives ADD COLUMN indexed bigint NOT NULL DEFAULT -1;
GRANT UPDATE (indexed) ON satchel.drives TO satchel_app, satchel_auth;

GRANT SELECT, INSERT, UPDATE (version, words) ON satchel.texts TO satchel_app;
CREATE POLICY own_read ON satchel.texts FOR SELECT TO satchel_app
	USING (owner = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid));
CREATE POLICY own_insert ON satchel.texts FOR INSERT TO satchel_app
	WITH CHECK (owner = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid));
CREATE POLICY own_change ON satchel.texts FOR UPDATE TO satchel_app
	USING (owner = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid))
	WITH CHECK (owner = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid));
GRANT SELECT, DELETE ON satchel.texts TO satchel_auth;
CREATE POLICY auth_read   ON satchel.texts FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_delete ON satchel.texts FOR DELETE TO satchel_auth USING (true);
GRANT SELECT (mtime) ON satchel.nodes TO satchel_auth;

-- Files below a directory whose content has the words, if the user may read
-- them, and things whose names have the part, if he may list their directories.
-- It is a function because no index serves @@ or LIKE under a user's row-level security.
-- +goose StatementBegin
CREATE FUNCTION satchel.search_below(in_drive uuid, top uuid, words text, part text, most int)
RETURNS TABLE (node uuid, path text, rank real)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	mine    CONSTANT boolean := EXISTS (SELECT FROM satchel.drives d WHERE d.id = in_drive AND d.owner::text = current_setting('satchel.user_id', true));
	readers CONSTANT uuid[] := satchel.zones_for(1);
	listers CONSTANT uuid[] := satchel.zones_for(2);
	query   CONSTANT tsquery := websearch_to_tsquery('simple', words);
	pattern CONSTANT text := '%' || replace(replace(replace(lower(part), '\', '\\'), '%', '\%'), '_', '\_') || '%';
BEGIN
	RETURN QUERY
	WITH RECURSIVE hits (node, parent, name, rank) AS MATERIALIZED (
		(SELECT e.node, e.parent, e.name, ts_rank(x.words, query)
		FROM satchel.texts x
		JOIN satchel.nodes n ON n.drive = x.drive AND n.id = x.node AND n.version = x.version
		JOIN satchel.entries e ON e.drive = x.drive AND e.node = x.node
		WHERE x.drive = in_drive AND x.words @@ query
		  AND (mine OR satchel.node_in_zones(in_drive, x.node, readers))
		ORDER BY 4 DESC LIMIT most * 10)
		UNION ALL
		(SELECT e.node, e.parent, e.name, 1::real
		FROM satchel.entries e
		WHERE e.drive = in_drive AND lower(e.name) LIKE pattern COLLATE "C" AND part <> ''
		  AND (mine OR satchel.dir_in_zones(in_drive, e.parent, listers))
		LIMIT most * 10)
	), up (node, rank, at, path) AS (
		SELECT h.node, h.rank, h.parent, h.name FROM hits h
		UNION ALL
		SELECT u.node, u.rank, e.parent, e.name || '/' || u.path
		FROM up u
		CROSS JOIN LATERAL (SELECT e.parent, e.name FROM satchel.entries e WHERE e.drive = in_drive AND e.node = u.at OFFSET 0) e
		WHERE u.at <> top
	)
	SELECT u.node, u.path, max(u.rank) FROM up u WHERE u.at = top
	GROUP BY u.node, u.path ORDER BY 3 DESC, 2 LIMIT most;
END $$;
-- +goose StatementEnd

-- Forgets all words, so that every file is looked at again; for admins.
-- +goose StatementBegin
CREATE FUNCTION satchel.forget_texts()
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT satchel.is_admin() THEN
		RAISE EXCEPTION 'only an admin may do this' USING ERRCODE = '42501';
	END IF;
	DELETE FROM satchel.texts;
	UPDATE satchel.drives SET indexed = -1;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION satchel.search_below(uuid, uuid, text, text, int), satchel.forget_texts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.search_below(uuid, uuid, text, text, int), satchel.forget_texts() TO satchel_app;
GRANT CREATE ON SCHEMA satchel TO satchel_auth;
ALTER FUNCTION satchel.search_below(uuid, uuid, text, text, int) OWNER TO satchel_auth;
ALTER FUNCTION satchel.forget_texts()                            OWNER TO satchel_auth;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
