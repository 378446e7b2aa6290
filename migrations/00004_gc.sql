-- +goose Up

-- What keeps the store healthy (satcheld gc and fsck) works on the rows of all
-- users, which no request may. It does so as satchel_keeper: a role that can't
-- log in, that only satchel_owner may become, on a connection of its own. So
-- requests, which run as satchel_app, can reach nothing of this, not even by
-- calling a function; and the keeper has no more than what is granted here: no
-- password, no signing key, no user's setting.

-- Chunks that no version refers to. They go when they have been here for the
-- grace period; whoever asks for one, sends it again or commits it takes its
-- row out first, and gc looks again, with the chunk locked, before it deletes.
CREATE TABLE satchel.condemned (
	owner  uuid NOT NULL REFERENCES satchel.users ON DELETE CASCADE,
	sha256 bytea NOT NULL CHECK (length(sha256) = 32),
	at     timestamptz NOT NULL DEFAULT now(),
	fence  xid8,                                     -- transactions before it may not have seen the row; set once it can be seen
	PRIMARY KEY (owner, sha256)
);

-- Objects that no row refers to any more, and that readers may still read.
CREATE TABLE satchel.discarded_packs (
	id    uuid PRIMARY KEY,
	bytes bigint NOT NULL,
	at    timestamptz NOT NULL DEFAULT now()
);

-- One object is one owner's.
ALTER TABLE satchel.packs ADD UNIQUE (id);

-- Changes up to it are forgotten, so that no cursor before it can be served.
ALTER TABLE satchel.drives ADD COLUMN forgotten bigint NOT NULL DEFAULT 0;

-- When the SHA-256 of the whole was found to be that of the bytes. It need
-- not be for content of one chunk: a commit compares the two.
ALTER TABLE satchel.versions ADD COLUMN verified timestamptz;

ALTER TABLE satchel.condemned       ENABLE ROW LEVEL SECURITY;
ALTER TABLE satchel.condemned       FORCE  ROW LEVEL SECURITY;
ALTER TABLE satchel.discarded_packs ENABLE ROW LEVEL SECURITY;
ALTER TABLE satchel.discarded_packs FORCE  ROW LEVEL SECURITY;

GRANT SELECT, DELETE ON satchel.condemned TO satchel_app;
CREATE POLICY own_read ON satchel.condemned FOR SELECT TO satchel_app
	USING (owner = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid));
CREATE POLICY own_delete ON satchel.condemned FOR DELETE TO satchel_app
	USING (owner = (SELECT nullif(current_setting('satchel.user_id', true), '')::uuid));

GRANT USAGE ON SCHEMA satchel TO satchel_keeper;
GRANT SELECT (id, email)                                 ON satchel.users    TO satchel_keeper;
GRANT SELECT (id, revoked)                               ON satchel.sessions TO satchel_keeper;
GRANT SELECT, UPDATE (epoch, seq, files, bytes, forgotten) ON satchel.drives TO satchel_keeper;
GRANT SELECT, DELETE, UPDATE (verified)                  ON satchel.versions TO satchel_keeper;
GRANT SELECT, INSERT, DELETE, UPDATE (nlink)             ON satchel.nodes    TO satchel_keeper;
GRANT SELECT, INSERT, DELETE, UPDATE (parent, files, bytes) ON satchel.dirs  TO satchel_keeper;
GRANT SELECT, INSERT, DELETE                             ON satchel.entries  TO satchel_keeper;
GRANT SELECT, INSERT, DELETE                             ON satchel.trash    TO satchel_keeper;
GRANT SELECT, DELETE                                     ON satchel.documents, satchel.changes, satchel.batches TO satchel_keeper;
GRANT SELECT, INSERT, DELETE                             ON satchel.packs    TO satchel_keeper;
GRANT SELECT, DELETE, UPDATE (pack, off)                 ON satchel.chunks   TO satchel_keeper;
GRANT SELECT, INSERT, DELETE, UPDATE (fence)             ON satchel.condemned TO satchel_keeper;
GRANT SELECT, INSERT, DELETE                             ON satchel.discarded_packs TO satchel_keeper;

-- +goose StatementBegin
DO $$
DECLARE
	t text;
BEGIN
	FOREACH t IN ARRAY ARRAY['users', 'sessions', 'drives', 'versions', 'nodes', 'dirs', 'entries', 'trash', 'documents',
		'changes', 'batches', 'packs', 'chunks', 'condemned', 'discarded_packs'] LOOP
		EXECUTE format('CREATE POLICY keeper_read ON satchel.%I FOR SELECT TO satchel_keeper USING (true)', t);
	END LOOP;
	FOREACH t IN ARRAY ARRAY['drives', 'versions', 'nodes', 'dirs', 'chunks', 'condemned'] LOOP
		EXECUTE format('CREATE POLICY keeper_change ON satchel.%I FOR UPDATE TO satchel_keeper USING (true)', t);
	END LOOP;
	FOREACH t IN ARRAY ARRAY['nodes', 'dirs', 'entries', 'trash', 'packs', 'condemned', 'discarded_packs'] LOOP
		EXECUTE format('CREATE POLICY keeper_insert ON satchel.%I FOR INSERT TO satchel_keeper WITH CHECK (true)', t);
	END LOOP;
	FOREACH t IN ARRAY ARRAY['versions', 'nodes', 'dirs', 'entries', 'trash', 'documents', 'changes', 'batches', 'packs',
		'chunks', 'condemned', 'discarded_packs'] LOOP
		EXECUTE format('CREATE POLICY keeper_delete ON satchel.%I FOR DELETE TO satchel_keeper USING (true)', t);
	END LOOP;
END $$;
-- +goose StatementEnd
