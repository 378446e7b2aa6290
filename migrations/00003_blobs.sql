-- +goose Up

-- The blob store `postgres:`; empty where another store is used. Objects are
-- packs of all users, so no user's transaction may reach them, not even
-- through a fault of ours in some query:
--
-- - satchel_app has no privilege on the tables. It runs the functions below,
--   which belong to satchel_auth, read or write one object each, and are given
--   keys that only rows of the user's own drives name.
-- - The policies let even those functions see and write rows only while no user
--   is set. The blob store's connections are its own and never set one; the
--   transactions of users (package postgres) always do.
--
-- A policy that opened the tables to satchel_app by a setting was not enough:
-- then every query of a user's transaction would name them with success once
-- that setting leaked. A log-in of its own would be one more password to
-- arrange with whoever runs the database, against someone who can already run
-- any statement as satchel_app, and so set any user. (COPY, which row-level
-- security forbids, is not faster for parts of this size.)

-- An object that is whole. Its bytes are the parts of one upload.
CREATE TABLE satchel.blobs (
	key     text COLLATE "C" PRIMARY KEY,
	upload  uuid NOT NULL UNIQUE,
	size    bigint NOT NULL CHECK (size >= 0),
	created timestamptz NOT NULL DEFAULT now()
);

-- 1 MiB each but for the last, numbered from 0. Parts of an upload that no
-- object names are being written, or were left by a server that died.
CREATE TABLE satchel.blob_parts (
	upload  uuid NOT NULL,
	part    int NOT NULL CHECK (part >= 0),
	data    bytea NOT NULL CHECK (octet_length(data) BETWEEN 1 AND 1048576),
	created timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (upload, part)
);
ALTER TABLE satchel.blob_parts ALTER COLUMN data SET STORAGE EXTERNAL; -- packs don't compress, and a range is cut without reading the rest

ALTER TABLE satchel.blobs      ENABLE ROW LEVEL SECURITY;
ALTER TABLE satchel.blobs      FORCE  ROW LEVEL SECURITY;
ALTER TABLE satchel.blob_parts ENABLE ROW LEVEL SECURITY;
ALTER TABLE satchel.blob_parts FORCE  ROW LEVEL SECURITY;

GRANT SELECT, INSERT, UPDATE, DELETE ON satchel.blobs TO satchel_auth;
GRANT SELECT, INSERT, DELETE ON satchel.blob_parts TO satchel_auth;
CREATE POLICY store_read   ON satchel.blobs FOR SELECT TO satchel_auth
	USING ((SELECT nullif(current_setting('satchel.user_id', true), '')) IS NULL);
CREATE POLICY store_insert ON satchel.blobs FOR INSERT TO satchel_auth
	WITH CHECK ((SELECT nullif(current_setting('satchel.user_id', true), '')) IS NULL);
CREATE POLICY store_change ON satchel.blobs FOR UPDATE TO satchel_auth
	USING ((SELECT nullif(current_setting('satchel.user_id', true), '')) IS NULL);
CREATE POLICY store_delete ON satchel.blobs FOR DELETE TO satchel_auth
	USING ((SELECT nullif(current_setting('satchel.user_id', true), '')) IS NULL);
CREATE POLICY store_read   ON satchel.blob_parts FOR SELECT TO satchel_auth
	USING ((SELECT nullif(current_setting('satchel.user_id', true), '')) IS NULL);
CREATE POLICY store_insert ON satchel.blob_parts FOR INSERT TO satchel_auth
	WITH CHECK ((SELECT nullif(current_setting('satchel.user_id', true), '')) IS NULL);
CREATE POLICY store_delete ON satchel.blob_parts FOR DELETE TO satchel_auth
	USING ((SELECT nullif(current_setting('satchel.user_id', true), '')) IS NULL);

-- Adds a part to an upload. Sent twice, as after a lost answer, it is there once.
-- +goose StatementBegin
CREATE FUNCTION satchel.put_blob_part(to_upload uuid, number int, bytes bytea)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO satchel.blob_parts (upload, part, data) VALUES (to_upload, number, bytes)
	ON CONFLICT DO NOTHING
$$;
-- +goose StatementEnd

-- Makes an upload the object of a key, if its parts are all there: false
-- otherwise. Sent twice, it does nothing the second time.
-- +goose StatementBegin
CREATE FUNCTION satchel.finish_blob(name text, of_upload uuid, bytes bigint)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	former uuid;
BEGIN
	IF bytes <> (SELECT coalesce(sum(octet_length(p.data)), 0) FROM satchel.blob_parts p WHERE p.upload = of_upload) THEN
		RETURN false;
	END IF;
	SELECT b.upload INTO former FROM satchel.blobs b WHERE b.key = name FOR UPDATE;
	INSERT INTO satchel.blobs (key, upload, size) VALUES (name, of_upload, bytes)
	ON CONFLICT (key) DO UPDATE SET upload = excluded.upload, size = excluded.size, created = excluded.created;
	DELETE FROM satchel.blob_parts p WHERE p.upload = former AND former <> of_upload;
	RETURN true;
END $$;
-- +goose StatementEnd

-- Removes all of an upload that failed, even where it had become an object
-- and only the answer was lost.
-- +goose StatementBegin
CREATE FUNCTION satchel.drop_blob_upload(of_upload uuid)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH gone AS (DELETE FROM satchel.blobs b WHERE b.upload = of_upload)
	DELETE FROM satchel.blob_parts p WHERE p.upload = of_upload
$$;
-- +goose StatementEnd

-- Up to n bytes of a part of an object, after the first skip ones; NULL where
-- there is no such part. No row for a missing object.
-- +goose StatementBegin
CREATE FUNCTION satchel.read_blob(name text, number int, skip int, n int)
RETURNS TABLE (upload uuid, size bigint, data bytea)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
	SELECT b.upload, b.size, CASE
		WHEN skip = 0 AND n >= octet_length(p.data) THEN p.data -- as it is, so that it is not copied twice
		WHEN n > 0 THEN substr(p.data, skip + 1, n)
	END
	FROM satchel.blobs b LEFT JOIN satchel.blob_parts p ON p.upload = b.upload AND p.part = number
	WHERE b.key = name
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION satchel.delete_blob(name text)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH gone AS (DELETE FROM satchel.blobs b WHERE b.key = name RETURNING b.upload)
	DELETE FROM satchel.blob_parts p USING gone WHERE p.upload = gone.upload
$$;
-- +goose StatementEnd

-- The objects in order of their keys, after one of them.
-- +goose StatementBegin
CREATE FUNCTION satchel.list_blobs(after text, n int)
RETURNS TABLE (key text, size bigint, created timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT b.key, b.size, b.created FROM satchel.blobs b
	WHERE b.key > after COLLATE "C" ORDER BY b.key LIMIT n
$$;
-- +goose StatementEnd

-- Removes uploads that became no object and whose last part is older than
-- max_age; tells how many.
-- +goose StatementBegin
CREATE FUNCTION satchel.clean_blob_uploads(max_age interval)
RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH abandoned AS (
		SELECT p.upload FROM satchel.blob_parts p
		WHERE NOT EXISTS (SELECT FROM satchel.blobs b WHERE b.upload = p.upload)
		GROUP BY p.upload HAVING max(p.created) < now() - max_age),
	gone AS (DELETE FROM satchel.blob_parts p USING abandoned a WHERE p.upload = a.upload)
	SELECT count(*) FROM abandoned
$$;
-- +goose StatementEnd

REVOKE EXECUTE ON FUNCTION
	satchel.put_blob_part(uuid, int, bytea), satchel.finish_blob(text, uuid, bigint), satchel.drop_blob_upload(uuid),
	satchel.read_blob(text, int, int, int), satchel.delete_blob(text), satchel.list_blobs(text, int),
	satchel.clean_blob_uploads(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	satchel.put_blob_part(uuid, int, bytea), satchel.finish_blob(text, uuid, bigint), satchel.drop_blob_upload(uuid),
	satchel.read_blob(text, int, int, int), satchel.delete_blob(text), satchel.list_blobs(text, int),
	satchel.clean_blob_uploads(interval) TO satchel_app;

-- As in 00001: the functions' owner may create in the schema only while it becomes that.
GRANT CREATE ON SCHEMA satchel TO satchel_auth;
ALTER FUNCTION satchel.put_blob_part(uuid, int, bytea)     OWNER TO satchel_auth;
ALTER FUNCTION satchel.finish_blob(text, uuid, bigint)     OWNER TO satchel_auth;
ALTER FUNCTION satchel.drop_blob_upload(uuid)              OWNER TO satchel_auth;
ALTER FUNCTION satchel.read_blob(text, int, int, int)      OWNER TO satchel_auth;
ALTER FUNCTION satchel.delete_blob(text)                   OWNER TO satchel_auth;
ALTER FUNCTION satchel.list_blobs(text, int)               OWNER TO satchel_auth;
ALTER FUNCTION satchel.clean_blob_uploads(interval)        OWNER TO satchel_auth;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
