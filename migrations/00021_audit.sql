-- +goose Up

-- Who did what: log-ins, accounts, shares, keys, bans, upkeep. Rows are written by
-- triggers, so in the transaction of the action, whoever's code it was; the role
-- that serves requests can neither change nor remove one, nor write any but by acting.
-- An account that is gone is named still, so nothing here refers to one.
CREATE TABLE satchel.audit (
	id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	at          timestamptz NOT NULL DEFAULT clock_timestamp(),
	actor       uuid,                                -- NULL: nobody logged in, a command, or the server itself
	actor_email text,
	via         text NOT NULL CHECK (via IN ('request', 'command', 'server')),
	operator    text,                                -- of a command: who gave it on the server's machine
	address     inet,                                -- of a request
	action      text NOT NULL,
	subject     text NOT NULL DEFAULT '',            -- in words: an address, a path, a device
	detail      jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_at     ON satchel.audit (at, id);
CREATE INDEX audit_actor  ON satchel.audit (actor, at, id);
CREATE INDEX audit_action ON satchel.audit (action, at, id);
ALTER TABLE satchel.audit ENABLE ROW LEVEL SECURITY;
ALTER TABLE satchel.audit FORCE  ROW LEVEL SECURITY;

GRANT SELECT ON satchel.audit TO satchel_app;
CREATE POLICY admin_read ON satchel.audit FOR SELECT TO satchel_app USING ((SELECT satchel.is_admin()));
GRANT INSERT ON satchel.audit TO satchel_auth;
CREATE POLICY auth_insert ON satchel.audit FOR INSERT TO satchel_auth WITH CHECK (true);
-- What is older than it is kept goes with the garbage.
GRANT SELECT (at), DELETE ON satchel.audit TO satchel_keeper;
CREATE POLICY keeper_read   ON satchel.audit FOR SELECT TO satchel_keeper USING (true);
CREATE POLICY keeper_delete ON satchel.audit FOR DELETE TO satchel_keeper USING (true);

GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;

-- Writes a row about what the transaction does. Who does it is the user set for
-- it; by_then names one who is set by the action itself, as by signing up.
-- +goose StatementBegin
CREATE FUNCTION satchel.record(what text, whom text, more jsonb, by_then uuid DEFAULT NULL)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO satchel.audit (actor, actor_email, via, operator, address, action, subject, detail)
	SELECT a.id, (SELECT u.email FROM satchel.users u WHERE u.id = a.id), a.via,
		CASE WHEN a.via = 'command' THEN nullif(current_setting('satchel.operator', true), '') END,
		nullif(current_setting('satchel.address', true), '')::inet, what, left(whom, 4096), jsonb_strip_nulls(more)
	FROM (SELECT CASE coalesce(current_setting('satchel.actor', true), '') -- of a guest in another one's drive: see satchel.act
			WHEN '' THEN coalesce(nullif(current_setting('satchel.user_id', true), '')::uuid, by_then)
			WHEN 'anonymous' THEN NULL
			ELSE current_setting('satchel.actor')::uuid END AS id,
		CASE WHEN current_setting('satchel.via', true) IN ('request', 'command') THEN current_setting('satchel.via', true) ELSE 'server' END AS via) a
$$;
-- +goose StatementEnd

-- The path of a node, by the first of its names.
-- +goose StatementBegin
CREATE FUNCTION satchel.path_to(in_drive uuid, in_node uuid)
RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE way (node, path) AS (
		SELECT in_node, ''::text COLLATE "C"
		UNION ALL
		SELECT s.parent, s.name || CASE WHEN w.path = '' THEN '' ELSE '/' END || w.path
		FROM way w
		CROSS JOIN LATERAL (
			SELECT e.parent, e.name FROM satchel.entries e
			WHERE e.drive = in_drive AND e.node = w.node ORDER BY e.parent, e.name LIMIT 1 OFFSET 0) s
	)
	SELECT path FROM way w WHERE NOT EXISTS (SELECT FROM satchel.entries e WHERE e.drive = in_drive AND e.node = w.node)
$$;
-- +goose StatementEnd

-- A log-in that was refused. The address that was typed is kept if it is an
-- account's only: what else people type there may be a password.
-- +goose StatementBegin
CREATE FUNCTION satchel.login_refused(address text)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT satchel.record('log-in refused', coalesce((SELECT u.email FROM satchel.users u WHERE u.email = lower(address)), 'an unknown address'),
		CASE WHEN EXISTS (SELECT FROM satchel.users u WHERE u.email = lower(address) AND u.disabled IS NOT NULL) THEN '{"disabled": true}' ELSE '{}' END::jsonb)
$$;
-- +goose StatementEnd

-- A drive that its owner returned to a point in its past, or whose trash he emptied.
-- +goose StatementBegin
CREATE FUNCTION satchel.drive_note(in_drive uuid, what text, more jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF what NOT IN ('drive restored', 'trash emptied')
	   OR NOT EXISTS (SELECT FROM satchel.drives d WHERE d.id = in_drive AND d.owner::text = current_setting('satchel.user_id', true)) THEN
		RAISE EXCEPTION 'only the owner of a drive may do this' USING ERRCODE = '42501';
	END IF;
	PERFORM satchel.record(what, (SELECT d.name FROM satchel.drives d WHERE d.id = in_drive), more);
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION satchel.audit_users()
RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NEW.id = '00000000-0000-0000-0000-000000000001' THEN -- the owner of the system's drives, who is nobody
		RETURN NULL;
	END IF;
	IF TG_OP = 'INSERT' THEN
		PERFORM satchel.record('account added', NEW.email, jsonb_build_object('role', NEW.role, 'quota', nullif(NEW.quota, 0)),
			CASE WHEN current_setting('satchel.via', true) = 'request' THEN NEW.id END);
		RETURN NULL;
	END IF;
	IF NEW.disabled IS DISTINCT FROM OLD.disabled AND (NEW.disabled IS NULL) <> (OLD.disabled IS NULL) THEN
		PERFORM satchel.record(CASE WHEN NEW.disabled IS NULL THEN 'account enabled' ELSE 'account disabled' END, NEW.email, '{}');
	END IF;
	IF NEW.role <> OLD.role THEN
		PERFORM satchel.record('role changed', NEW.email, jsonb_build_object('from', OLD.role, 'to', NEW.role));
	END IF;
	IF NEW.quota <> OLD.quota THEN
		PERFORM satchel.record('quota changed', NEW.email, jsonb_build_object('from', OLD.quota, 'to', NEW.quota));
	END IF;
	IF NEW.password_hash <> OLD.password_hash THEN
		PERFORM satchel.record('password changed', NEW.email, '{}');
	END IF;
	IF NEW.name <> OLD.name THEN
		PERFORM satchel.record('name changed', NEW.email, '{}');
	END IF;
	RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION satchel.audit_sessions()
RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	whose CONSTANT text := (SELECT u.email FROM satchel.users u WHERE u.id = NEW.user_id);
BEGIN
	PERFORM satchel.record(
		CASE WHEN TG_OP = 'INSERT' THEN
			CASE NEW.kind WHEN 'app' THEN 'app password made' WHEN 'key' THEN 'access key made' ELSE 'logged in' END
		ELSE
			CASE NEW.kind WHEN 'app' THEN 'app password revoked' WHEN 'key' THEN 'access key revoked' ELSE 'session ended' END
		END,
		whose, jsonb_build_object('kind', NEW.kind, 'name', NEW.name, 'session', NEW.id));
	RETURN NULL;
END $$;
-- +goose StatementEnd

-- Permissions by name, as the API has them.
-- +goose StatementBegin
CREATE FUNCTION satchel.audit_grants()
RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	g satchel.grants%ROWTYPE;
	bits int;
BEGIN
	IF TG_OP = 'DELETE' THEN
		g := OLD;
		bits := OLD.permissions;
	ELSE
		g := NEW;
		bits := NEW.permissions;
	END IF;
	PERFORM satchel.record(CASE TG_OP WHEN 'DELETE' THEN 'share ended' WHEN 'INSERT' THEN 'shared' ELSE 'share changed' END,
		coalesce(nullif(satchel.path_to(g.drive, g.node), ''), '/'),
		jsonb_build_object(
			'with', coalesce((SELECT u.email FROM satchel.users u WHERE u.id::text = g.principal), g.principal),
			'owner', (SELECT u.email FROM satchel.users u WHERE u.id = g.owner),
			'permissions', (SELECT string_agg(n.name, ' ' ORDER BY n.bit) FROM (VALUES (1, 'read'), (2, 'list'), (4, 'write'), (8, 'mkdir'),
				(16, 'delete'), (32, 'rename'), (64, 'copy')) n (bit, name) WHERE bits & n.bit <> 0)));
	RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION satchel.audit_binds()
RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	b satchel.binds%ROWTYPE;
BEGIN
	IF TG_OP = 'DELETE' THEN
		b := OLD;
	ELSE
		b := NEW;
	END IF;
	PERFORM satchel.record(CASE TG_OP WHEN 'DELETE' THEN 'bind removed' ELSE 'bind made' END,
		coalesce(nullif(satchel.path_to(b.drive, b.node), ''), '/'),
		jsonb_build_object('source', coalesce(nullif(satchel.path_to(b.source_drive, b.source_node), ''), '/'),
			'of', (SELECT u.email FROM satchel.users u WHERE u.id = b.source_owner), 'inherit', b.inherit));
	RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION satchel.audit_policies()
RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM satchel.record('bucket policy changed', NEW.name, '{}');
	RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION satchel.audit_access_keys()
RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM satchel.record('access key rotated', (SELECT u.email FROM satchel.users u WHERE u.id = NEW.owner), jsonb_build_object('key', NEW.key));
	RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION satchel.audit_signing_keys()
RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM satchel.record('signing key added', NEW.kid, '{}');
	RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION satchel.audit_bans()
RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		PERFORM satchel.record('network banned', NEW.network::text, jsonb_build_object('reason', NEW.reason, 'until', NEW.until));
	ELSE
		PERFORM satchel.record('ban lifted', OLD.network::text, jsonb_build_object('reason', OLD.reason, 'until', OLD.until));
	END IF;
	RETURN NULL;
END $$;
-- +goose StatementEnd

REVOKE EXECUTE ON FUNCTION satchel.record(text, text, jsonb, uuid), satchel.path_to(uuid, uuid), satchel.login_refused(text), satchel.drive_note(uuid, text, jsonb),
	satchel.audit_users(), satchel.audit_sessions(), satchel.audit_grants(), satchel.audit_binds(), satchel.audit_policies(), satchel.audit_access_keys(),
	satchel.audit_signing_keys(), satchel.audit_bans() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.login_refused(text), satchel.drive_note(uuid, text, jsonb) TO satchel_app;
-- To make the triggers, their table's owner must be allowed to run what they run.
GRANT EXECUTE ON FUNCTION satchel.audit_users(), satchel.audit_sessions(), satchel.audit_grants(), satchel.audit_binds(), satchel.audit_policies(),
	satchel.audit_access_keys(), satchel.audit_signing_keys(), satchel.audit_bans() TO satchel_owner;
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;

CREATE TRIGGER audit AFTER INSERT OR UPDATE ON satchel.users FOR EACH ROW EXECUTE FUNCTION satchel.audit_users();
CREATE TRIGGER audit_begin AFTER INSERT ON satchel.sessions FOR EACH ROW EXECUTE FUNCTION satchel.audit_sessions();
CREATE TRIGGER audit_end AFTER UPDATE OF revoked ON satchel.sessions FOR EACH ROW
	WHEN (OLD.revoked IS NULL AND NEW.revoked IS NOT NULL) EXECUTE FUNCTION satchel.audit_sessions();
-- Grants and binds that go with their node, collected as garbage, were nobody's doing.
CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE OF permissions ON satchel.grants FOR EACH ROW
	WHEN (nullif(current_setting('satchel.user_id', true), '') IS NOT NULL) EXECUTE FUNCTION satchel.audit_grants();
CREATE TRIGGER audit AFTER INSERT OR DELETE ON satchel.binds FOR EACH ROW
	WHEN (nullif(current_setting('satchel.user_id', true), '') IS NOT NULL) EXECUTE FUNCTION satchel.audit_binds();
CREATE TRIGGER audit AFTER UPDATE OF policy ON satchel.buckets FOR EACH ROW EXECUTE FUNCTION satchel.audit_policies();
CREATE TRIGGER audit AFTER UPDATE OF sealed ON satchel.access_keys FOR EACH ROW EXECUTE FUNCTION satchel.audit_access_keys();
CREATE TRIGGER audit AFTER INSERT ON satchel.signing_keys FOR EACH ROW EXECUTE FUNCTION satchel.audit_signing_keys();
CREATE TRIGGER audit_begin AFTER INSERT ON satchel.bans FOR EACH ROW EXECUTE FUNCTION satchel.audit_bans();
CREATE TRIGGER audit_end AFTER DELETE ON satchel.bans FOR EACH ROW WHEN (OLD.until > now()) EXECUTE FUNCTION satchel.audit_bans();
