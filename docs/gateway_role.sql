-- The least a gateway needs on Postgres, Keydesk's own (`keydesk gateway`) or another: a role that can let requests in and write
-- what they used, and that cannot read people, sessions, the audit or the table of secrets, nor change a key, a limit or a price.
--
-- Run it as the owner of the tables, in Keydesk's schema, after `keydesk migrate`; and again after an update of Keydesk. It can be
-- run as often as you like. Then make a login for each gateway:
--
--   psql "$KEYDESK_DATABASE_URL" -v ON_ERROR_STOP=1 -f gateway_role.sql
--   CREATE ROLE gateway_1 LOGIN PASSWORD '…' IN ROLE keydesk_gateway;

DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'keydesk_gateway') THEN
    CREATE ROLE keydesk_gateway NOLOGIN;
  END IF;
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO keydesk_gateway', current_schema());
  -- Whoever can make functions in this schema can have them called with the owner's rights. Older databases let everybody.
  EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC, keydesk_gateway', current_schema());
END $$;

-- What it reads: views, with the rights of their owner.
GRANT SELECT ON gateway_keys_v1, gateway_models_v1, gateway_contacts_v1 TO keydesk_gateway;

-- What it writes about money and limits, by functions alone.
GRANT EXECUTE ON FUNCTION
  keydesk_midnight_v1, keydesk_windows_v1, keydesk_limits_v1,
  keydesk_reserve_v1, keydesk_renew_v1, keydesk_settle_v1, keydesk_release_v1
  TO keydesk_gateway;

-- What people see on a key's page: when it was last used, and what was refused.
GRANT SELECT, INSERT, UPDATE ON rejections TO keydesk_gateway;
GRANT SELECT (id, last_used_at), UPDATE (last_used_at) ON keys TO keydesk_gateway;

-- What `keydesk gateway` looks at besides, to answer a key about itself, to list models, and to know its schema. No gateway of another make needs
-- these.
GRANT SELECT ON models, counters, reservations TO keydesk_gateway;
GRANT SELECT (request_id, cost) ON usage TO keydesk_gateway;
GRANT SELECT (id, retired_at) ON providers TO keydesk_gateway;
GRANT SELECT (success) ON _sqlx_migrations TO keydesk_gateway;
