-- +goose Up

-- An upload of one file whose bytes come in several requests, to any server:
-- its bucket is the drive's root, which is none. Its parts are in the order of
-- their numbers, and have no MD5.
ALTER TABLE satchel.uploads ADD COLUMN size bigint CHECK (size >= 0); -- bytes in all; NULL: an S3 client's
ALTER TABLE satchel.uploads ADD COLUMN sum  bytea;                    -- the state of SHA-256 after the parts
ALTER TABLE satchel.uploads ADD COLUMN done timestamptz;              -- when the file was made of it
ALTER TABLE satchel.parts ALTER COLUMN md5 DROP NOT NULL;
GRANT UPDATE (sum, done) ON satchel.uploads TO satchel_app;

-- +goose Down
REVOKE UPDATE (sum, done) ON satchel.uploads FROM satchel_app;
ALTER TABLE satchel.uploads NO FORCE ROW LEVEL SECURITY;
DELETE FROM satchel.uploads WHERE size IS NOT NULL;
ALTER TABLE satchel.uploads FORCE ROW LEVEL SECURITY;
ALTER TABLE satchel.parts ALTER COLUMN md5 SET NOT NULL;
ALTER TABLE satchel.uploads DROP COLUMN done, DROP COLUMN sum, DROP COLUMN size;
