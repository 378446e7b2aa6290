-- +goose Up

-- Small pictures of images, for whoever looked at them: a cache, which is made
-- again when it is wanted. An empty one says that none can be made.
CREATE TABLE satchel.thumbnails (
	owner   uuid NOT NULL REFERENCES satchel.users ON DELETE CASCADE,
	sha256  bytea NOT NULL CHECK (length(sha256) = 32), -- of the image's content
	picture bytea NOT NULL CHECK (length(picture) <= 262144),
	made    timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (owner, sha256)
);
ALTER TABLE satchel.thumbnails ENABLE ROW LEVEL SECURITY;
ALTER TABLE satchel.thumbnails FORCE ROW LEVEL SECURITY;
GRANT SELECT, INSERT, DELETE ON satchel.thumbnails TO satchel_app;
CREATE POLICY own_read ON satchel.thumbnails FOR SELECT TO satchel_app
	USING (owner = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid));
CREATE POLICY own_insert ON satchel.thumbnails FOR INSERT TO satchel_app
	WITH CHECK (owner = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid));
CREATE POLICY own_delete ON satchel.thumbnails FOR DELETE TO satchel_app
	USING (owner = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid));
