-- +goose Up

-- The drive of a bucket, with the bucket's directory for its root, if the
-- transaction's user owns it or holds something in it: paths may begin with a bucket's name.
-- +goose StatementBegin
CREATE FUNCTION satchel.shared_bucket(bucket text)
RETURNS TABLE (id uuid, owner uuid, name text, root uuid, epoch uuid, seq bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT d.id, d.owner, d.name, k.node, d.epoch, d.seq
	FROM satchel.buckets k
	JOIN satchel.drives d ON d.id = k.drive
	JOIN satchel.nodes n ON n.drive = k.drive AND n.id = k.node AND n.nlink > 0
	WHERE k.name = bucket
	  AND (d.owner = nullif(current_setting('satchel.user_id', true), '')::uuid
	    OR EXISTS (SELECT FROM satchel.zones z WHERE z.drive = d.id AND z.id = ANY ((SELECT satchel.zones_for(127))::uuid[])))
$$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION satchel.shared_bucket(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.shared_bucket(text) TO satchel_app;
GRANT CREATE ON SCHEMA satchel TO satchel_auth;
ALTER FUNCTION satchel.shared_bucket(text) OWNER TO satchel_auth;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
