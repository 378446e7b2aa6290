-- +goose Up

-- A word that most files have is in a million of them: to find them is cheap,
-- to rank each and to look for its name is not (5 s). The best of the first
-- ten thousand are told.
GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.search_below(in_drive uuid, top uuid, words text, part text, most int)
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
		(SELECT f.node, f.parent, f.name, f.rank
		FROM (
			-- OFFSET 0: one look-up by key for each, whatever the planner takes the word for.
			SELECT x.node, e.parent, e.name, ts_rank(x.words, query) AS rank
			FROM satchel.texts x
			CROSS JOIN LATERAL (
				SELECT FROM satchel.nodes n WHERE n.drive = in_drive AND n.id = x.node AND n.version = x.version OFFSET 0) n
			CROSS JOIN LATERAL (
				SELECT e.parent, e.name FROM satchel.entries e WHERE e.drive = in_drive AND e.node = x.node OFFSET 0) e
			WHERE x.drive = in_drive AND x.words @@ query
			  AND (mine OR satchel.node_in_zones(in_drive, x.node, readers))
			LIMIT 10000) f
		ORDER BY f.rank DESC LIMIT most * 10)
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
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
