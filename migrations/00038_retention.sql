-- +goose Up

-- How long the past is kept, as the servers of this database were told, and when one told last. What a server was told
-- counts for a day after that, and of several the longest: so one that was started without its configuration takes
-- nothing away, and gc works with what all of them keep (package postgres, retention.go).
CREATE TABLE satchel.retention (
	versions interval NOT NULL, -- every version of a file
	daily    interval NOT NULL, -- then the last one of each day
	trash    interval NOT NULL,
	events   interval NOT NULL, -- lines of the audit log; 0: for ever
	host     text NOT NULL,     -- of the server that told last
	told     timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (versions, daily, trash, events)
);

ALTER TABLE satchel.retention ENABLE ROW LEVEL SECURITY;
ALTER TABLE satchel.retention FORCE  ROW LEVEL SECURITY;
GRANT SELECT, INSERT, UPDATE, DELETE ON satchel.retention TO satchel_keeper;
CREATE POLICY keeper_read   ON satchel.retention FOR SELECT TO satchel_keeper USING (true);
CREATE POLICY keeper_insert ON satchel.retention FOR INSERT TO satchel_keeper WITH CHECK (true);
CREATE POLICY keeper_change ON satchel.retention FOR UPDATE TO satchel_keeper USING (true);
CREATE POLICY keeper_delete ON satchel.retention FOR DELETE TO satchel_keeper USING (true);
GRANT SELECT ON satchel.retention TO satchel_app;
CREATE POLICY admin_read ON satchel.retention FOR SELECT TO satchel_app USING ((SELECT satchel.is_admin()));
