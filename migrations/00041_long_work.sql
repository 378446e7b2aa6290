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

-- Which generation the words of files are to be of. One more, and each file's are found again, one after another, while
-- those of before are found: nothing has to be forgotten at once, of how many files soever. A drive's is that in which all its files
-- were looked at.
CREATE TABLE satchel.text_generation (generation bigint NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX text_generation_is_one ON satchel.text_generation ((true));
INSERT INTO satchel.text_generation DEFAULT VALUES; -- there is always this row
ALTER TABLE satchel.text_generation ENABLE ROW LEVEL SECURITY;
ALTER TABLE satchel.text_generation FORCE  ROW LEVEL SECURITY;
GRANT SELECT, UPDATE ON satchel.text_generation TO satchel_auth;
CREATE POLICY auth_read   ON satchel.text_generation FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_change ON satchel.text_generation FOR UPDATE TO satchel_auth USING (true);
ALTER TABLE satchel.drives ADD COLUMN generation bigint NOT NULL DEFAULT 0;
ALTER TABLE satchel.texts  ADD COLUMN generation bigint NOT NULL DEFAULT 0;
GRANT UPDATE (generation) ON satchel.drives TO satchel_app;
GRANT UPDATE (generation) ON satchel.texts  TO satchel_app;

-- The indexer asks, and an admin raises it. (forget_texts stays for servers of the version before, until the last of them is restarted.)
GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;
-- +goose StatementBegin
CREATE FUNCTION satchel.texts_wanted()
RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT t.generation FROM satchel.text_generation t
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION satchel.renew_texts()
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM satchel.must_be_admin();
	UPDATE satchel.text_generation SET generation = generation + 1;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION satchel.texts_wanted(), satchel.renew_texts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.texts_wanted(), satchel.renew_texts() TO satchel_app;
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
