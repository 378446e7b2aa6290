-- +goose Up

-- What is looked for in a folder is looked for there: before, the drive's finds were cut to so many first, and then to the
-- folder. A part of a name that is not ASCII comes spelled, as a regular expression with all the ways to write it: what
-- lower() makes of such letters is up to the database's collation, and column names have one in which it does nothing.
GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;
-- +goose StatementBegin
CREATE FUNCTION satchel.search_below(in_drive uuid, top uuid, words text, part text, spelled text, most int)
RETURNS TABLE (node uuid, path text, rank real)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	mine       CONSTANT boolean := EXISTS (SELECT FROM satchel.drives d WHERE d.id = in_drive AND d.owner::text = current_setting('satchel.user_id', true));
	everywhere CONSTANT boolean := EXISTS (SELECT FROM satchel.drives d WHERE d.id = in_drive AND d.root = top);
	readers    CONSTANT uuid[] := satchel.zones_for(1);
	listers    CONSTANT uuid[] := satchel.zones_for(2);
	query      CONSTANT tsquery := websearch_to_tsquery('simple', words);
	pattern    CONSTANT text := '%' || replace(replace(replace(lower(part COLLATE "C"), '\', '\\'), '%', '\%'), '_', '\_') || '%';
	dirs       uuid[];           -- top and those below it, if that is not the whole drive
	files      bigint;           -- in them
	by_file    boolean := false; -- the words are looked for in each of them, and not in the index
BEGIN
	IF NOT everywhere THEN
		WITH RECURSIVE walk (id, files) AS (
			SELECT d.id, d.files FROM satchel.dirs d WHERE d.drive = in_drive AND d.id = top
			UNION ALL
			SELECT d.id, d.files
			FROM walk w
			CROSS JOIN LATERAL (SELECT d.id, d.files FROM satchel.dirs d WHERE d.drive = in_drive AND d.parent = w.id OFFSET 0) d
		)
		SELECT array_agg(w.id), coalesce(sum(w.files), 0) INTO dirs, files FROM walk w;
		-- Few files, or fewer than the drive has with the words. The index knows of whole drives only.
		by_file := files <= 1000 OR files <= 100000 AND files <= (
			SELECT count(*) FROM (SELECT FROM satchel.texts x WHERE x.drive = in_drive AND x.words @@ query LIMIT files) x);
	END IF;
	-- OFFSET 0: one look-up by key for each, whatever the planner takes the word, or the folder, for.
	RETURN QUERY
	WITH RECURSIVE hits (node, parent, name, rank) AS MATERIALIZED (
		(SELECT f.node, f.parent, f.name, f.rank
		FROM (
			(SELECT x.node, e.parent, e.name, ts_rank(x.words, query) AS rank
			FROM satchel.texts x
			CROSS JOIN LATERAL (
				SELECT FROM satchel.nodes n WHERE n.drive = in_drive AND n.id = x.node AND n.version = x.version OFFSET 0) n
			CROSS JOIN LATERAL (
				SELECT e.parent, e.name FROM satchel.entries e WHERE e.drive = in_drive AND e.node = x.node OFFSET 0) e
			WHERE NOT by_file AND x.drive = in_drive AND x.words @@ query
			  AND (everywhere OR e.parent IN (SELECT unnest(dirs)))
			  AND (mine OR satchel.node_in_zones(in_drive, x.node, readers))
			LIMIT 10000)
			UNION ALL
			(SELECT e.node, d.id, e.name, ts_rank(x.words, query)
			FROM unnest(dirs) d (id)
			CROSS JOIN LATERAL (
				SELECT e.node, e.name FROM satchel.entries e WHERE e.drive = in_drive AND e.parent = d.id OFFSET 0) e
			CROSS JOIN LATERAL (
				SELECT x.version, x.words FROM satchel.texts x WHERE x.drive = in_drive AND x.node = e.node OFFSET 0) x
			CROSS JOIN LATERAL (
				SELECT FROM satchel.nodes n WHERE n.drive = in_drive AND n.id = e.node AND n.version = x.version OFFSET 0) n
			WHERE by_file AND x.words @@ query
			  AND (mine OR satchel.node_in_zones(in_drive, e.node, readers))
			LIMIT 10000)) f
		ORDER BY f.rank DESC LIMIT most)
		UNION ALL
		(SELECT e.node, e.parent, e.name, 1::real
		FROM satchel.entries e
		WHERE everywhere AND e.drive = in_drive AND part <> ''
		  AND CASE WHEN spelled = '' THEN lower(e.name) LIKE pattern ELSE octet_length(e.name) > char_length(e.name) AND e.name ~ spelled END
		  AND (mine OR satchel.dir_in_zones(in_drive, e.parent, listers))
		LIMIT most)
		UNION ALL
		(SELECT e.node, d.id, e.name, 1::real
		FROM unnest(dirs) d (id)
		CROSS JOIN LATERAL (
			SELECT e.node, e.name FROM satchel.entries e
			WHERE e.drive = in_drive AND e.parent = d.id
			  AND CASE WHEN spelled = '' THEN lower(e.name) LIKE pattern ELSE octet_length(e.name) > char_length(e.name) AND e.name ~ spelled END
			OFFSET 0) e
		WHERE part <> '' AND (mine OR satchel.dir_in_zones(in_drive, d.id, listers))
		LIMIT most)
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

-- What servers of the version before call.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.search_below(in_drive uuid, top uuid, words text, part text, most int)
RETURNS TABLE (node uuid, path text, rank real)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY SELECT * FROM satchel.search_below(in_drive, top, words, part, '', most);
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION satchel.search_below(uuid, uuid, text, text, text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.search_below(uuid, uuid, text, text, text, int) TO satchel_app;
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
