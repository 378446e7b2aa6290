-- +goose Up

-- Networks whose requests are refused for a while, by all server processes.
CREATE TABLE satchel.bans (
	network cidr PRIMARY KEY,
	reason  text NOT NULL,
	created timestamptz NOT NULL DEFAULT now(),
	until   timestamptz NOT NULL
);
ALTER TABLE satchel.bans ENABLE ROW LEVEL SECURITY;
ALTER TABLE satchel.bans FORCE  ROW LEVEL SECURITY;
GRANT SELECT, INSERT, UPDATE, DELETE ON satchel.bans TO satchel_auth;
CREATE POLICY auth_read   ON satchel.bans FOR SELECT TO satchel_auth USING (true);
CREATE POLICY auth_insert ON satchel.bans FOR INSERT TO satchel_auth WITH CHECK (true);
CREATE POLICY auth_change ON satchel.bans FOR UPDATE TO satchel_auth USING (true);
CREATE POLICY auth_delete ON satchel.bans FOR DELETE TO satchel_auth USING (true);

-- Bans a network, and forgets bans that are over. One that is banned is so for longer.
-- +goose StatementBegin
CREATE FUNCTION satchel.ban(in_network cidr, why text, how_long interval)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	DELETE FROM satchel.bans WHERE until < now();
	INSERT INTO satchel.bans AS b (network, reason, until) VALUES (in_network, why, now() + how_long)
	ON CONFLICT (network) DO UPDATE SET until = greatest(b.until, excluded.until), reason = excluded.reason;
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION satchel.banned()
RETURNS TABLE (network cidr, reason text, created timestamptz, until timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT b.network, b.reason, b.created, b.until FROM satchel.bans b WHERE b.until > now() ORDER BY b.created, b.network
$$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION satchel.ban(cidr, text, interval), satchel.banned() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.ban(cidr, text, interval), satchel.banned() TO satchel_app;
GRANT CREATE ON SCHEMA satchel TO satchel_auth;
ALTER FUNCTION satchel.ban(cidr, text, interval) OWNER TO satchel_auth;
ALTER FUNCTION satchel.banned()                  OWNER TO satchel_auth;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;
