-- +goose Up

-- The epochs that a drive had before, oldest first, each with the last change of it that is of the drive's past. What a device heard of
-- after that is what a restore from a backup has undone; all else that it lacks was changed or removed since.
ALTER TABLE satchel.drives ADD COLUMN former jsonb NOT NULL DEFAULT '[]';
GRANT UPDATE (former) ON satchel.drives TO satchel_keeper;

-- Whoever gives a drive another epoch has put a backup in its place, if he does not say otherwise: what the drive has is the former epoch's past.
-- +goose StatementBegin
CREATE FUNCTION satchel.keep_epoch()
RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	NEW.former := OLD.former || jsonb_build_object('epoch', OLD.epoch, 'seq', OLD.seq);
	RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER keep_epoch BEFORE UPDATE OF epoch ON satchel.drives
	FOR EACH ROW WHEN (NEW.epoch <> OLD.epoch AND NEW.former = OLD.former) EXECUTE FUNCTION satchel.keep_epoch();
REVOKE EXECUTE ON FUNCTION satchel.keep_epoch() FROM PUBLIC;

GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;
DROP FUNCTION satchel.shared_drive(uuid, uuid, text);
-- A drive in which the user holds something: by its id, or by its owner and name.
-- +goose StatementBegin
CREATE FUNCTION satchel.shared_drive(in_id uuid, in_owner uuid, in_name text)
RETURNS TABLE (id uuid, owner uuid, name text, root uuid, epoch uuid, seq bigint, former jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT d.id, d.owner, d.name, d.root, d.epoch, d.seq, d.former
	FROM satchel.drives d
	WHERE (d.id = in_id OR in_id IS NULL AND d.owner = in_owner AND d.name = in_name)
	  AND EXISTS (SELECT FROM satchel.zones z WHERE z.drive = d.id AND z.id = ANY ((SELECT satchel.zones_for(127))::uuid[]))
$$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION satchel.shared_drive(uuid, uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.shared_drive(uuid, uuid, text) TO satchel_app;
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
