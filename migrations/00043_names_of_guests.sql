-- +goose Up

-- By another name, or in another place, a guest could read and write what he may not where it is. The
-- program asks for both; this is the database's own look at each name that a guest's transaction makes.
GRANT SELECT (born) ON satchel.entries TO satchel_auth;
GRANT CREATE ON SCHEMA satchel TO satchel_auth;

-- What a guest gives a name has had none before, or a name by which he could do as much with its content. The statements that
-- make names come before those that remove the old ones, and before directories get other zones.
-- +goose StatementBegin
CREATE FUNCTION satchel.check_guest_names()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	actor   CONSTANT text := current_setting('satchel.actor');
	held    uuid[];
	wanted  int;
	drives  uuid[]; -- of the names that the same statement turned to others, and what they were of
	parents uuid[];
	nodes   uuid[];
BEGIN
	IF TG_OP = 'UPDATE' THEN
		SELECT array_agg(w.drive), array_agg(w.parent), array_agg(w.node) INTO drives, parents, nodes FROM was w;
	END IF;
	FOREACH wanted IN ARRAY ARRAY[1, 4] LOOP
		held := satchel.zones_held(CASE WHEN actor <> 'anonymous' THEN actor::uuid END, wanted);
		-- Each node once, however many names turned to others with it: joined by row it would be the square of them.
		IF EXISTS (
			SELECT FROM (
				SELECT c.drive, c.node, bool_or(c.could) FILTER (WHERE NOT c.after) AS could
				FROM (
					SELECT m.drive, m.node, true AS after, satchel.dir_in_zones(m.drive, m.parent, held) AS could FROM made m
					UNION ALL
					SELECT w.drive, w.node, false, satchel.dir_in_zones(w.drive, w.parent, held) FROM unnest(drives, nodes, parents) w (drive, node, parent)) c
				GROUP BY c.drive, c.node
				HAVING bool_or(c.could) FILTER (WHERE c.after) AND bool_or(c.could) FILTER (WHERE NOT c.after) IS NOT TRUE) n
			CROSS JOIN LATERAL (
				SELECT bool_or(satchel.dir_in_zones(e.drive, e.parent, held)) AS could
				FROM satchel.entries e JOIN satchel.drives d ON d.id = e.drive
				WHERE e.drive = n.drive AND e.node = n.node AND e.born <= d.seq) e
			WHERE NOT greatest(n.could, e.could) -- NULL: it is new
			  AND NOT EXISTS (SELECT FROM satchel.zones z WHERE z.drive = n.drive AND z.node = n.node AND z.id = ANY (held))) THEN
			RAISE EXCEPTION 'a name would give a guest more than he has' USING ERRCODE = '42501';
		END IF;
	END LOOP;
	RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER made_by_guest AFTER INSERT ON satchel.entries
	REFERENCING NEW TABLE AS made
	FOR EACH STATEMENT WHEN (nullif(current_setting('satchel.actor', true), '') IS NOT NULL)
	EXECUTE FUNCTION satchel.check_guest_names();
CREATE TRIGGER changed_by_guest AFTER UPDATE ON satchel.entries
	REFERENCING OLD TABLE AS was NEW TABLE AS made
	FOR EACH STATEMENT WHEN (nullif(current_setting('satchel.actor', true), '') IS NOT NULL)
	EXECUTE FUNCTION satchel.check_guest_names();
REVOKE EXECUTE ON FUNCTION satchel.check_guest_names() FROM PUBLIC;
ALTER FUNCTION satchel.check_guest_names() OWNER TO satchel_auth;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
