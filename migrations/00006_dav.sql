-- +goose Up

-- What WebDAV clients say about nodes (RFC 4918 section 4: dead properties).
-- The foreign key waits, since a copy's properties are written with the copy.
CREATE TABLE satchel.properties (
	drive uuid NOT NULL,
	node  uuid NOT NULL,
	space text COLLATE "C" NOT NULL,                 -- the name's XML namespace
	name  text COLLATE "C" NOT NULL,
	owner uuid NOT NULL,
	lang  text NOT NULL DEFAULT '',                  -- xml:lang
	value text NOT NULL CHECK (octet_length(value) <= 65536), -- XML, as the client wrote it
	PRIMARY KEY (drive, node, space, name),
	FOREIGN KEY (drive, node) REFERENCES satchel.nodes (drive, id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE
);

-- Write locks of WebDAV clients (RFC 4918 section 6). A lock is on a path, not
-- on a node: it may stand where nothing is yet, and does not move.
CREATE TABLE satchel.locks (
	drive   uuid NOT NULL,
	token   uuid NOT NULL,
	owner   uuid NOT NULL,
	path    text COLLATE "C" NOT NULL,               -- names joined by slashes, escaped; '' is the root
	deep    boolean NOT NULL,                        -- depth infinity: all below it too
	shared  boolean NOT NULL,
	holder  text NOT NULL CHECK (octet_length(holder) <= 65536), -- XML that says who, for people
	expires timestamptz NOT NULL,
	PRIMARY KEY (drive, token),
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE
);

-- What the S3 API keeps of a version that it wrote: clients check the tag, the
-- MD5 of the content or of its parts, and get back the headers.
CREATE TABLE satchel.objects (
	drive   uuid NOT NULL,
	version uuid NOT NULL,
	owner   uuid NOT NULL,
	etag    text NOT NULL,
	headers jsonb NOT NULL DEFAULT '{}',
	PRIMARY KEY (drive, version),
	FOREIGN KEY (drive, version) REFERENCES satchel.versions (drive, id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
	FOREIGN KEY (drive, owner) REFERENCES satchel.drives (id, owner) ON DELETE CASCADE
);

-- +goose StatementBegin
DO $$
DECLARE
	t  text;
	me CONSTANT text := '(owner = (SELECT nullif(current_setting(''satchel.user_id'', true), '''')::uuid))';
BEGIN
	FOREACH t IN ARRAY ARRAY['properties', 'locks', 'objects'] LOOP
		EXECUTE format('ALTER TABLE satchel.%I ENABLE ROW LEVEL SECURITY', t);
		EXECUTE format('ALTER TABLE satchel.%I FORCE ROW LEVEL SECURITY', t);
		EXECUTE format('CREATE POLICY own_read ON satchel.%I FOR SELECT TO satchel_app USING %s', t, me);
		EXECUTE format('CREATE POLICY own_insert ON satchel.%I FOR INSERT TO satchel_app WITH CHECK %s', t, me);
		EXECUTE format('CREATE POLICY own_change ON satchel.%I FOR UPDATE TO satchel_app USING %s WITH CHECK %s', t, me, me);
		EXECUTE format('CREATE POLICY own_delete ON satchel.%I FOR DELETE TO satchel_app USING %s', t, me);
		EXECUTE format('GRANT SELECT, INSERT, DELETE ON satchel.%I TO satchel_app', t);
	END LOOP;
END $$;
-- +goose StatementEnd
GRANT UPDATE (lang, value) ON satchel.properties TO satchel_app;
GRANT UPDATE (expires)     ON satchel.locks      TO satchel_app;

-- An app password is a session's secret too.
ALTER TABLE satchel.sessions DROP CONSTRAINT sessions_kind_check;
ALTER TABLE satchel.sessions ADD CONSTRAINT sessions_kind_check CHECK (kind IN ('device', 'browser', 'app'));
