-- Usage, its counters and daily totals, and the ledger. Amounts are nano-dollars. A request's row, its counters and its
-- daily total are written in one transaction, so they always agree.

CREATE TABLE usage (
  request_id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  key_id TEXT NOT NULL REFERENCES keys (id),
  secret_id TEXT NOT NULL REFERENCES key_secrets (id),
  team_id TEXT REFERENCES teams (id),
  -- The key's owner when the request was made: a later change of owner does not move past spend.
  owner_id TEXT NOT NULL REFERENCES people (id),
  model_id TEXT NOT NULL,
  route TEXT NOT NULL,
  status BIGINT NOT NULL,
  input_tokens BIGINT NOT NULL CHECK (input_tokens >= 0),
  output_tokens BIGINT NOT NULL CHECK (output_tokens >= 0),
  cached_tokens BIGINT NOT NULL CHECK (cached_tokens >= 0),
  cost BIGINT NOT NULL CHECK (cost >= 0),
  -- 1 when the provider reported no token counts, or the client disconnected before it did.
  estimated BIGINT NOT NULL CHECK (estimated IN (0, 1)),
  started_at BIGINT NOT NULL,
  latency_ms BIGINT NOT NULL,
  first_byte_ms BIGINT,
  address TEXT NOT NULL,
  user_agent TEXT NOT NULL
);
CREATE INDEX usage_by_key ON usage (key_id, started_at);
CREATE INDEX usage_by_org ON usage (org_id, started_at);
CREATE INDEX usage_by_owner ON usage (org_id, owner_id, started_at);

-- The window is part of the key, so no counter is ever reset and no request at midnight is lost.
CREATE TABLE counters (
  holder_kind TEXT NOT NULL CHECK (holder_kind IN ('key', 'team', 'org')),
  holder_id TEXT NOT NULL,
  period TEXT NOT NULL CHECK (period IN ('total', 'month', 'week', 'day')),
  window_start BIGINT NOT NULL,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  spent BIGINT NOT NULL CHECK (spent >= 0),
  requests BIGINT NOT NULL,
  tokens BIGINT NOT NULL,
  PRIMARY KEY (holder_kind, holder_id, period, window_start)
);
CREATE INDEX counters_by_spend ON counters (org_id, holder_kind, period, window_start, spent, holder_id);

-- Days are in the organisation's time zone. Team and owner are the key's at the time of the request, so a key that moves
-- keeps its past days where they were.
CREATE TABLE spend_daily (
  key_id TEXT NOT NULL REFERENCES keys (id),
  day TEXT NOT NULL,
  model_id TEXT NOT NULL,
  -- Empty is no team.
  team_id TEXT NOT NULL,
  owner_id TEXT NOT NULL,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  requests BIGINT NOT NULL,
  input_tokens BIGINT NOT NULL,
  output_tokens BIGINT NOT NULL,
  cached_tokens BIGINT NOT NULL,
  cost BIGINT NOT NULL,
  PRIMARY KEY (key_id, day, model_id, team_id, owner_id)
);
CREATE INDEX spend_daily_by_org ON spend_daily (org_id, day);
CREATE INDEX spend_daily_by_owner ON spend_daily (org_id, owner_id, day);

-- Payments in and out. The balance is their sum less what was spent; 'opening' offsets what was spent before the first entry.
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
-- Append-only: a correction is another entry.
CREATE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the ledger is append-only';
END $$;
CREATE TRIGGER ledger_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only();
