-- +goose Up

-- Devices that wait for somebody to confirm them (RFC 8628), for all server
-- processes. A row goes when it was answered and the device knows, or is late.
CREATE TABLE satchel.device_codes (
	code_sha256 bytea PRIMARY KEY,
	user_code   text NOT NULL UNIQUE,
	device      text NOT NULL,
	address     text NOT NULL,
	created     timestamptz NOT NULL DEFAULT now(),
	expires     timestamptz NOT NULL,
	polled      timestamptz,
	denied      boolean NOT NULL DEFAULT false,
	user_id     uuid REFERENCES satchel.users (id) ON DELETE CASCADE
);
CREATE INDEX device_codes_user ON satchel.device_codes (user_id);
ALTER TABLE satchel.device_codes ENABLE ROW LEVEL SECURITY;
ALTER TABLE satchel.device_codes FORCE  ROW LEVEL SECURITY;

-- Accounts as other providers of identities know them (OpenID Connect).
CREATE TABLE satchel.identities (
	issuer  text NOT NULL,
	subject text NOT NULL,
	user_id uuid NOT NULL REFERENCES satchel.users (id) ON DELETE CASCADE,
	created timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (issuer, subject)
);
CREATE INDEX identities_user ON satchel.identities (user_id);
ALTER TABLE satchel.identities ENABLE ROW LEVEL SECURITY;
ALTER TABLE satchel.identities FORCE  ROW LEVEL SECURITY;

GRANT SELECT, INSERT, UPDATE, DELETE ON satchel.device_codes TO satchel_auth;
GRANT SELECT, INSERT ON satchel.identities TO satchel_auth;
CREATE POLICY auth_read   ON satchel.device_codes FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_insert ON satchel.device_codes FOR INSERT TO satchel_auth WITH CHECK (true);
CREATE POLICY auth_change ON satchel.device_codes FOR UPDATE TO satchel_auth USING (true);
CREATE POLICY auth_delete ON satchel.device_codes FOR DELETE TO satchel_auth USING (true);
CREATE POLICY auth_read   ON satchel.identities   FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_insert ON satchel.identities   FOR INSERT TO satchel_auth WITH CHECK (true);

GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;

-- Notes a device that wants to log in; false when the code to show is taken.
-- +goose StatementBegin
CREATE FUNCTION satchel.begin_device(code bytea, shown text, name text, from_address text, lifetime interval)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	DELETE FROM satchel.device_codes WHERE expires < now();
	INSERT INTO satchel.device_codes (code_sha256, user_code, device, address, expires)
	VALUES (code, shown, name, from_address, now() + lifetime) ON CONFLICT DO NOTHING;
	RETURN FOUND;
END $$;
-- +goose StatementEnd

-- The device that shows a code and waits, for whoever is signed in.
-- +goose StatementBegin
CREATE FUNCTION satchel.waiting_device(shown text)
RETURNS TABLE (device text, address text, created timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT c.device, c.address, c.created FROM satchel.device_codes c
	WHERE c.user_code = shown AND c.expires > now() AND c.user_id IS NULL AND NOT c.denied
	  AND nullif(current_setting('satchel.user_id', true), '') IS NOT NULL
$$;
-- +goose StatementEnd

-- Lets the device that shows a code log in as the caller, or never.
-- +goose StatementBegin
CREATE FUNCTION satchel.answer_device(shown text, allow boolean)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	me uuid := nullif(current_setting('satchel.user_id', true), '')::uuid;
BEGIN
	UPDATE satchel.device_codes c SET user_id = CASE WHEN allow THEN me END, denied = NOT allow
	WHERE c.user_code = shown AND c.expires > now() AND c.user_id IS NULL AND NOT c.denied AND me IS NOT NULL;
	RETURN FOUND;
END $$;
-- +goose StatementEnd

-- What became of a device's wish: pending, slow (it asks too often), denied,
-- expired, or allowed with the account, which is told once.
-- +goose StatementBegin
CREATE FUNCTION satchel.poll_device(code bytea, pause interval)
RETURNS TABLE (state text, device text, id uuid, email text, name text, role text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c satchel.device_codes;
BEGIN
	SELECT * INTO c FROM satchel.device_codes d WHERE d.code_sha256 = code AND d.expires > now() FOR UPDATE;
	state := 'expired';
	IF FOUND AND c.denied THEN
		state := 'denied';
	ELSIF FOUND AND c.user_id IS NOT NULL THEN
		SELECT u.id, u.email, u.name, u.role INTO id, email, name, role
		FROM satchel.users u WHERE u.id = c.user_id AND u.disabled IS NULL;
		device := c.device;
		state := CASE WHEN FOUND THEN 'allowed' ELSE 'denied' END;
	ELSIF FOUND THEN
		state := CASE WHEN c.polled > now() - pause THEN 'slow' ELSE 'pending' END;
		UPDATE satchel.device_codes d SET polled = now() WHERE d.code_sha256 = code;
		RETURN NEXT;
		RETURN;
	END IF;
	DELETE FROM satchel.device_codes d WHERE d.code_sha256 = code;
	RETURN NEXT;
END $$;
-- +goose StatementEnd

-- The account of a provider's subject; nothing for a disabled one.
-- +goose StatementBegin
CREATE FUNCTION satchel.identity_account(of_issuer text, of_subject text)
RETURNS TABLE (id uuid, email text, name text, role text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT u.id, u.email, u.name, u.role
	FROM satchel.identities i JOIN satchel.users u ON u.id = i.user_id
	WHERE i.issuer = of_issuer AND i.subject = of_subject AND u.disabled IS NULL
$$;
-- +goose StatementEnd

-- Lets a provider's subject sign in to the caller's account from now on; false
-- when it signs in to another one.
-- +goose StatementBegin
CREATE FUNCTION satchel.add_identity(of_issuer text, of_subject text)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	me uuid := nullif(current_setting('satchel.user_id', true), '')::uuid;
BEGIN
	INSERT INTO satchel.identities (issuer, subject, user_id) VALUES (of_issuer, of_subject, me) ON CONFLICT DO NOTHING;
	RETURN EXISTS (SELECT FROM satchel.identities i WHERE i.issuer = of_issuer AND i.subject = of_subject AND i.user_id = me);
END $$;
-- +goose StatementEnd

REVOKE EXECUTE ON FUNCTION satchel.begin_device(bytea, text, text, text, interval), satchel.waiting_device(text),
	satchel.answer_device(text, boolean), satchel.poll_device(bytea, interval),
	satchel.identity_account(text, text), satchel.add_identity(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.begin_device(bytea, text, text, text, interval), satchel.waiting_device(text),
	satchel.answer_device(text, boolean), satchel.poll_device(bytea, interval),
	satchel.identity_account(text, text), satchel.add_identity(text, text) TO satchel_app;
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
