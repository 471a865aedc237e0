-- The gateway: where models are served and what they cost, what requests under way hold, how fast keys and teams go, and
-- what an organisation has left to spend.

CREATE TABLE providers (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  -- Whose protocol it speaks.
  kind TEXT NOT NULL CHECK (kind IN ('openai', 'anthropic', 'gemini')),
  base_url TEXT NOT NULL,
  -- The environment variable that holds its credential; empty is none. The credential itself is nowhere in here.
  credential_env TEXT NOT NULL,
  connect_ms BIGINT NOT NULL CHECK (connect_ms > 0),
  -- The longest wait for its next byte, and for the whole answer.
  idle_ms BIGINT NOT NULL CHECK (idle_ms > 0),
  whole_ms BIGINT NOT NULL CHECK (whole_ms > 0),
  created_at BIGINT NOT NULL,
  retired_at BIGINT,
  version BIGINT NOT NULL
);
CREATE UNIQUE INDEX providers_name_unique ON providers (name) WHERE retired_at IS NULL;

-- Where requests for a model go. `provider` stays what people read.
ALTER TABLE models ADD COLUMN provider_id TEXT REFERENCES providers (id);
-- What the provider calls it; empty is the same.
ALTER TABLE models ADD COLUMN upstream_name TEXT NOT NULL DEFAULT '';
-- Output tokens that are held for a request which names no maximum itself.
ALTER TABLE models ADD COLUMN output_held BIGINT NOT NULL DEFAULT 1000 CHECK (output_held > 0);
ALTER TABLE models ADD COLUMN version BIGINT NOT NULL DEFAULT 1;

-- 1 when the provider told no numbers, or the client hung up before it did.
ALTER TABLE usage ADD COLUMN estimated BIGINT NOT NULL DEFAULT 0 CHECK (estimated IN (0, 1));

-- Requests under way. What they hold is the sum of these rows and nothing else, and a row counts until `ends_at`, which its
-- gateway moves on while it lives: nothing that a dead one held stays held. Rows live for minutes, so they point at nothing.
DROP TABLE reservations;
CREATE TABLE reservations (
  request_id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL,
  key_id TEXT NOT NULL,
  team_id TEXT,
  secret_id TEXT NOT NULL,
  model_id TEXT NOT NULL,
  -- The most it may cost, and the most tokens it may use.
  amount BIGINT NOT NULL CHECK (amount >= 0),
  tokens BIGINT NOT NULL CHECK (tokens >= 0),
  reserved_at BIGINT NOT NULL,
  ends_at BIGINT NOT NULL
);
CREATE INDEX reservations_by_org ON reservations (org_id, ends_at);
ALTER TABLE counters DROP COLUMN reserved;

-- Requests and tokens by the second, kept for two minutes, of keys and teams with such a limit.
CREATE TABLE rate_counts (
  holder_kind TEXT NOT NULL CHECK (holder_kind IN ('key', 'team')),
  holder_id TEXT NOT NULL,
  -- Seconds since 1970 UTC.
  second BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  tokens BIGINT NOT NULL,
  PRIMARY KEY (holder_kind, holder_id, second)
);

-- What was paid in and taken out. With what was spent since, it is the balance. `opening` sets what was spent before to rights.
CREATE TABLE ledger (
  org_id TEXT NOT NULL REFERENCES orgs (id),
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('opening', 'credit', 'debit')),
  -- Below zero for a debit.
  amount BIGINT NOT NULL,
  note TEXT NOT NULL,
  actor_id TEXT NOT NULL,
  actor_name TEXT NOT NULL,
  PRIMARY KEY (org_id, seq)
);
CREATE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  RAISE EXCEPTION 'the ledger is append-only';
END $$;
CREATE TRIGGER ledger_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only();
-- Since when requests are refused at a balance of nothing; NULL is never.
ALTER TABLE orgs ADD COLUMN balance_enforced_at BIGINT;

-- What gateways read. Columns are only ever added; what must change gets a new number.
CREATE VIEW gateway_keys_v1 AS
  SELECT s.hash, s.id AS secret_id, s.ends_at AS secret_ends_at, s.last_four,
    k.id AS key_id, k.name AS key_name, k.status, k.status_at, k.expires_at, k.addresses,
    o.id AS org_id, o.name AS org_name, o.zone AS org_zone, o.suspended_at AS org_suspended_at,
    t.id AS team_id, t.name AS team_name, t.archived_at AS team_archived_at,
    k.model_scope AS key_scope,
    (SELECT string_agg(pattern, chr(10)) FROM scopes WHERE holder_kind = 'key' AND holder_id = k.id) AS key_patterns,
    t.model_scope AS team_scope,
    (SELECT string_agg(pattern, chr(10)) FROM scopes WHERE holder_kind = 'team' AND holder_id = k.team_id) AS team_patterns,
    o.model_scope AS org_scope,
    (SELECT string_agg(pattern, chr(10)) FROM scopes WHERE holder_kind = 'org' AND holder_id = k.org_id) AS org_patterns
  FROM key_secrets s
  JOIN keys k ON k.id = s.key_id
  JOIN orgs o ON o.id = k.org_id
  LEFT JOIN teams t ON t.id = k.team_id;

CREATE VIEW gateway_models_v1 AS
  SELECT m.id, m.provider, m.input_price, m.output_price, m.cached_price, m.upstream_name, m.output_held,
    p.id AS provider_id, p.name AS provider_name, p.kind, p.base_url, p.credential_env, p.connect_ms, p.idle_ms, p.whole_ms
  FROM models m
  LEFT JOIN providers p ON p.id = m.provider_id AND p.retired_at IS NULL
  WHERE m.retired_at IS NULL;

-- Whom the holder of a key asks: names alone.
CREATE VIEW gateway_asks_v1 AS
  SELECT k.id AS key_id, 'team admin' AS role, p.name
  FROM keys k
  JOIN team_members t ON t.team_id = k.team_id AND t.role = 'admin'
  JOIN memberships m ON m.org_id = k.org_id AND m.person_id = t.person_id AND m.disabled_at IS NULL
  JOIN people p ON p.id = t.person_id AND p.disabled_at IS NULL
  UNION ALL
  SELECT k.id, 'owner', p.name
  FROM keys k
  JOIN memberships m ON m.org_id = k.org_id AND m.role = 'owner' AND m.disabled_at IS NULL
  JOIN people p ON p.id = m.person_id AND p.disabled_at IS NULL;
