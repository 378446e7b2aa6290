-- +goose Up

-- Links are in the log: who made one, who removed it, and that its time was over,
-- which is nobody's doing. The token is not: whoever reads the log could use it.
GRANT CREATE ON SCHEMA satchel TO satchel_auth;
SET LOCAL ROLE satchel_auth;
-- +goose StatementBegin
CREATE FUNCTION satchel.audit_links()
RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	l    CONSTANT satchel.links%ROWTYPE := coalesce(NEW, OLD);
	over CONSTANT boolean := TG_OP = 'DELETE' AND l.expires <= now();
	who  CONSTANT text := coalesce(current_setting('satchel.actor', true), '');
BEGIN
	IF over THEN
		PERFORM set_config('satchel.actor', 'anonymous', true);
	END IF;
	PERFORM satchel.record(CASE WHEN TG_OP = 'INSERT' THEN 'link made' WHEN over THEN 'link expired' ELSE 'link removed' END,
		coalesce(nullif(satchel.path_to(l.drive, l.node), ''), '/'),
		jsonb_build_object('link', l.id, 'owner', (SELECT u.email FROM satchel.users u WHERE u.id = l.owner),
			'until', to_char(l.expires AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), 'password', nullif(l.password IS NOT NULL, false)));
	IF over THEN
		PERFORM set_config('satchel.actor', who, true);
	END IF;
	RETURN NULL;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION satchel.audit_links() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION satchel.audit_links() TO satchel_owner;
SET LOCAL ROLE satchel_owner;
REVOKE CREATE ON SCHEMA satchel FROM satchel_auth;

-- A link that goes with its node, collected as garbage, was nobody's doing either, and ended before.
CREATE TRIGGER audit AFTER INSERT OR DELETE ON satchel.links FOR EACH ROW
	WHEN (nullif(current_setting('satchel.user_id', true), '') IS NOT NULL) EXECUTE FUNCTION satchel.audit_links();
