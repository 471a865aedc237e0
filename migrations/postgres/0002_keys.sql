-- Keys, their secrets, and what they may do. `holder` is a key, a team or an organisation.

CREATE TABLE keys (
  seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id TEXT NOT NULL,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  team_id TEXT REFERENCES teams (id),
  owner_id TEXT NOT NULL REFERENCES people (id),
  name TEXT NOT NULL,
  -- The name in lower case (of all scripts, made by the program), for search, order and uniqueness.
  name_folded TEXT COLLATE "C" NOT NULL,
  note TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('active', 'disabled', 'expired', 'revoked')),
  status_at BIGINT NOT NULL,
  status_by TEXT,
  prefix TEXT NOT NULL,
  last_four TEXT NOT NULL,
  model_scope TEXT NOT NULL CHECK (model_scope IN ('every', 'listed')),
  -- Networks in CIDR form, one a line; empty is any address.
  addresses TEXT NOT NULL,
  rpm BIGINT CHECK (rpm > 0),
  tpm BIGINT CHECK (tpm > 0),
  parallel BIGINT CHECK (parallel > 0),
  expires_at BIGINT,
  created_at BIGINT NOT NULL,
  created_by TEXT,
  last_used_at BIGINT,
  version BIGINT NOT NULL
);
CREATE UNIQUE INDEX keys_id_unique ON keys (id);
CREATE UNIQUE INDEX keys_name_unique ON keys (org_id, COALESCE(team_id, ''), name_folded) WHERE status IN ('active', 'disabled');

-- Lists page by (org, order, seq). What is not revoked is what people look at, so it has indexes of its own.
CREATE INDEX keys_live_by_created ON keys (org_id, seq) WHERE status <> 'revoked';
CREATE INDEX keys_live_by_name ON keys (org_id, name_folded, seq) WHERE status <> 'revoked';
CREATE INDEX keys_live_by_used ON keys (org_id, COALESCE(last_used_at, 0), seq) WHERE status <> 'revoked';
CREATE INDEX keys_live_by_expiry ON keys (org_id, COALESCE(expires_at, 9007199254740991), seq) WHERE status <> 'revoked';
CREATE INDEX keys_by_status ON keys (org_id, status, seq);
CREATE INDEX keys_by_status_name ON keys (org_id, status, name_folded, seq);
CREATE INDEX keys_by_team ON keys (org_id, team_id, seq);
CREATE INDEX keys_by_owner ON keys (owner_id, seq);
-- For the sweep that marks what has expired.
CREATE INDEX keys_to_expire ON keys (expires_at) WHERE status IN ('active', 'disabled') AND expires_at IS NOT NULL;

CREATE TABLE key_secrets (
  id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  key_id TEXT NOT NULL REFERENCES keys (id),
  -- SHA-256 of the whole secret. The secret itself is nowhere.
  hash BYTEA NOT NULL,
  prefix TEXT NOT NULL,
  last_four TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  -- When a rotation ends this secret; the row stays, so that an old secret can be told what it was.
  ends_at BIGINT
);
CREATE UNIQUE INDEX key_secrets_hash_unique ON key_secrets (hash);
CREATE INDEX key_secrets_key ON key_secrets (key_id, created_at);
CREATE INDEX key_secrets_last_four ON key_secrets (org_id, last_four, key_id);

-- Model ids, or patterns in which * stands for any run of characters.
CREATE TABLE scopes (
  holder_kind TEXT NOT NULL CHECK (holder_kind IN ('key', 'team', 'org')),
  holder_id TEXT NOT NULL,
  pattern TEXT NOT NULL,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  PRIMARY KEY (holder_kind, holder_id, pattern)
);

-- Amounts are nano-dollars.
CREATE TABLE budgets (
  holder_kind TEXT NOT NULL CHECK (holder_kind IN ('key', 'team', 'org')),
  holder_id TEXT NOT NULL,
  period TEXT NOT NULL CHECK (period IN ('total', 'month', 'week', 'day')),
  org_id TEXT NOT NULL REFERENCES orgs (id),
  amount BIGINT NOT NULL CHECK (amount > 0),
  PRIMARY KEY (holder_kind, holder_id, period)
);

-- Prices are nano-dollars for a million tokens.
CREATE TABLE models (
  id TEXT NOT NULL PRIMARY KEY,
  provider TEXT NOT NULL,
  input_price BIGINT NOT NULL CHECK (input_price >= 0),
  output_price BIGINT NOT NULL CHECK (output_price >= 0),
  cached_price BIGINT NOT NULL CHECK (cached_price >= 0),
  created_at BIGINT NOT NULL,
  retired_at BIGINT
);
