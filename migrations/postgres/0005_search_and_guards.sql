-- Part of a name is found by an index of its three-character pieces.

CREATE EXTENSION IF NOT EXISTS pg_trgm;
-- Keys are searched far more often than written, so nothing waits in a list that each search would read through.
CREATE INDEX keys_names ON keys USING gin (name_folded gin_trgm_ops) WITH (fastupdate = off);

-- The audit cannot be rewritten.
CREATE FUNCTION audit_events_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'audit events are append-only';
END $$;
CREATE TRIGGER audit_events_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
  FOR EACH STATEMENT EXECUTE FUNCTION audit_events_append_only();
