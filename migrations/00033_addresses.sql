-- +goose Up

-- Whoever signs up says whose an address is, and nobody has checked it. So an
-- address that was only typed opens nothing that others meant for its owner: an
-- identity provider's subject is not led to such an account, and a policy names
-- accounts that are there when it is set.

-- Accounts that were made before: those of whom the audit log does not say that an operator or an
-- admin added them, and that no provider's subject signs in to.
ALTER TABLE satchel.users ADD COLUMN signed_up boolean NOT NULL DEFAULT false;
ALTER TABLE satchel.users      NO FORCE ROW LEVEL SECURITY;
ALTER TABLE satchel.audit      NO FORCE ROW LEVEL SECURITY;
ALTER TABLE satchel.identities NO FORCE ROW LEVEL SECURITY;
UPDATE satchel.users u SET signed_up = true
WHERE u.role = 'editor' AND u.id <> '00000000-0000-0000-0000-000000000001'
  AND NOT EXISTS (SELECT FROM satchel.identities i WHERE i.user_id = u.id)
  AND NOT EXISTS (SELECT FROM satchel.audit a
	WHERE a.action = 'account added' AND a.subject = u.email AND (a.via = 'command' OR a.actor <> u.id));
ALTER TABLE satchel.identities FORCE ROW LEVEL SECURITY;
ALTER TABLE satchel.audit      FORCE ROW LEVEL SECURITY;
ALTER TABLE satchel.users      FORCE ROW LEVEL SECURITY;

-- With a password that somebody else set the account is from then on his to
-- give, and who had it before is out.
-- +goose StatementBegin
CREATE FUNCTION satchel.vouch()
RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	NEW.signed_up := false;
	RETURN NEW;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION satchel.vouch() FROM PUBLIC;
CREATE TRIGGER vouch BEFORE UPDATE OF password_hash ON satchel.users FOR EACH ROW
	WHEN (NEW.password_hash IS DISTINCT FROM OLD.password_hash AND NEW.id::text IS DISTINCT FROM current_setting('satchel.user_id', true))
	EXECUTE FUNCTION satchel.vouch();

GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;

-- As before, and says that nobody vouches for the address.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION satchel.sign_up(new_id uuid, address text, new_name text, hash text)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO satchel.users (id, email, name, role, password_hash, signed_up) VALUES (new_id, lower(address), new_name, 'editor', hash, true)
$$;
-- +goose StatementEnd

-- A new editor's account for a provider's subject, which vouches for the address.
-- +goose StatementBegin
CREATE FUNCTION satchel.sign_up_by(new_id uuid, address text, new_name text, hash text, of_issuer text, of_subject text)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO satchel.users (id, email, name, role, password_hash) VALUES (new_id, lower(address), new_name, 'editor', hash);
	INSERT INTO satchel.identities (issuer, subject, user_id) VALUES (of_issuer, of_subject, new_id);
$$;
-- +goose StatementEnd

-- Lets a provider's subject sign in to the caller's account from now on; false when it signs in to another one, or
-- nobody vouches for the account's address. Servers of the former version have add_identity: they make
-- an account by sign_up for somebody whom a provider vouches for, too, and then call it.
-- +goose StatementBegin
CREATE FUNCTION satchel.link_identity(of_issuer text, of_subject text)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	me uuid := nullif(current_setting('satchel.user_id', true), '')::uuid;
BEGIN
	INSERT INTO satchel.identities (issuer, subject, user_id)
	SELECT of_issuer, of_subject, u.id FROM satchel.users u WHERE u.id = me AND NOT u.signed_up ON CONFLICT DO NOTHING;
	RETURN EXISTS (SELECT FROM satchel.identities i WHERE i.issuer = of_issuer AND i.subject = of_subject AND i.user_id = me);
END $$;
-- +goose StatementEnd

-- Whom a policy names: anyone (*), the id of an account by that or its address,
-- or an access key that is good; NULL is nobody.
-- +goose StatementBegin
CREATE FUNCTION satchel.principal(named text)
RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN named = '*' THEN named ELSE coalesce(
		(SELECT u.id::text FROM satchel.users u
		 WHERE u.email = named OR u.id = CASE WHEN named ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN named::uuid END),
		(SELECT k.key FROM satchel.access_keys k JOIN satchel.sessions s ON s.id = k.session
		 WHERE k.key = named AND s.revoked IS NULL)) END
$$;
-- +goose StatementEnd

-- Keeps whom a policy meant when it was set; one that means nobody is refused. So
-- no rule has an address any more, with which bucket_access would compare the caller's.
-- +goose StatementBegin
CREATE FUNCTION satchel.keep_principals()
RETURNS trigger
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	nobody text;
BEGIN
	SELECT p INTO nobody
	FROM jsonb_array_elements(NEW.rules) r (rule), jsonb_array_elements_text(r.rule->'principals') p
	WHERE satchel.principal(p) IS NULL LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'the policy''s principal "%" is nobody here', nobody USING ERRCODE = 'SA002';
	END IF;
	NEW.rules := (
		SELECT jsonb_agg(jsonb_set(r.rule, '{principals}', (SELECT jsonb_agg(satchel.principal(p)) FROM jsonb_array_elements_text(r.rule->'principals') p)) ORDER BY r.n)
		FROM jsonb_array_elements(NEW.rules) WITH ORDINALITY r (rule, n));
	RETURN NEW;
END $$;
-- +goose StatementEnd

REVOKE EXECUTE ON FUNCTION satchel.sign_up_by(uuid, text, text, text, text, text), satchel.link_identity(text, text), satchel.principal(text), satchel.keep_principals() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.sign_up_by(uuid, text, text, text, text, text), satchel.link_identity(text, text) TO satchel_app;
GRANT EXECUTE ON FUNCTION satchel.principal(text), satchel.keep_principals() TO satchel_owner;
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;

-- Policies that are set already mean who is here now.
ALTER TABLE satchel.buckets NO FORCE ROW LEVEL SECURITY;
UPDATE satchel.buckets b SET rules = (
	SELECT jsonb_agg(jsonb_set(r.rule, '{principals}', coalesce(
		(SELECT jsonb_agg(satchel.principal(p)) FROM jsonb_array_elements_text(r.rule->'principals') p WHERE satchel.principal(p) IS NOT NULL), '[]')) ORDER BY r.n)
	FROM jsonb_array_elements(b.rules) WITH ORDINALITY r (rule, n))
WHERE b.rules <> '[]';
ALTER TABLE satchel.buckets FORCE ROW LEVEL SECURITY;
CREATE TRIGGER principals BEFORE INSERT OR UPDATE OF rules ON satchel.buckets FOR EACH ROW
	WHEN (NEW.rules <> '[]') EXECUTE FUNCTION satchel.keep_principals();
