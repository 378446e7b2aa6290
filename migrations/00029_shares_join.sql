-- +goose Up

-- Grants and links follow a document to the file that takes it over, and join those that this one has: of two
-- shared files, the one that is renamed over the other is shared as both were.
GRANT UPDATE (node) ON satchel.grants, satchel.links TO satchel_auth;
CREATE POLICY auth_change ON satchel.links FOR UPDATE TO satchel_auth USING (true);

GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;
-- After the change at_seq, in which each document of ended became a part of the one beside it in heirs: what was
-- granted on files whose document went over to another file, or ended in it, is granted on that one.
-- The function of the same name with three arguments stays for servers of the version before, which call it until the
-- last of them is restarted.
-- +goose StatementBegin
CREATE FUNCTION satchel.follow_documents(in_drive uuid, at_seq bigint, ended uuid[], heirs uuid[])
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
REVOKE EXECUTE ON FUNCTION satchel.follow_documents(uuid, bigint, uuid[], uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.follow_documents(uuid, bigint, uuid[], uuid[]) TO satchel_app;
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
