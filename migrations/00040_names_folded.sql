-- +goose Up

-- Names that are the same but for case and Unicode form have the same folded(n), under every collation. So have some that are not the same:
-- letters beyond ASCII all look alike to it. Compatible forms (NFKD) make the ASCII of those that fold to some, such as U+017F and U+FB01; for ß there is none.
CREATE FUNCTION satchel.folded(n text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT lower(CASE WHEN octet_length(n) = char_length(n) THEN n
		ELSE regexp_replace(replace(replace(normalize(n, NFKD), 'ß', 'ss'), 'ẞ', 'ss'), '[^\x01-\x7f]', '/', 'g') END COLLATE "C")
$$;
REVOKE EXECUTE ON FUNCTION satchel.folded(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.folded(text) TO satchel_app, satchel_auth, satchel_keeper;

-- Names that are folded already are found by their own key.
CREATE INDEX entries_folded ON satchel.entries (drive, parent, satchel.folded(name)) WHERE satchel.folded(name) <> name;

-- The names in a directory that may be a name but for case and Unicode form, if the user may see what is in it.
-- It is a function because no index serves an expression under a user's row-level security.
GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;
-- +goose StatementBegin
CREATE FUNCTION satchel.names_like(in_drive uuid, in_dir uuid, wanted text)
RETURNS SETOF text
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	key CONSTANT text := satchel.folded(wanted);
BEGIN
	IF EXISTS (SELECT FROM satchel.drives d WHERE d.id = in_drive AND d.owner::text = current_setting('satchel.user_id', true))
	  OR satchel.dir_in_zones(in_drive, in_dir, satchel.zones_for(127)) THEN
		RETURN QUERY
		SELECT e.name FROM satchel.entries e WHERE e.drive = in_drive AND e.parent = in_dir AND e.name = key COLLATE "C"
		UNION ALL
		SELECT e.name FROM satchel.entries e
		WHERE e.drive = in_drive AND e.parent = in_dir AND satchel.folded(e.name) = key COLLATE "C" AND satchel.folded(e.name) <> e.name;
	END IF;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION satchel.names_like(uuid, uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.names_like(uuid, uuid, text) TO satchel_app;
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
