-- +goose Up

-- The feed told names to whoever held anything, as to write.
GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;
-- The changes of a drive after a point, as a guest may see them: of those in
-- what he may neither list nor read only the number. Lost: he has to list again, because his rights changed
-- or a directory came into what he sees, whose past is not his to know.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.guest_changes(in_drive uuid, after bigint, in_device uuid, most int)
RETURNS TABLE (lost boolean, seq bigint, node uuid, parent uuid, name text, to_parent uuid, to_name text, other uuid)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	me   CONSTANT text := coalesce(current_setting('satchel.user_id', true), '');
	held CONSTANT uuid[] := satchel.zones_for(3);
BEGIN
	IF after < (SELECT d.forgotten FROM satchel.drives d WHERE d.id = in_drive)
		OR EXISTS (
			SELECT FROM satchel.changes c
			WHERE c.drive = in_drive AND c.seq > after
			  AND CASE c.op
				WHEN 'rights' THEN c.name IS NULL OR c.name IN ('anonymous', 'authenticated', me)
				WHEN 'rename' THEN c.parent <> c.to_parent
					AND EXISTS (SELECT FROM satchel.nodes n WHERE n.drive = in_drive AND n.id = c.node AND n.type = 'd')
					AND satchel.place_in_zones(in_drive, c.to_parent, held) AND NOT satchel.place_in_zones(in_drive, c.parent, held)
				WHEN 'exchange' THEN c.parent <> c.to_parent
					AND satchel.place_in_zones(in_drive, c.to_parent, held) <> satchel.place_in_zones(in_drive, c.parent, held)
				ELSE false END) THEN
		RETURN QUERY SELECT true, 0::bigint, NULL::uuid, NULL::uuid, NULL::text, NULL::uuid, NULL::text, NULL::uuid;
		RETURN;
	END IF;
	RETURN QUERY
	SELECT false, c.seq, CASE WHEN s.source OR s.target OR s.self THEN c.node END,
		CASE WHEN s.source THEN c.parent END, CASE WHEN s.source THEN c.name END,
		CASE WHEN s.target THEN c.to_parent END, CASE WHEN s.target THEN c.to_name END,
		CASE WHEN s.target THEN c.other END
	FROM (
		SELECT * FROM satchel.changes x
		WHERE x.drive = in_drive AND x.seq > after AND (x.device IS DISTINCT FROM in_device OR x.incarnation IS NULL)
		ORDER BY x.seq LIMIT most) c
	CROSS JOIN LATERAL (
		SELECT satchel.place_in_zones(in_drive, c.parent, held) AS source, satchel.place_in_zones(in_drive, c.to_parent, held) AS target,
			satchel.node_in_zones(in_drive, c.node, held) AS self) s
	ORDER BY c.seq;
END $$;
-- +goose StatementEnd
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
