-- +goose Up

-- Which installation this is. A blob store says whose it is by an object with
-- the same id (package blob, Mark), so that nobody collects another's content as
-- garbage. The id is this database's: a backup does not have it, a dump of
-- PostgreSQL's does. marked: this installation has marked a store, so one that
-- has no mark is not the one.
CREATE TABLE satchel.installation (
	id     uuid    NOT NULL DEFAULT gen_random_uuid(),
	marked boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX installation_is_one ON satchel.installation ((true));
INSERT INTO satchel.installation DEFAULT VALUES; -- there is always this row

-- No request has anything to do with it.
ALTER TABLE satchel.installation ENABLE ROW LEVEL SECURITY;
ALTER TABLE satchel.installation FORCE  ROW LEVEL SECURITY;
GRANT SELECT, UPDATE ON satchel.installation TO satchel_keeper;
CREATE POLICY keeper_read   ON satchel.installation FOR SELECT TO satchel_keeper USING (true);
CREATE POLICY keeper_change ON satchel.installation FOR UPDATE TO satchel_keeper USING (true);
