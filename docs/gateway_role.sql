-- The least privileges of a gateway on Postgres, Keydesk's own (`keydesk gateway`) or another. The role can admit and settle
-- requests. It cannot read people, sessions, the audit or the table of secrets, and cannot change a key, a limit or a price.
--
-- Run it as the owner of the tables, in Keydesk's schema, after `keydesk migrate` and after each update of Keydesk. It can run
-- repeatedly. Then create a login for each gateway:
--
--   psql "$KEYDESK_DATABASE_URL" -v ON_ERROR_STOP=1 -f gateway_role.sql
--   CREATE ROLE gateway_1 LOGIN PASSWORD '…' IN ROLE keydesk_gateway;

DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'keydesk_gateway') THEN
    CREATE ROLE keydesk_gateway NOLOGIN;
  END IF;
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO keydesk_gateway', current_schema());
  -- A role that can create functions in this schema can have them called with the owner's rights. Postgres before version 15
  -- allows that to everyone.
  EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC, keydesk_gateway', current_schema());
END $$;

-- Reading: the views run with the rights of their owner.
GRANT SELECT ON gateway_keys_v1, gateway_models_v1, gateway_prices_v1, gateway_providers_v1, gateway_contacts_v1,
  gateway_model_providers_v1
  TO keydesk_gateway;

-- Money and limits are only written by functions.
GRANT EXECUTE ON FUNCTION
  keydesk_midnight_v1, keydesk_windows_v1, keydesk_limits_v1, keydesk_limits_v2, keydesk_limits_v3,
  keydesk_reserve_v1, keydesk_reserve_v2, keydesk_reserve_v3, keydesk_renew_v1,
  keydesk_settle_v1, keydesk_settle_v2, keydesk_settle_v3, keydesk_settle_v4, keydesk_settle_batch_v1,
  keydesk_release_v1
  TO keydesk_gateway;

-- Shown on a key's page: the last use of the key and of its secrets, and its rejections.
GRANT SELECT, INSERT, UPDATE ON rejections TO keydesk_gateway;
GRANT SELECT (id, last_used_at), UPDATE (last_used_at) ON keys TO keydesk_gateway;
GRANT SELECT (id, first_used_at, last_used_at), UPDATE (first_used_at, last_used_at) ON key_secrets TO keydesk_gateway;

-- Shown at a provider: how requests to it went.
GRANT SELECT, INSERT, UPDATE ON provider_failures, provider_health TO keydesk_gateway;

-- Only for `keydesk gateway`, which describes a key to its user, lists models, and checks the schema's version and whether the
-- database can be written.
GRANT SELECT ON models, model_providers, counters, reservations TO keydesk_gateway;
GRANT SELECT (id, model_id, starts_at, origin, source, tariff, withdrawn_at) ON prices TO keydesk_gateway;
GRANT SELECT (request_id, key_id, org_id, cost, is_priced) ON usage TO keydesk_gateway;
GRANT SELECT (org_id, holder_kind, holder_id, period, amount, ends_at) ON grants TO keydesk_gateway;

-- Only for `keydesk gateway`, too: where requests are sent, the sealed API keys, which only a process with the provider key can
-- open, and whether a provider has ever answered.
GRANT SELECT ON providers, provider_keys TO keydesk_gateway;
GRANT UPDATE (connected_at) ON providers TO keydesk_gateway;

GRANT SELECT (version, success, checksum) ON _sqlx_migrations TO keydesk_gateway;
GRANT UPDATE (written_at, padding) ON readiness TO keydesk_gateway;

-- Only for `keydesk gateway`, too: its own row as a node, and the version of the configuration that it looks at.
GRANT SELECT, INSERT, UPDATE, DELETE ON gateway_nodes TO keydesk_gateway;
GRANT SELECT ON config_version, config_changes TO keydesk_gateway;
