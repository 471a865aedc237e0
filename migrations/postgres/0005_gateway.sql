-- The gateway: providers and models, reservations of requests in progress, request rates, rejections, and the views that
-- gateways read.

CREATE TABLE providers (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  -- The protocol it speaks.
  kind TEXT NOT NULL CHECK (kind IN ('openai', 'anthropic', 'gemini')),
  base_url TEXT NOT NULL,
  -- The environment variable with its credential; empty is none. The credential itself is not stored.
  credential_env TEXT NOT NULL,
  connect_ms BIGINT NOT NULL CHECK (connect_ms > 0),
  -- The longest wait for the next byte, and for the whole answer.
  idle_ms BIGINT NOT NULL CHECK (idle_ms > 0),
  whole_ms BIGINT NOT NULL CHECK (whole_ms > 0),
  created_at BIGINT NOT NULL,
  retired_at BIGINT,
  version BIGINT NOT NULL
);
CREATE UNIQUE INDEX providers_name_unique ON providers (name) WHERE retired_at IS NULL;

-- Prices are nano-dollars per million tokens.
CREATE TABLE models (
  id TEXT NOT NULL PRIMARY KEY,
  -- The provider's name for display; `provider_id` is where requests go.
  provider TEXT NOT NULL,
  provider_id TEXT REFERENCES providers (id),
  -- The provider's id of the model; empty is the same id.
  upstream_name TEXT NOT NULL,
  input_price BIGINT NOT NULL CHECK (input_price >= 0),
  output_price BIGINT NOT NULL CHECK (output_price >= 0),
  cached_price BIGINT NOT NULL CHECK (cached_price >= 0),
  -- Output tokens to reserve for a request without a maximum of its own.
  default_output_tokens BIGINT NOT NULL DEFAULT 1000 CHECK (default_output_tokens > 0),
  created_at BIGINT NOT NULL,
  retired_at BIGINT,
  version BIGINT NOT NULL DEFAULT 1
);

-- Requests in progress. The reserved amount is the sum of these rows and nothing else. A row counts until `expires_at`,
-- which its gateway extends while it runs, so a reservation of a crashed gateway soon ends. Rows last minutes, so they have
-- no foreign keys.
CREATE TABLE reservations (
  request_id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL,
  key_id TEXT NOT NULL,
  team_id TEXT,
  secret_id TEXT NOT NULL,
  model_id TEXT NOT NULL,
  -- The most the request may cost, in nano-dollars, and the most tokens it may use.
  amount BIGINT NOT NULL CHECK (amount >= 0),
  tokens BIGINT NOT NULL CHECK (tokens >= 0),
  reserved_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX reservations_by_org ON reservations (org_id, expires_at);

-- Requests and tokens per second of keys and teams with such a limit, kept for two minutes.
CREATE TABLE rate_counts (
  holder_kind TEXT NOT NULL CHECK (holder_kind IN ('key', 'team')),
  holder_id TEXT NOT NULL,
  -- Seconds since 1970 UTC.
  second BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  tokens BIGINT NOT NULL,
  PRIMARY KEY (holder_kind, holder_id, second)
);

-- Rejected requests of known keys, counted per minute, gate, reason and model, so that repeated ones share a row.
CREATE TABLE rejections (
  key_id TEXT NOT NULL REFERENCES keys (id),
  -- Minutes since 1970 UTC.
  minute BIGINT NOT NULL,
  gate TEXT NOT NULL,
  reason TEXT NOT NULL,
  -- Empty is no model.
  model_id TEXT NOT NULL,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  times BIGINT NOT NULL,
  first_at BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  -- Of the newest request.
  route TEXT NOT NULL,
  address TEXT NOT NULL,
  request_id TEXT NOT NULL,
  PRIMARY KEY (key_id, minute, gate, reason, model_id)
);
CREATE INDEX rejections_by_org ON rejections (org_id, last_at);
CREATE INDEX rejections_by_age ON rejections (last_at);

-- The views are a contract with gateways: columns are only ever added, and an incompatible change gets a new version number.
CREATE VIEW gateway_keys_v1 AS
  SELECT s.hash, s.id AS secret_id, s.expires_at AS secret_expires_at, s.last_four,
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
  SELECT m.id, m.provider, m.input_price, m.output_price, m.cached_price, m.upstream_name, m.default_output_tokens,
    p.id AS provider_id, p.name AS provider_name, p.kind, p.base_url, p.credential_env, p.connect_ms, p.idle_ms, p.whole_ms
  FROM models m
  LEFT JOIN providers p ON p.id = m.provider_id AND p.retired_at IS NULL
  WHERE m.retired_at IS NULL;

-- The contacts that an answer to a key's user can name: only names, no addresses.
CREATE VIEW gateway_contacts_v1 AS
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
