-- +goose Up

-- Public files are those that the grants of 'anonymous' let be read, and
-- documents carry metadata of their owner's own.
ALTER TABLE satchel.documents ADD COLUMN metadata jsonb CHECK (jsonb_typeof(metadata) = 'object');
GRANT UPDATE (metadata) ON satchel.documents TO satchel_app;

-- What an owner says about a document, for those who may read its file.
CREATE POLICY shared_read ON satchel.documents FOR SELECT TO satchel_app
	USING (EXISTS (
		SELECT FROM satchel.nodes n
		WHERE n.drive = documents.drive AND n.document = documents.id
		  AND satchel.node_in_zones(n.drive, n.id, (SELECT satchel.zones_for(1)))));

-- Grants follow a document to another file.
ALTER TABLE satchel.grants DROP CONSTRAINT grants_drive_node_fkey;
ALTER TABLE satchel.grants ADD FOREIGN KEY (drive, node) REFERENCES satchel.zones (drive, node) ON DELETE CASCADE ON UPDATE CASCADE;
GRANT UPDATE (node) ON satchel.zones TO satchel_auth;
CREATE POLICY auth_change ON satchel.zones FOR UPDATE TO satchel_auth USING (true);
GRANT SELECT (drive, id, until, document) ON satchel.past_nodes TO satchel_auth;
CREATE POLICY auth_read ON satchel.past_nodes FOR SELECT TO satchel_auth USING (true);

GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;

-- The zones in which the transaction's user holds one of the wanted
-- permissions. A transaction without a user is a stranger's only where it says so: one that
-- forgot its user sees nothing.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.zones_for(wanted int)
RETURNS uuid[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	who CONSTANT uuid := nullif(current_setting('satchel.user_id', true), '')::uuid;
BEGIN
	IF who IS NULL AND coalesce(current_setting('satchel.anonymous', true), '') <> 'on' THEN
		RETURN '{}';
	END IF;
	RETURN satchel.zones_held(who, wanted);
END $$;
-- +goose StatementEnd

-- Whether anyone may read a live node.
-- +goose StatementBegin
CREATE FUNCTION satchel.is_public(in_drive uuid, in_node uuid)
RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT satchel.node_in_zones(in_drive, in_node, satchel.zones_held(NULL, 1))
$$;
-- +goose StatementEnd

-- After the change at_seq: what was granted on a file whose document went over
-- to another one is granted on that one.
-- +goose StatementBegin
CREATE FUNCTION satchel.follow_documents(in_drive uuid, at_seq bigint, documents uuid[])
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM satchel.drives d WHERE d.id = in_drive AND d.owner::text = current_setting('satchel.user_id', true)) THEN
		RAISE EXCEPTION 'only the owner of a drive may do this' USING ERRCODE = '42501';
	END IF;
	UPDATE satchel.zones z SET node = h.id
	FROM satchel.past_nodes p, satchel.nodes h
	WHERE z.drive = in_drive
	  AND p.drive = z.drive AND p.id = z.node AND p.until = at_seq AND p.document = ANY (documents)
	  AND h.drive = z.drive AND h.document = p.document AND h.id <> z.node
	  AND NOT EXISTS (SELECT FROM satchel.zones o WHERE o.drive = z.drive AND o.node = h.id);
END $$;
-- +goose StatementEnd

REVOKE EXECUTE ON FUNCTION satchel.is_public(uuid, uuid), satchel.follow_documents(uuid, bigint, uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.is_public(uuid, uuid), satchel.follow_documents(uuid, bigint, uuid[]) TO satchel_app;
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
