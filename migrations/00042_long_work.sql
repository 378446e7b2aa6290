-- +goose Up

-- Keeps chunks that the user sent to a drive of somebody else's from being collected as garbage, and remembers that he
-- sent them: for content that takes days to arrive. As what the owner's transactions do: package postgres, gc_chunks.go.
GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;
-- +goose StatementBegin
CREATE FUNCTION satchel.spare_shared(in_drive uuid, hashes bytea[])
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	whose CONSTANT uuid := (SELECT d.owner FROM satchel.drives d WHERE d.id = in_drive);
	sent  bytea[];
BEGIN
	WITH mine AS (
		UPDATE satchel.guest_chunks g SET at = now()
		WHERE g.owner = whose AND g.sha256 = ANY (hashes) AND g.guest = nullif(current_setting('satchel.user_id', true), '')::uuid
		RETURNING g.sha256)
	SELECT array_agg(m.sha256) INTO sent FROM mine m JOIN satchel.condemned k ON k.owner = whose AND k.sha256 = m.sha256;
	PERFORM FROM satchel.chunks c WHERE c.owner = whose AND c.sha256 = ANY (sent) FOR KEY SHARE;
	DELETE FROM satchel.condemned WHERE owner = whose AND sha256 = ANY (sent);
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION satchel.spare_shared(uuid, bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.spare_shared(uuid, bytea[]) TO satchel_app;
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
