-- Several providers of one model, what each of them answered to this installation, and the attempts of requests.

-- The share of the provider in `provider_id`, which is the first. 0 is asked only when no other one answers.
ALTER TABLE models ADD COLUMN weight BIGINT NOT NULL DEFAULT 1 CHECK (weight BETWEEN 0 AND 100);

-- Further providers of a model.
CREATE TABLE model_providers (
  model_id TEXT NOT NULL REFERENCES models (id),
  provider_id TEXT NOT NULL REFERENCES providers (id),
  weight BIGINT NOT NULL CHECK (weight BETWEEN 0 AND 100),
  -- What it calls the model; empty is the same id.
  upstream_name TEXT NOT NULL,
  PRIMARY KEY (model_id, provider_id)
);

-- What went wrong at a provider, counted by kind: the newest one's words, without secrets. The count begins anew after a day
-- without one.
CREATE TABLE provider_failures (
  provider_id TEXT NOT NULL REFERENCES providers (id),
  kind TEXT NOT NULL,
  times BIGINT NOT NULL,
  first_at BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  -- HTTP status; 0 without an answer.
  status BIGINT NOT NULL,
  words TEXT NOT NULL,
  model_id TEXT NOT NULL,
  request_id TEXT NOT NULL,
  PRIMARY KEY (provider_id, kind)
);

-- How requests to a provider went last. It fails while `failed_at` is later than `answered_at`; 0 is never.
CREATE TABLE provider_health (
  provider_id TEXT NOT NULL PRIMARY KEY REFERENCES providers (id),
  answered_at BIGINT NOT NULL,
  failed_at BIGINT NOT NULL,
  -- The first failure after the last answer.
  failing_since BIGINT NOT NULL,
  -- The kind of the last failure; empty is none.
  kind TEXT NOT NULL
);

-- To whom a request was sent, of models with several providers. The last attempt's use is the request's.
CREATE TABLE request_attempts (
  request_id TEXT NOT NULL,
  number BIGINT NOT NULL,
  org_id TEXT NOT NULL,
  provider_id TEXT NOT NULL,
  -- Its name at the time.
  provider_name TEXT NOT NULL,
  began_at BIGINT NOT NULL,
  latency_ms BIGINT NOT NULL,
  -- HTTP status; 0 without an answer.
  status BIGINT NOT NULL,
  -- What went wrong, as in `provider_failures`; empty is nothing.
  kind TEXT NOT NULL,
  PRIMARY KEY (request_id, number)
);

-- For gateways: every provider of a model that is in use, the first one too.
CREATE VIEW gateway_model_providers_v1 AS
  SELECT m.id AS model_id, s.provider_id, s.is_first, s.weight, s.upstream_name, p.name AS provider_name, p.kind, p.base_url,
    p.credential_env, p.connect_ms, p.idle_ms, p.whole_ms, p.on_disconnect,
    COALESCE(p.api_path, CASE p.kind WHEN 'gemini' THEN '/v1beta' ELSE '/v1' END) AS api_path,
    p.query, p.credential_header, p.headers, p.omitted, p.stored_key
  FROM models m
  JOIN (SELECT id AS model_id, provider_id, CAST(1 AS BIGINT) AS is_first, weight, upstream_name FROM models
    UNION ALL SELECT model_id, provider_id, CAST(0 AS BIGINT), weight, upstream_name FROM model_providers) s ON s.model_id = m.id
  JOIN providers p ON p.id = s.provider_id AND p.retired_at IS NULL
  WHERE m.retired_at IS NULL;

-- Alerts about providers, for operators.
ALTER TABLE alerts DROP CONSTRAINT alerts_kind_check;
ALTER TABLE alerts ADD CONSTRAINT alerts_kind_check
  CHECK (kind IN ('budget', 'balance', 'expiry', 'rotation', 'rejections', 'spike', 'provider'));
ALTER TABLE alerts DROP CONSTRAINT alerts_subject_kind_check;
ALTER TABLE alerts ADD CONSTRAINT alerts_subject_kind_check CHECK (subject_kind IN ('key', 'team', 'org', 'provider'));
