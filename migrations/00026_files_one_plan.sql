-- +goose Up

GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;
-- As before, with one plan for all drives: the names first, whatever the planner believes of how many match.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.admin_files(after_drive uuid, after_node uuid, of_owner uuid, named text, suffixes text[],
	min_size bigint, max_size bigint, since bigint, until bigint, lim int)
RETURNS TABLE (drive uuid, node uuid, owner uuid, email text, drive_name text, path text, description text, size bigint, sha256 bytea,
	modified bigint, uploaded timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 200 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d record;
	left_over int := lim;
	n int;
BEGIN
	IF NOT satchel.is_admin() THEN
		RETURN;
	END IF;
	-- One drive after another: a range of the nodes' key each.
	FOR d IN SELECT v.id, v.owner, v.name, u.email FROM satchel.drives v JOIN satchel.users u ON u.id = v.owner
		WHERE (of_owner IS NULL OR v.owner = of_owner) AND (after_drive IS NULL OR v.id >= after_drive) ORDER BY v.id LOOP
		RETURN QUERY
			SELECT d.id, f.id, d.owner, d.email, d.name, satchel.path_to(d.id, f.id), coalesce(m.description, ''), f.size, v.sha256, f.mtime, v.created
			FROM (
				(SELECT x.id, x.size, x.mtime, x.version, x.document
				FROM satchel.nodes x
				WHERE named IS NULL AND suffixes IS NULL
				  AND x.drive = d.id AND (d.id IS DISTINCT FROM after_drive OR x.id > after_node) AND x.type = 'f' AND x.nlink > 0
				  AND (min_size IS NULL OR x.size >= min_size) AND (max_size IS NULL OR x.size <= max_size)
				  AND (since IS NULL OR x.mtime >= since) AND (until IS NULL OR x.mtime < until)
				ORDER BY x.drive, x.id LIMIT left_over)
				UNION ALL
				(SELECT x.id, x.size, x.mtime, x.version, x.document
				FROM (SELECT DISTINCT ON (e.node) e.node
					FROM satchel.entries e
					WHERE NOT (named IS NULL AND suffixes IS NULL)
					  AND e.drive = d.id AND (d.id IS DISTINCT FROM after_drive OR e.node > after_node)
					  AND (named IS NULL OR e.name COLLATE "default" ILIKE named)
					  AND (suffixes IS NULL OR lower(substring(e.name FROM '\.([^.]*)$')) = ANY (suffixes))
					ORDER BY e.node OFFSET 0) e
				CROSS JOIN LATERAL (SELECT n.id, n.type, n.nlink, n.size, n.mtime, n.version, n.document FROM satchel.nodes n WHERE n.drive = d.id AND n.id = e.node OFFSET 0) x
				WHERE x.type = 'f' AND x.nlink > 0
				  AND (min_size IS NULL OR x.size >= min_size) AND (max_size IS NULL OR x.size <= max_size)
				  AND (since IS NULL OR x.mtime >= since) AND (until IS NULL OR x.mtime < until)
				ORDER BY e.node LIMIT left_over)) f
			JOIN satchel.versions v ON v.drive = d.id AND v.id = f.version
			LEFT JOIN satchel.documents m ON m.drive = d.id AND m.id = f.document
			ORDER BY f.id;
		GET DIAGNOSTICS n = ROW_COUNT;
		left_over := left_over - n;
		EXIT WHEN left_over <= 0;
	END LOOP;
END $$;
-- +goose StatementEnd
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
