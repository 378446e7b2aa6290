-- +goose Up

-- Every table has the owner, so that row-level security compares one column
-- and looks nothing up. Keys and foreign keys begin with the drive or the owner:
-- foreign keys bypass row-level security, and a client chooses its ids itself,
-- so neither may reach into, or tell anything about, another one's drive.

-- A drive's row is locked by whoever changes the drive, to the end of his transaction.
CREATE TABLE satchel.drives (
	id      uuid PRIMARY KEY,
	owner   uuid NOT NULL REFERENCES satchel.users ON DELETE CASCADE,
	name    text NOT NULL,                           -- 'home', or the name of a system drive
	root    uuid NOT NULL,
	epoch   uuid NOT NULL DEFAULT gen_random_uuid(), -- another after a restore from a backup
	seq     bigint NOT NULL DEFAULT 0,               -- of the last change
	files   bigint NOT NULL DEFAULT 0,               -- live regular files
	bytes   bigint NOT NULL DEFAULT 0,               -- their sizes
	created timestamptz NOT NULL DEFAULT now(),
	UNIQUE (owner, name),
	UNIQUE (id, owner)
) WITH (fillfactor = 50);

-- Immutable content. A version stays with its document when that moves on to
-- another node.
CREATE TABLE satchel.versions (
	drive    uuid NOT NULL,
	id       uuid NOT NULL,
	owner    uuid NOT NULL,
	document uuid NOT NULL,
	node     uuid NOT NULL,                          -- that it was written to; may be collected before it
	size     bigint NOT NULL CHECK (size >= 0),
	sha256   bytea NOT NULL CHECK (length(sha256) = 32),
	manifest bytea NOT NULL,                         -- for each chunk its SHA-256 and its length, big endian, in 4 bytes
	device   uuid,                                   -- who wrote it
	time     bigint NOT NULL,                        -- ns, by the device's clock
	created  timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (drive, id),
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE
);
ALTER TABLE satchel.versions ALTER COLUMN manifest SET STORAGE EXTERNAL; -- hashes don't compress
CREATE INDEX versions_document ON satchel.versions (drive, document);

-- Inodes. A deleted one keeps its row, with nlink 0, so that an edit can bring it back.
CREATE TABLE satchel.nodes (
	drive    uuid NOT NULL,
	id       uuid NOT NULL,
	owner    uuid NOT NULL,
	size     bigint NOT NULL,
	mtime    bigint NOT NULL,                        -- ns
	ctime    bigint NOT NULL,
	btime    bigint NOT NULL,
	rev      bigint NOT NULL,                        -- seq of the last change
	uid      bigint NOT NULL,                        -- -1 = whoever mounts the drive
	gid      bigint NOT NULL,
	rdev     bigint NOT NULL DEFAULT 0,
	version  uuid,                                   -- files: the current one
	document uuid,                                   -- files; NULL when it moved on
	created  bigint NOT NULL DEFAULT 0,              -- files: the document's birth, ns
	mode     int NOT NULL,
	nlink    int NOT NULL,                           -- entries; directories: 2 + subdirectories; 0 = deleted
	type     "char" NOT NULL CHECK (type IN ('f', 'd', 'l', 'p', 's', 'b', 'c')),
	target   text COLLATE "C",
	xattrs   jsonb,                                  -- values in base64
	PRIMARY KEY (drive, id),
	UNIQUE (drive, document) DEFERRABLE,             -- two nodes may trade documents in one statement
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE,
	FOREIGN KEY (drive, version) REFERENCES satchel.versions (drive, id)
) WITH (fillfactor = 80);
CREATE INDEX nodes_version ON satchel.nodes (drive, version);
ALTER TABLE satchel.drives ADD FOREIGN KEY (id, root) REFERENCES satchel.nodes (drive, id) DEFERRABLE INITIALLY DEFERRED;

-- Live directories, narrow because walks go over them.
CREATE TABLE satchel.dirs (
	drive  uuid NOT NULL,
	id     uuid NOT NULL,
	owner  uuid NOT NULL,
	parent uuid,                                     -- NULL for the root
	files  bigint NOT NULL DEFAULT 0 CHECK (files >= 0), -- entries in it that are not directories
	bytes  bigint NOT NULL DEFAULT 0 CHECK (bytes >= 0), -- sizes of the regular files among them
	PRIMARY KEY (drive, id),
	FOREIGN KEY (drive, id) REFERENCES satchel.nodes (drive, id),
	FOREIGN KEY (drive, parent) REFERENCES satchel.dirs (drive, id),
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE
) WITH (fillfactor = 80);
CREATE INDEX dirs_parent ON satchel.dirs (drive, parent);

-- Names are text; bytes that are not UTF-8 are escaped (package api).
CREATE TABLE satchel.entries (
	drive  uuid NOT NULL,
	parent uuid NOT NULL,
	name   text COLLATE "C" NOT NULL CHECK (name <> ''),
	node   uuid NOT NULL,
	owner  uuid NOT NULL,
	PRIMARY KEY (drive, parent, name),
	FOREIGN KEY (drive, parent) REFERENCES satchel.dirs (drive, id),
	FOREIGN KEY (drive, node) REFERENCES satchel.nodes (drive, id),
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE
);
CREATE INDEX entries_node ON satchel.entries (drive, node);

-- Where deleted nodes were. A node whose document moved on to another has no
-- row here: nothing of it is missed.
CREATE TABLE satchel.trash (
	drive  uuid NOT NULL,
	node   uuid NOT NULL,
	owner  uuid NOT NULL,
	parent uuid NOT NULL,
	name   text COLLATE "C" NOT NULL,
	seq    bigint NOT NULL,                          -- the change that deleted it
	device uuid,
	time   bigint NOT NULL,                          -- ns, by the device's clock
	at     timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (drive, node),
	FOREIGN KEY (drive, node) REFERENCES satchel.nodes (drive, id),
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE
);
CREATE INDEX trash_place ON satchel.trash (drive, parent, name);

-- What people say about documents; a document without a row has said nothing.
CREATE TABLE satchel.documents (
	drive       uuid NOT NULL,
	id          uuid NOT NULL,
	owner       uuid NOT NULL,
	description text NOT NULL DEFAULT '',
	PRIMARY KEY (drive, id),
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE
);

-- The history of a drive, in its total order.
CREATE TABLE satchel.changes (
	drive     uuid NOT NULL,
	seq       bigint NOT NULL,
	owner     uuid NOT NULL,
	op        text NOT NULL,
	node      uuid NOT NULL,
	parent    uuid,
	name      text COLLATE "C",
	to_parent uuid,
	to_name   text COLLATE "C",
	other     uuid,                                  -- a second node that changed
	device    uuid,
	incarnation uuid,                                -- the life of the device; NULL when not by a batch of it
	time      bigint NOT NULL,                       -- ns, by the device's clock
	at        timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (drive, seq),
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE
);

-- The last batch of each life of a device, for when its answer got lost.
CREATE TABLE satchel.batches (
	drive       uuid NOT NULL,
	device      uuid NOT NULL,
	incarnation uuid NOT NULL,
	owner       uuid NOT NULL,
	number      bigint NOT NULL,
	outcomes    jsonb NOT NULL,
	touched     jsonb NOT NULL,                      -- whose state the answer tells
	at          timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (drive, device, incarnation),
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE
) WITH (fillfactor = 50);

-- Packs in the blob store and the chunks in them, known for each owner only:
-- what is shared between owners would tell one what another has.
CREATE TABLE satchel.packs (
	owner   uuid NOT NULL REFERENCES satchel.users ON DELETE CASCADE,
	id      uuid NOT NULL,
	bytes   bigint NOT NULL,                         -- of the object
	created timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (owner, id)
);

CREATE TABLE satchel.chunks (
	owner  uuid NOT NULL,
	sha256 bytea NOT NULL CHECK (length(sha256) = 32),
	pack   uuid NOT NULL,
	off    int NOT NULL CHECK (off >= 0),            -- of its bytes in the pack
	len    int NOT NULL CHECK (len > 0),
	PRIMARY KEY (owner, sha256),
	FOREIGN KEY (owner, pack) REFERENCES satchel.packs (owner, id) ON DELETE CASCADE
);
CREATE INDEX chunks_pack ON satchel.chunks (owner, pack);

-- satchel_app may do what the program does, and to one's own rows only. No
-- owner, drive or id can be changed by anyone.
-- +goose StatementBegin
DO $$
DECLARE
	t  text;
	me CONSTANT text := '(owner = (SELECT nullif(current_setting(''satchel.user_id'', true), '''')::uuid))';
BEGIN
	FOREACH t IN ARRAY ARRAY['drives', 'versions', 'nodes', 'dirs', 'entries', 'trash', 'documents', 'changes', 'batches', 'packs', 'chunks'] LOOP
		EXECUTE format('ALTER TABLE satchel.%I ENABLE ROW LEVEL SECURITY', t);
		EXECUTE format('ALTER TABLE satchel.%I FORCE ROW LEVEL SECURITY', t);
		EXECUTE format('CREATE POLICY own_read ON satchel.%I FOR SELECT TO satchel_app USING %s', t, me);
		EXECUTE format('CREATE POLICY own_insert ON satchel.%I FOR INSERT TO satchel_app WITH CHECK %s', t, me);
		EXECUTE format('CREATE POLICY own_change ON satchel.%I FOR UPDATE TO satchel_app USING %s WITH CHECK %s', t, me, me);
		EXECUTE format('CREATE POLICY own_delete ON satchel.%I FOR DELETE TO satchel_app USING %s', t, me);
		EXECUTE format('GRANT SELECT, INSERT ON satchel.%I TO satchel_app', t);
	END LOOP;
END $$;
-- +goose StatementEnd
GRANT UPDATE (seq, files, bytes)          ON satchel.drives    TO satchel_app;
GRANT UPDATE (size, mtime, ctime, rev, uid, gid, version, document, created, mode, nlink, xattrs)
                                          ON satchel.nodes     TO satchel_app;
GRANT UPDATE (parent, files, bytes)       ON satchel.dirs      TO satchel_app;
GRANT UPDATE (node)                       ON satchel.entries   TO satchel_app;
GRANT UPDATE (parent, name, seq, device, time, at)
                                          ON satchel.trash     TO satchel_app;
GRANT UPDATE (description)                ON satchel.documents TO satchel_app;
GRANT UPDATE (number, outcomes, touched, at)
                                          ON satchel.batches   TO satchel_app;
GRANT UPDATE (pack, off)                  ON satchel.chunks    TO satchel_app; -- without it no row can be locked
GRANT DELETE ON satchel.dirs, satchel.entries, satchel.trash TO satchel_app;

-- satchel_auth reads the columns that the admin's list of files has: nothing
-- that leads to content.
GRANT SELECT (id, owner, root)                           ON satchel.drives    TO satchel_auth;
GRANT SELECT (drive, id, parent)                         ON satchel.dirs      TO satchel_auth;
GRANT SELECT (drive, parent, name, node)                 ON satchel.entries   TO satchel_auth;
GRANT SELECT (drive, id, type, document, created, size, version) ON satchel.nodes TO satchel_auth;
GRANT SELECT (drive, id, sha256, created)                ON satchel.versions  TO satchel_auth;
GRANT SELECT (drive, id, description)                    ON satchel.documents TO satchel_auth;
CREATE POLICY auth_read ON satchel.drives    FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_read ON satchel.dirs      FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_read ON satchel.entries   FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_read ON satchel.nodes     FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_read ON satchel.versions  FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_read ON satchel.documents FOR SELECT TO satchel_auth USING (true);

-- The files of all users, for an admin; for anyone else there are none.
-- +goose StatementBegin
CREATE FUNCTION satchel.all_files()
RETURNS TABLE (id uuid, user_id uuid, file_path text, name text, description text, size bigint,
	hash bytea, created_at bigint, updated_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE tree (drive, owner, id, path) AS (
		SELECT d.id, d.owner, d.root, ''::text COLLATE "C"
		FROM satchel.drives d
		WHERE satchel.is_admin()
		UNION ALL
		SELECT t.drive, t.owner, s.id, t.path || s.name || '/'
		FROM tree t
		CROSS JOIN LATERAL (
			SELECT d.id, e.name
			FROM satchel.dirs d
			JOIN satchel.entries e ON e.drive = d.drive AND e.node = d.id
			WHERE d.drive = t.drive AND d.parent = t.id
			OFFSET 0) s
	)
	SELECT n.document, t.owner, t.path || e.name, e.name, coalesce(m.description, ''), n.size,
		v.sha256, n.created, v.created
	FROM tree t
	JOIN satchel.entries e ON e.drive = t.drive AND e.parent = t.id
	JOIN satchel.nodes n ON n.drive = t.drive AND n.id = e.node AND n.type = 'f'
	JOIN satchel.versions v ON v.drive = t.drive AND v.id = n.version
	LEFT JOIN satchel.documents m ON m.drive = t.drive AND m.id = n.document
$$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION satchel.all_files() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.all_files() TO satchel_app;
GRANT CREATE ON SCHEMA satchel TO satchel_auth;
ALTER FUNCTION satchel.all_files() OWNER TO satchel_auth;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
