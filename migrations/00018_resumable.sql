-- +goose Up

-- An upload of one file whose bytes come in several requests, to any server:
-- its bucket is the drive's root, which is none. Its parts are in the order of
-- their numbers, and have no MD5.
ALTER TABLE satchel.uploads ADD COLUMN size bigint CHECK (size >= 0); -- bytes in all; NULL: an S3 client's
ALTER TABLE satchel.uploads ADD COLUMN sum  bytea;                    -- the state of SHA-256 after the parts
ALTER TABLE satchel.uploads ADD COLUMN done timestamptz;              -- when the file was made of it
ALTER TABLE satchel.parts ALTER COLUMN md5 DROP NOT NULL;
GRANT UPDATE (sum, done) ON satchel.uploads TO satchel_app;
