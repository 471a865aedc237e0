-- Part of a name is found by an index of its three-character pieces.

CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE INDEX keys_names ON keys USING gin (name_folded gin_trgm_ops);

-- The audit cannot be rewritten.
CREATE FUNCTION audit_events_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'audit events are append-only';
END $$;
CREATE TRIGGER audit_events_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
  FOR EACH STATEMENT EXECUTE FUNCTION audit_events_append_only();
