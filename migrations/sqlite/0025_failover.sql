-- Several providers of one model, what each of them answered to this installation, and the attempts of requests.

-- The share of the provider in `provider_id`, which is the first. 0 is asked only when no other one answers.
ALTER TABLE models ADD COLUMN weight INTEGER NOT NULL DEFAULT 1 CHECK (weight BETWEEN 0 AND 100);

-- Further providers of a model.
CREATE TABLE model_providers (
  model_id TEXT NOT NULL REFERENCES models (id),
  provider_id TEXT NOT NULL REFERENCES providers (id),
  weight INTEGER NOT NULL CHECK (weight BETWEEN 0 AND 100),
  -- What it calls the model; empty is the same id.
  upstream_name TEXT NOT NULL,
  PRIMARY KEY (model_id, provider_id)
) STRICT;

-- What went wrong at a provider, counted by kind: the newest one's words, without secrets. The count begins anew after a day
-- without one.
CREATE TABLE provider_failures (
  provider_id TEXT NOT NULL REFERENCES providers (id),
  kind TEXT NOT NULL,
  times INTEGER NOT NULL,
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  -- HTTP status; 0 without an answer.
  status INTEGER NOT NULL,
  words TEXT NOT NULL,
  model_id TEXT NOT NULL,
  request_id TEXT NOT NULL,
  PRIMARY KEY (provider_id, kind)
) STRICT;

-- How requests to a provider went last. It fails while `failed_at` is later than `answered_at`; 0 is never.
CREATE TABLE provider_health (
  provider_id TEXT NOT NULL PRIMARY KEY REFERENCES providers (id),
  answered_at INTEGER NOT NULL,
  failed_at INTEGER NOT NULL,
  -- The first failure after the last answer.
  failing_since INTEGER NOT NULL,
  -- The kind of the last failure; empty is none.
  kind TEXT NOT NULL
) STRICT;

-- To whom a request was sent, of models with several providers. The last attempt's use is the request's.
CREATE TABLE request_attempts (
  request_id TEXT NOT NULL,
  number INTEGER NOT NULL,
  org_id TEXT NOT NULL,
  provider_id TEXT NOT NULL,
  -- Its name at the time.
  provider_name TEXT NOT NULL,
  began_at INTEGER NOT NULL,
  latency_ms INTEGER NOT NULL,
  -- HTTP status; 0 without an answer.
  status INTEGER NOT NULL,
  -- What went wrong, as in `provider_failures`; empty is nothing.
  kind TEXT NOT NULL,
  PRIMARY KEY (request_id, number)
) STRICT;

-- For gateways: every provider of a model that is in use, the first one too.
CREATE VIEW gateway_model_providers_v1 AS
  SELECT m.id AS model_id, s.provider_id, s.is_first, s.weight, s.upstream_name, p.name AS provider_name, p.kind, p.base_url,
    p.credential_env, p.connect_ms, p.idle_ms, p.whole_ms, p.on_disconnect,
    COALESCE(p.api_path, CASE p.kind WHEN 'gemini' THEN '/v1beta' ELSE '/v1' END) AS api_path,
    p.query, p.credential_header, p.headers, p.omitted, p.stored_key
  FROM models m
  JOIN (SELECT id AS model_id, provider_id, 1 AS is_first, weight, upstream_name FROM models
    UNION ALL SELECT model_id, provider_id, 0, weight, upstream_name FROM model_providers) s ON s.model_id = m.id
  JOIN providers p ON p.id = s.provider_id AND p.retired_at IS NULL
  WHERE m.retired_at IS NULL;

-- Alerts about providers, for operators. A CHECK cannot be changed, so the table is made again, and what refers to it.
CREATE TABLE alerts_new (
  id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  kind TEXT NOT NULL CHECK (kind IN ('budget', 'balance', 'expiry', 'rotation', 'rejections', 'spike', 'provider')),
  subject_kind TEXT NOT NULL CHECK (subject_kind IN ('key', 'team', 'org', 'provider')),
  subject_id TEXT NOT NULL,
  -- What was crossed, with its window: 'budget/key/key_1/month/1793487600000/10000000000'.
  crossing TEXT NOT NULL,
  -- Percent of a budget or balance, days before an end, otherwise 0.
  threshold INTEGER NOT NULL,
  -- JSON: the numbers that the alert's sentence is made of.
  facts TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
INSERT INTO alerts_new SELECT * FROM alerts;
CREATE TABLE alert_deliveries_new (
  id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  -- NULL is a test of a channel.
  alert_id TEXT REFERENCES alerts_new (id),
  via TEXT NOT NULL CHECK (via IN ('inbox', 'mail', 'webhook')),
  person_id TEXT REFERENCES people (id),
  channel_id TEXT REFERENCES alert_channels (id),
  -- 'failed' is tried again.
  state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'failed', 'given_up')),
  attempts INTEGER NOT NULL,
  next_at INTEGER NOT NULL,
  -- Until then a worker has it.
  leased_until INTEGER NOT NULL,
  -- A word for why the last attempt failed; empty without one.
  last_error TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  -- When it was sent or given up.
  done_at INTEGER,
  read_at INTEGER
) STRICT;
INSERT INTO alert_deliveries_new SELECT * FROM alert_deliveries;
DROP TABLE alert_deliveries;
DROP TABLE alerts;
ALTER TABLE alerts_new RENAME TO alerts;
ALTER TABLE alert_deliveries_new RENAME TO alert_deliveries;
CREATE UNIQUE INDEX alerts_crossing_unique ON alerts (crossing, threshold);
CREATE INDEX alerts_by_age ON alerts (created_at);
CREATE INDEX alert_deliveries_due ON alert_deliveries (next_at) WHERE state IN ('pending', 'failed');
CREATE INDEX alert_deliveries_inbox ON alert_deliveries (person_id, org_id, id) WHERE via = 'inbox';
CREATE INDEX alert_deliveries_unread ON alert_deliveries (person_id, org_id) WHERE via = 'inbox' AND read_at IS NULL;
CREATE INDEX alert_deliveries_mailed ON alert_deliveries (person_id, org_id, done_at) WHERE via = 'mail';
CREATE INDEX alert_deliveries_log ON alert_deliveries (org_id, id) WHERE via <> 'inbox';
CREATE INDEX alert_deliveries_by_alert ON alert_deliveries (alert_id);
