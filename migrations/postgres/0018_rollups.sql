-- Roll-ups of usage by hour, day and month for reports, tags, marks of budgets that are nearly or wholly used, and the checks of
-- all of it against the requests. A settlement writes them in its own transaction.

-- The organisation's local hour when the request was made, '2026-11-28T13': its day is the first 10 characters and its month the
-- first 7. It stays when the time zone changes. NULL in rows of before, until the program has filled it in.
ALTER TABLE usage ADD COLUMN booked TEXT;
-- The name of the model's provider at that time; empty when it is unknown.
ALTER TABLE usage ADD COLUMN provider TEXT NOT NULL DEFAULT '';
-- One per line; empty is none.
ALTER TABLE usage ADD COLUMN tags TEXT NOT NULL DEFAULT '';
CREATE INDEX usage_not_booked ON usage (org_id, started_at) WHERE booked IS NULL;

-- The daily totals by provider too.
ALTER TABLE spend_daily ADD COLUMN provider TEXT NOT NULL DEFAULT '';
UPDATE spend_daily SET provider = m.provider FROM models m WHERE m.id = spend_daily.model_id;
ALTER TABLE spend_daily ALTER COLUMN provider DROP DEFAULT;
ALTER TABLE spend_daily DROP CONSTRAINT spend_daily_pkey;
ALTER TABLE spend_daily ADD PRIMARY KEY (key_id, day, model_id, provider, team_id, owner_id);
CREATE INDEX spend_daily_by_team ON spend_daily (org_id, team_id, day);

-- What each holder used by time and model, so that no report adds up requests. 'owner' is the key's owner at the time.
CREATE TABLE rollups (
  org_id TEXT NOT NULL REFERENCES orgs (id),
  holder_kind TEXT NOT NULL CHECK (holder_kind IN ('org', 'team', 'owner', 'key')),
  holder_id TEXT NOT NULL,
  grain TEXT NOT NULL CHECK (grain IN ('hour', 'day', 'month')),
  -- '2026-11-28T13', '2026-11-28' or '2026-11'.
  bucket TEXT NOT NULL,
  model_id TEXT NOT NULL,
  provider TEXT NOT NULL,
  requests BIGINT NOT NULL,
  input_tokens BIGINT NOT NULL,
  output_tokens BIGINT NOT NULL,
  cached_tokens BIGINT NOT NULL,
  cost BIGINT NOT NULL,
  PRIMARY KEY (holder_kind, holder_id, grain, bucket, model_id, provider)
);
CREATE INDEX rollups_by_bucket ON rollups (org_id, holder_kind, grain, bucket);

-- Days and months of before. The program fills in the hours, which only the requests' rows tell.
INSERT INTO rollups (org_id, holder_kind, holder_id, grain, bucket, model_id, provider, requests, input_tokens, output_tokens, cached_tokens, cost)
  SELECT s.org_id, h.kind, CASE h.kind WHEN 'org' THEN s.org_id WHEN 'team' THEN s.team_id WHEN 'owner' THEN s.owner_id ELSE s.key_id END,
    g.grain, substr(s.day, 1, g.length), s.model_id, s.provider,
    CAST(SUM(s.requests) AS BIGINT), CAST(SUM(s.input_tokens) AS BIGINT), CAST(SUM(s.output_tokens) AS BIGINT), CAST(SUM(s.cached_tokens) AS BIGINT), CAST(SUM(s.cost) AS BIGINT)
  FROM spend_daily s
  CROSS JOIN (SELECT 'org' AS kind UNION ALL SELECT 'team' UNION ALL SELECT 'owner' UNION ALL SELECT 'key') h
  CROSS JOIN (SELECT 'day' AS grain, 10 AS length UNION ALL SELECT 'month', 7) g
  WHERE h.kind <> 'team' OR s.team_id <> ''
  GROUP BY 1, 2, 3, 4, 5, 6, 7;

-- The tags that count under their own name, the first hundred of each key; any other counts as 'other'.
CREATE TABLE key_tags (
  key_id TEXT NOT NULL REFERENCES keys (id),
  tag TEXT NOT NULL,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  number BIGINT NOT NULL CHECK (number BETWEEN 1 AND 100),
  PRIMARY KEY (key_id, tag)
);
CREATE UNIQUE INDEX key_tags_number_unique ON key_tags (key_id, number);
CREATE INDEX key_tags_by_org ON key_tags (org_id, tag);

-- A request with several tags counts under each, and one without any is not here.
CREATE TABLE tag_daily (
  key_id TEXT NOT NULL REFERENCES keys (id),
  day TEXT NOT NULL,
  tag TEXT NOT NULL,
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
  PRIMARY KEY (key_id, day, tag, model_id, team_id, owner_id)
);
CREATE INDEX tag_daily_by_org ON tag_daily (org_id, day);

-- Budgets of which 80 % or all is spent. A mark counts only while `window_start` is the start of the present window.
CREATE TABLE budget_marks (
  holder_kind TEXT NOT NULL CHECK (holder_kind IN ('key', 'team', 'org')),
  holder_id TEXT NOT NULL,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  period TEXT NOT NULL CHECK (period IN ('total', 'month', 'week', 'day')),
  window_start BIGINT NOT NULL,
  level TEXT NOT NULL CHECK (level IN ('near', 'reached')),
  PRIMARY KEY (holder_kind, holder_id, period)
);
CREATE INDEX budget_marks_by_org ON budget_marks (org_id, holder_kind, level, holder_id);

-- After so many days single requests are deleted, while roll-ups and counters stay; NULL keeps them for ever.
ALTER TABLE orgs ADD COLUMN raw_days BIGINT CHECK (raw_days BETWEEN 30 AND 3650);
-- The first day of which every request is still there; NULL is the very first.
ALTER TABLE orgs ADD COLUMN raw_from TEXT;
-- The last day on which the nightly job compared everything with the requests.
ALTER TABLE orgs ADD COLUMN spend_checked_on TEXT;

-- What comparing counters and roll-ups with the requests found.
CREATE TABLE spend_checks (
  org_id TEXT NOT NULL REFERENCES orgs (id),
  at BIGINT NOT NULL,
  actor_id TEXT NOT NULL,
  actor_name TEXT NOT NULL,
  -- Requests that were read.
  requests BIGINT NOT NULL,
  -- What they cost.
  spent BIGINT NOT NULL,
  -- By how much counters and roll-ups differ in all, in nano-dollars.
  difference BIGINT NOT NULL,
  -- How many differ; `details` names some, one per line.
  differing BIGINT NOT NULL,
  details TEXT NOT NULL,
  PRIMARY KEY (org_id, at)
);
