-- +goose Up

-- The sizes in bytes of the parts that an object of S3 was sent in, in their order: clients that fetch it by its parts ask for
-- them. They are the version's, as all that is kept of the object. NULL: it was not sent in parts, or before this was kept.
ALTER TABLE satchel.objects ADD COLUMN parts bigint[];

-- The uploads of S3's clients to a bucket, in the order in which they are listed.
CREATE INDEX uploads_key ON satchel.uploads (drive, bucket, key, id) WHERE size IS NULL;
