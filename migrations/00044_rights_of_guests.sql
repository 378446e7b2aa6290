-- +goose Up

GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;

-- Whether what was granted on a file goes with its document to the heir in the change at_seq. A guest
-- gives nobody more than he has himself: he must hold read and write on the heir, or have made it with the same change.
-- +goose StatementBegin
CREATE FUNCTION satchel.grants_follow(in_drive uuid, at_seq bigint, heir uuid)
RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	actor CONSTANT text := coalesce(current_setting('satchel.actor', true), '');
	me    CONSTANT uuid := CASE WHEN actor NOT IN ('', 'anonymous') THEN actor::uuid END;
BEGIN
	RETURN actor = ''
		OR NOT EXISTS (SELECT FROM satchel.past_nodes p WHERE p.drive = in_drive AND p.id = heir AND p.until = at_seq)
		OR satchel.node_in_zones(in_drive, heir, satchel.zones_held(me, 1)) AND satchel.node_in_zones(in_drive, heir, satchel.zones_held(me, 4));
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION satchel.grants_follow(uuid, bigint, uuid) FROM PUBLIC;

-- As before, but for grants_follow: where it says no, what was granted stays with the file whose document went.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.follow_documents(in_drive uuid, at_seq bigint, ended uuid[], heirs uuid[])
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	z record;
BEGIN
	IF NOT EXISTS (SELECT FROM satchel.drives d WHERE d.id = in_drive AND d.owner::text = current_setting('satchel.user_id', true)) THEN
		RAISE EXCEPTION 'only the owner of a drive may do this' USING ERRCODE = '42501';
	END IF;
	FOR z IN
		SELECT s.id, s.node, h.id AS heir, was.nlink > 0 AS live
		FROM (SELECT unnest(ended) AS past, unnest(heirs) AS now UNION SELECT x, x FROM unnest(heirs) x) went
		JOIN satchel.past_nodes p ON p.drive = in_drive AND p.until = at_seq AND p.document = went.past
		JOIN satchel.zones s ON s.drive = in_drive AND s.node = p.id
		JOIN satchel.nodes h ON h.drive = in_drive AND h.document = went.now AND h.id <> s.node
		JOIN satchel.nodes was ON was.drive = in_drive AND was.id = s.node
		WHERE satchel.grants_follow(in_drive, at_seq, h.id) -- asked before any of them has gone to one
		ORDER BY went.past = went.now DESC, s.id
	LOOP
		IF NOT EXISTS (SELECT FROM satchel.zones o WHERE o.drive = in_drive AND o.node = z.heir) THEN
			UPDATE satchel.zones s SET node = z.heir WHERE s.id = z.id;
			CONTINUE;
		END IF;
		UPDATE satchel.grants g SET permissions = g.permissions | o.permissions
		FROM satchel.grants o
		WHERE g.drive = in_drive AND g.node = z.heir AND o.drive = in_drive AND o.node = z.node AND o.principal = g.principal
		  AND g.permissions | o.permissions <> g.permissions;
		UPDATE satchel.grants o SET node = z.heir
		WHERE o.drive = in_drive AND o.node = z.node
		  AND NOT EXISTS (SELECT FROM satchel.grants g WHERE g.drive = in_drive AND g.node = z.heir AND g.principal = o.principal);
		UPDATE satchel.links l SET node = z.heir WHERE l.drive = in_drive AND l.node = z.node;
		IF z.live THEN -- by another name: it is another document now, which nobody has shared
			DELETE FROM satchel.grants o WHERE o.drive = in_drive AND o.node = z.node;
		END IF;
	END LOOP;
END $$;
-- +goose StatementEnd

-- For servers of a release that calls this one, until the last of them is restarted.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.follow_documents(in_drive uuid, at_seq bigint, documents uuid[])
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
	  AND satchel.grants_follow(in_drive, at_seq, h.id)
	  AND NOT EXISTS (SELECT FROM satchel.zones o WHERE o.drive = z.drive AND o.node = h.id);
END $$;
-- +goose StatementEnd

-- As before, but attributes of what the same change removed are nobody's any more.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.check_guest()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	actor CONSTANT text := current_setting('satchel.actor');
	held  CONSTANT uuid[] := satchel.zones_held(CASE WHEN actor <> 'anonymous' THEN actor::uuid END, 124);
	place uuid;
	here  uuid;
BEGIN
	FOREACH place IN ARRAY array_remove(ARRAY[NEW.parent, NEW.to_parent], NULL) LOOP
		here := place;
		WHILE here IS NOT NULL AND NOT EXISTS (SELECT FROM satchel.dirs d WHERE d.drive = NEW.drive AND d.id = here) LOOP
			here := (SELECT t.parent FROM satchel.trash t WHERE t.drive = NEW.drive AND t.node = here);
		END LOOP;
		-- What has grants itself may be written to where its directory is not shared.
		IF here IS NULL OR NOT satchel.dir_in_zones(NEW.drive, here, held) AND
			NOT (NEW.op = 'write' AND satchel.node_in_zones(NEW.drive, NEW.node, held)) THEN
			RAISE EXCEPTION 'a guest''s change reaches beyond what is shared' USING ERRCODE = '42501';
		END IF;
	END LOOP;
	IF NEW.parent IS NULL AND NEW.to_parent IS NULL AND NOT satchel.node_in_zones(NEW.drive, NEW.node, held)
		AND EXISTS (SELECT FROM satchel.nodes n WHERE n.drive = NEW.drive AND n.id = NEW.node AND n.nlink > 0) THEN
		RAISE EXCEPTION 'a guest''s change reaches beyond what is shared' USING ERRCODE = '42501';
	END IF;
	RETURN NULL;
END $$;
-- +goose StatementEnd
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
