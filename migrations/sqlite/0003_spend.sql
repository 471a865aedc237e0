-- What was used and what it cost, in nano-dollars. A request's row, its counters and its day's roll-up are written in
-- one transaction. A window is part of its counter's key, so nothing is ever reset and nothing is lost at midnight.

CREATE TABLE usage (
  request_id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  key_id TEXT NOT NULL REFERENCES keys (id),
  secret_id TEXT NOT NULL REFERENCES key_secrets (id),
  team_id TEXT REFERENCES teams (id),
  model_id TEXT NOT NULL,
  route TEXT NOT NULL,
  status INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL CHECK (input_tokens >= 0),
  output_tokens INTEGER NOT NULL CHECK (output_tokens >= 0),
  cached_tokens INTEGER NOT NULL CHECK (cached_tokens >= 0),
  cost INTEGER NOT NULL CHECK (cost >= 0),
  started_at INTEGER NOT NULL,
  latency_ms INTEGER NOT NULL,
  first_byte_ms INTEGER,
  address TEXT NOT NULL,
  user_agent TEXT NOT NULL
) STRICT;
CREATE INDEX usage_by_key ON usage (key_id, started_at);
CREATE INDEX usage_by_org ON usage (org_id, started_at);

CREATE TABLE counters (
  holder_kind TEXT NOT NULL CHECK (holder_kind IN ('key', 'team', 'org')),
  holder_id TEXT NOT NULL,
  period TEXT NOT NULL CHECK (period IN ('total', 'month', 'week', 'day')),
  window_start INTEGER NOT NULL,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  spent INTEGER NOT NULL CHECK (spent >= 0),
  reserved INTEGER NOT NULL CHECK (reserved >= 0),
  requests INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  PRIMARY KEY (holder_kind, holder_id, period, window_start)
) STRICT;
CREATE INDEX counters_by_spend ON counters (org_id, holder_kind, period, window_start, spent, holder_id);

CREATE TABLE reservations (
  request_id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  key_id TEXT NOT NULL REFERENCES keys (id),
  team_id TEXT REFERENCES teams (id),
  amount INTEGER NOT NULL CHECK (amount >= 0),
  reserved_at INTEGER NOT NULL,
  ends_at INTEGER NOT NULL
) STRICT;
CREATE INDEX reservations_by_end ON reservations (ends_at);

-- Days are those of the organisation's time zone. A key that moves between teams keeps each day under the team it was in.
CREATE TABLE spend_daily (
  key_id TEXT NOT NULL REFERENCES keys (id),
  day TEXT NOT NULL,
  model_id TEXT NOT NULL,
  team_id TEXT NOT NULL,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  requests INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  cost INTEGER NOT NULL,
  PRIMARY KEY (key_id, day, model_id, team_id)
) STRICT;
CREATE INDEX spend_daily_by_org ON spend_daily (org_id, day);
