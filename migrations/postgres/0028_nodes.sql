-- Processes that serve the gateway keep what admission reads in memory. Every change of it raises the version in its own
-- transaction, and the answer to who made the change waits until every process has seen the version (docs/decisions/0072).

-- A row for each process that serves. It keeps nothing in memory beyond `lease_until`, by the database's clock.
CREATE TABLE gateway_nodes (
  node_id TEXT NOT NULL PRIMARY KEY,
  -- Another one each time that the process begins anew.
  token TEXT NOT NULL,
  -- Rises with each renewal, so that a process notices a database that has lost some.
  turn BIGINT NOT NULL,
  -- The configuration's version whose changes the process has dropped from its memory.
  seen_version BIGINT NOT NULL,
  lease_until BIGINT NOT NULL
);

-- A row and not a sequence: who raises it has it locked until the commit, so versions are committed in order.
CREATE TABLE config_version (
  only_row BIGINT NOT NULL PRIMARY KEY CHECK (only_row = 1),
  version BIGINT NOT NULL
);
INSERT INTO config_version (only_row, version) VALUES (1, 0);

-- The last version that changed something of an organisation; '' is what concerns every one.
CREATE TABLE config_changes (
  org_id TEXT NOT NULL PRIMARY KEY,
  version BIGINT NOT NULL
);

-- Deferred to the commit: the lock on the version is the last one that a transaction takes, so that two of them cannot
-- deadlock over it. One transaction raises the version once and names each organisation once; a setting of the transaction
-- remembers both. With the owner's rights: a gateway's login that settles a request may not write these tables.
CREATE FUNCTION keydesk_config_change(org text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  noted text := current_setting('keydesk.config_change', true);
  raised bigint := NULLIF(split_part(noted, ' ', 1), '');
BEGIN
  IF noted = raised || ' ' || org THEN
    RETURN;
  END IF;
  IF raised IS NULL THEN
    UPDATE config_version SET version = version + 1 RETURNING version INTO raised;
  END IF;
  INSERT INTO config_changes (org_id, version) VALUES (org, raised)
    ON CONFLICT (org_id) DO UPDATE SET version = excluded.version;
  PERFORM set_config('keydesk.config_change', raised || ' ' || org, true);
END $$;
REVOKE EXECUTE ON FUNCTION keydesk_config_change FROM PUBLIC;

-- Its argument is the column with the organisation; without one the change concerns every organisation.
CREATE FUNCTION keydesk_config_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_NARGS = 0 THEN
    PERFORM keydesk_config_change('');
  ELSIF TG_OP = 'DELETE' THEN
    PERFORM keydesk_config_change(to_jsonb(old) ->> TG_ARGV[0]);
  ELSE
    PERFORM keydesk_config_change(to_jsonb(new) ->> TG_ARGV[0]);
  END IF;
  RETURN NULL;
END $$;

-- The first use of a key's new secret decides when the one before it ends, where a rotation said so.
CREATE FUNCTION keydesk_config_first_use() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM key_secrets WHERE key_id = new.key_id AND grace_ms IS NOT NULL) THEN
    PERFORM keydesk_config_change(new.org_id);
  END IF;
  RETURN NULL;
END $$;

-- A balance is only read where it is enforced.
CREATE FUNCTION keydesk_config_ledger() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM orgs WHERE id = new.org_id AND balance_enforced_at IS NOT NULL) THEN
    PERFORM keydesk_config_change(new.org_id);
  END IF;
  RETURN NULL;
END $$;

-- Only the columns that admission reads: what a request or a look at a page writes raises nothing.
CREATE CONSTRAINT TRIGGER config_keys AFTER INSERT OR DELETE OR UPDATE OF team_id, name, status, status_at, model_scope,
    addresses, rpm, tpm, concurrent, expires_at
  ON keys DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keydesk_config_row('org_id');
CREATE CONSTRAINT TRIGGER config_key_secrets AFTER INSERT OR DELETE OR UPDATE OF key_id, hash, last_four, expires_at,
    replaced_at, grace_ms
  ON key_secrets DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keydesk_config_row('org_id');
CREATE CONSTRAINT TRIGGER config_teams AFTER INSERT OR DELETE OR UPDATE OF name, model_scope, rpm, tpm, concurrent,
    archived_at
  ON teams DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keydesk_config_row('org_id');
CREATE CONSTRAINT TRIGGER config_orgs AFTER INSERT OR DELETE OR UPDATE OF name, zone, model_scope, balance_enforced_at,
    suspended_at, overshoot, unpriced
  ON orgs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keydesk_config_row('id');
CREATE CONSTRAINT TRIGGER config_scopes AFTER INSERT OR DELETE OR UPDATE OF holder_kind, holder_id, pattern
  ON scopes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keydesk_config_row('org_id');
CREATE CONSTRAINT TRIGGER config_budgets AFTER INSERT OR DELETE OR UPDATE OF holder_kind, holder_id, period, amount
  ON budgets DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keydesk_config_row('org_id');
CREATE CONSTRAINT TRIGGER config_shadow_limits AFTER INSERT OR DELETE OR UPDATE OF holder_kind, holder_id, what, amount
  ON shadow_limits DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keydesk_config_row('org_id');
CREATE CONSTRAINT TRIGGER config_grants AFTER INSERT
  ON grants DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keydesk_config_row('org_id');
CREATE CONSTRAINT TRIGGER config_ledger AFTER INSERT ON ledger DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION keydesk_config_ledger();
CREATE CONSTRAINT TRIGGER config_models AFTER INSERT OR DELETE OR UPDATE OF id, provider, provider_id, upstream_name,
    default_output_tokens, retired_at, context_tokens, max_output_tokens, weight
  ON models DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keydesk_config_row();
CREATE CONSTRAINT TRIGGER config_model_providers AFTER INSERT OR DELETE OR UPDATE OF model_id, provider_id, weight,
    upstream_name
  ON model_providers DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keydesk_config_row();
CREATE CONSTRAINT TRIGGER config_prices AFTER INSERT OR DELETE OR UPDATE OF model_id, starts_at, origin, source, tariff,
    withdrawn_at
  ON prices DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keydesk_config_row();
CREATE CONSTRAINT TRIGGER config_providers AFTER INSERT OR DELETE OR UPDATE OF name, kind, base_url, api_path, query,
    credential_env, stored_key, credential_header, headers, omitted, connect_ms, idle_ms, whole_ms, on_disconnect,
    retired_at
  ON providers DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keydesk_config_row();
CREATE CONSTRAINT TRIGGER config_provider_keys AFTER INSERT OR DELETE OR UPDATE OF provider_id, sealed, sealed_with,
    last_four
  ON provider_keys DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keydesk_config_row();
CREATE CONSTRAINT TRIGGER config_first_use AFTER UPDATE OF first_used_at ON key_secrets DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (old.first_used_at IS DISTINCT FROM new.first_used_at) EXECUTE FUNCTION keydesk_config_first_use();
