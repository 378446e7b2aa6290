-- +goose Up

-- When a chunk's bytes were found not to be where its row says: NULL for all
-- but what a disk or a bucket has lost. Such a chunk counts as missing, so that
-- who has it is asked for it, and the pack in which it comes is its place from
-- then on, without the mark. A mark by mistake costs that upload, no more: who
-- reads does not look at it.
ALTER TABLE satchel.chunks ADD COLUMN lost timestamptz;
GRANT UPDATE (lost)      ON satchel.chunks TO satchel_app, satchel_keeper;
GRANT UPDATE (off, lost) ON satchel.chunks TO satchel_auth;

-- A pack in which a chunk was found lost. Garbage collection moves what is whole
-- in it to another one, so that the damaged object goes once the rest has come again.
ALTER TABLE satchel.packs ADD COLUMN damaged boolean NOT NULL DEFAULT false;
GRANT UPDATE (damaged) ON satchel.packs TO satchel_app, satchel_keeper;
CREATE POLICY keeper_change ON satchel.packs FOR UPDATE TO satchel_keeper USING (true);

-- As in 00016, and with what is lost. The functions are satchel_auth's.
GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.add_shared_pack(in_drive uuid, pack uuid, bytes bigint, hashes bytea[], offs int[], lens int[])
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	me    CONSTANT uuid := nullif(current_setting('satchel.user_id', true), '')::uuid;
	whose CONSTANT uuid := (SELECT l.owner FROM satchel.shared_drive(in_drive, NULL, NULL) l);
BEGIN
	IF whose IS NULL OR NOT EXISTS (
		SELECT FROM satchel.zones z WHERE z.drive = in_drive AND z.id = ANY ((SELECT satchel.zones_for(124))::uuid[])) THEN
		RAISE EXCEPTION 'the grants do not allow this' USING ERRCODE = '42501';
	END IF;
	INSERT INTO satchel.packs (owner, id, bytes) VALUES (whose, pack, bytes);
	INSERT INTO satchel.chunks AS c (owner, pack, sha256, off, len) -- as the owner's packs: see package postgres
	SELECT whose, pack, x.* FROM unnest(hashes, offs, lens) x
	ON CONFLICT (owner, sha256) DO UPDATE SET pack = excluded.pack, off = excluded.off, lost = NULL WHERE c.lost IS NOT NULL;
	DELETE FROM satchel.condemned WHERE owner = whose AND sha256 = ANY (hashes);
	IF me IS NOT NULL THEN
		DELETE FROM satchel.guest_chunks g WHERE g.guest = me AND g.at < now() - interval '7 days';
		INSERT INTO satchel.guest_chunks (owner, sha256, guest) SELECT whose, h, me FROM unnest(hashes) h
		ON CONFLICT (owner, sha256, guest) DO UPDATE SET at = now();
	END IF;
END $$;
-- +goose StatementEnd

-- Those of the hashes that the user has not sent to a drive, that are lost, or
-- that are about to be collected.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.guest_missing(in_drive uuid, hashes bytea[])
RETURNS SETOF bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT DISTINCT h
	FROM unnest(hashes) h
	WHERE NOT EXISTS (
		SELECT FROM satchel.drives d
		JOIN satchel.guest_chunks g ON g.owner = d.owner AND g.sha256 = h
		JOIN satchel.chunks c ON c.owner = d.owner AND c.sha256 = h
		WHERE d.id = in_drive AND g.guest = nullif(current_setting('satchel.user_id', true), '')::uuid AND c.lost IS NULL
		  AND NOT EXISTS (SELECT FROM satchel.condemned k WHERE k.owner = d.owner AND k.sha256 = h))
$$;
-- +goose StatementEnd

SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
