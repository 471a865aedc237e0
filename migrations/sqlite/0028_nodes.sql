-- Processes that serve the gateway keep what admission reads in memory. Every change of it raises the version in its own
-- transaction, and the answer to who made the change waits until every process has seen the version (docs/decisions/0072).

-- A row for each process that serves. It keeps nothing in memory beyond `lease_until`, by the database's clock.
CREATE TABLE gateway_nodes (
  node_id TEXT NOT NULL PRIMARY KEY,
  -- Another one each time that the process begins anew.
  token TEXT NOT NULL,
  -- Rises with each renewal, so that a process notices a database that has lost some.
  turn INTEGER NOT NULL,
  -- The configuration's version whose changes the process has dropped from its memory.
  seen_version INTEGER NOT NULL,
  lease_until INTEGER NOT NULL
) STRICT;

-- A row and not a sequence: who raises it has it locked until the commit, so versions are committed in order.
CREATE TABLE config_version (
  only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
  version INTEGER NOT NULL
) STRICT;
INSERT INTO config_version (only_row, version) VALUES (1, 0);

-- The last version that changed something of an organisation; '' is what concerns every one.
CREATE TABLE config_changes (
  org_id TEXT NOT NULL PRIMARY KEY,
  version INTEGER NOT NULL
) STRICT;

-- What the triggers below insert into. A transaction of many rows raises the version by as many, which only it sees.
CREATE VIEW config_change AS SELECT org_id FROM config_changes;
CREATE TRIGGER config_change INSTEAD OF INSERT ON config_change BEGIN
  UPDATE config_version SET version = version + 1;
  INSERT INTO config_changes (org_id, version) SELECT new.org_id, v.version FROM config_version v WHERE true
    ON CONFLICT (org_id) DO UPDATE SET version = excluded.version;
END;

-- Only the columns that admission reads: what a request or a look at a page writes raises nothing.
CREATE TRIGGER config_keys_insert AFTER INSERT ON keys BEGIN INSERT INTO config_change VALUES (new.org_id); END;
CREATE TRIGGER config_keys_update AFTER UPDATE OF team_id, name, status, status_at, model_scope, addresses, rpm, tpm,
    concurrent, expires_at
  ON keys BEGIN INSERT INTO config_change VALUES (new.org_id); END;
CREATE TRIGGER config_keys_delete AFTER DELETE ON keys BEGIN INSERT INTO config_change VALUES (old.org_id); END;
CREATE TRIGGER config_key_secrets_insert AFTER INSERT ON key_secrets BEGIN INSERT INTO config_change VALUES (new.org_id); END;
CREATE TRIGGER config_key_secrets_update AFTER UPDATE OF key_id, hash, last_four, expires_at, replaced_at, grace_ms
  ON key_secrets BEGIN INSERT INTO config_change VALUES (new.org_id); END;
CREATE TRIGGER config_key_secrets_delete AFTER DELETE ON key_secrets BEGIN INSERT INTO config_change VALUES (old.org_id); END;
CREATE TRIGGER config_teams_insert AFTER INSERT ON teams BEGIN INSERT INTO config_change VALUES (new.org_id); END;
CREATE TRIGGER config_teams_update AFTER UPDATE OF name, model_scope, rpm, tpm, concurrent, archived_at
  ON teams BEGIN INSERT INTO config_change VALUES (new.org_id); END;
CREATE TRIGGER config_teams_delete AFTER DELETE ON teams BEGIN INSERT INTO config_change VALUES (old.org_id); END;
CREATE TRIGGER config_orgs_insert AFTER INSERT ON orgs BEGIN INSERT INTO config_change VALUES (new.id); END;
CREATE TRIGGER config_orgs_update AFTER UPDATE OF name, zone, model_scope, balance_enforced_at, suspended_at, overshoot,
    unpriced
  ON orgs BEGIN INSERT INTO config_change VALUES (new.id); END;
CREATE TRIGGER config_orgs_delete AFTER DELETE ON orgs BEGIN INSERT INTO config_change VALUES (old.id); END;
CREATE TRIGGER config_scopes_insert AFTER INSERT ON scopes BEGIN INSERT INTO config_change VALUES (new.org_id); END;
CREATE TRIGGER config_scopes_update AFTER UPDATE OF holder_kind, holder_id, pattern
  ON scopes BEGIN INSERT INTO config_change VALUES (new.org_id); END;
CREATE TRIGGER config_scopes_delete AFTER DELETE ON scopes BEGIN INSERT INTO config_change VALUES (old.org_id); END;
CREATE TRIGGER config_budgets_insert AFTER INSERT ON budgets BEGIN INSERT INTO config_change VALUES (new.org_id); END;
CREATE TRIGGER config_budgets_update AFTER UPDATE OF holder_kind, holder_id, period, amount
  ON budgets BEGIN INSERT INTO config_change VALUES (new.org_id); END;
CREATE TRIGGER config_budgets_delete AFTER DELETE ON budgets BEGIN INSERT INTO config_change VALUES (old.org_id); END;
CREATE TRIGGER config_shadow_limits_insert AFTER INSERT ON shadow_limits BEGIN INSERT INTO config_change VALUES (new.org_id); END;
CREATE TRIGGER config_shadow_limits_update AFTER UPDATE OF holder_kind, holder_id, what, amount
  ON shadow_limits BEGIN INSERT INTO config_change VALUES (new.org_id); END;
CREATE TRIGGER config_shadow_limits_delete AFTER DELETE ON shadow_limits BEGIN INSERT INTO config_change VALUES (old.org_id); END;
CREATE TRIGGER config_grants_insert AFTER INSERT ON grants BEGIN INSERT INTO config_change VALUES (new.org_id); END;
CREATE TRIGGER config_ledger_insert AFTER INSERT ON ledger
  WHEN EXISTS (SELECT 1 FROM orgs WHERE id = new.org_id AND balance_enforced_at IS NOT NULL)
  BEGIN INSERT INTO config_change VALUES (new.org_id); END;
CREATE TRIGGER config_models_insert AFTER INSERT ON models BEGIN INSERT INTO config_change VALUES (''); END;
CREATE TRIGGER config_models_update AFTER UPDATE OF id, provider, provider_id, upstream_name, default_output_tokens,
    retired_at, context_tokens, max_output_tokens, weight
  ON models BEGIN INSERT INTO config_change VALUES (''); END;
CREATE TRIGGER config_models_delete AFTER DELETE ON models BEGIN INSERT INTO config_change VALUES (''); END;
CREATE TRIGGER config_model_providers_insert AFTER INSERT ON model_providers BEGIN INSERT INTO config_change VALUES (''); END;
CREATE TRIGGER config_model_providers_update AFTER UPDATE OF model_id, provider_id, weight, upstream_name
  ON model_providers BEGIN INSERT INTO config_change VALUES (''); END;
CREATE TRIGGER config_model_providers_delete AFTER DELETE ON model_providers BEGIN INSERT INTO config_change VALUES (''); END;
CREATE TRIGGER config_prices_insert AFTER INSERT ON prices BEGIN INSERT INTO config_change VALUES (''); END;
CREATE TRIGGER config_prices_update AFTER UPDATE OF model_id, starts_at, origin, source, tariff, withdrawn_at
  ON prices BEGIN INSERT INTO config_change VALUES (''); END;
CREATE TRIGGER config_prices_delete AFTER DELETE ON prices BEGIN INSERT INTO config_change VALUES (''); END;
CREATE TRIGGER config_providers_insert AFTER INSERT ON providers BEGIN INSERT INTO config_change VALUES (''); END;
CREATE TRIGGER config_providers_update AFTER UPDATE OF name, kind, base_url, api_path, query, credential_env, stored_key,
    credential_header, headers, omitted, connect_ms, idle_ms, whole_ms, on_disconnect, retired_at
  ON providers BEGIN INSERT INTO config_change VALUES (''); END;
CREATE TRIGGER config_providers_delete AFTER DELETE ON providers BEGIN INSERT INTO config_change VALUES (''); END;
CREATE TRIGGER config_provider_keys_insert AFTER INSERT ON provider_keys BEGIN INSERT INTO config_change VALUES (''); END;
CREATE TRIGGER config_provider_keys_update AFTER UPDATE OF provider_id, sealed, sealed_with, last_four
  ON provider_keys BEGIN INSERT INTO config_change VALUES (''); END;
CREATE TRIGGER config_provider_keys_delete AFTER DELETE ON provider_keys BEGIN INSERT INTO config_change VALUES (''); END;
-- The first use of a key's new secret decides when the one before it ends, where a rotation said so.
CREATE TRIGGER config_first_use AFTER UPDATE OF first_used_at ON key_secrets
  WHEN old.first_used_at IS NOT new.first_used_at
    AND EXISTS (SELECT 1 FROM key_secrets WHERE key_id = new.key_id AND grace_ms IS NOT NULL)
  BEGIN INSERT INTO config_change VALUES (new.org_id); END;
