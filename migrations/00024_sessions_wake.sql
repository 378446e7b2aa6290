-- +goose Up

-- A session that ends wakes whoever waits for changes of its user's drives, on every
-- server: the page and the device of that session learn of it at once.
GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;
-- +goose StatementBegin
CREATE FUNCTION satchel.session_ended()
RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM pg_notify('satchel_changes', d.id::text) FROM satchel.drives d WHERE d.owner = NEW.user_id;
	RETURN NULL;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION satchel.session_ended() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.session_ended() TO satchel_owner;
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;

CREATE TRIGGER wake AFTER UPDATE OF revoked ON satchel.sessions FOR EACH ROW
	WHEN (OLD.revoked IS NULL AND NEW.revoked IS NOT NULL) EXECUTE FUNCTION satchel.session_ended();
