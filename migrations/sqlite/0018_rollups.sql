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
ALTER TABLE spend_daily RENAME TO spend_daily_before;
CREATE TABLE spend_daily (
  key_id TEXT NOT NULL REFERENCES keys (id),
  day TEXT NOT NULL,
  model_id TEXT NOT NULL,
  provider TEXT NOT NULL,
  -- Empty is no team.
  team_id TEXT NOT NULL,
  owner_id TEXT NOT NULL,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  requests INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  cost INTEGER NOT NULL,
  PRIMARY KEY (key_id, day, model_id, provider, team_id, owner_id)
) STRICT;
INSERT INTO spend_daily (key_id, day, model_id, provider, team_id, owner_id, org_id, requests, input_tokens, output_tokens, cached_tokens, cost)
  SELECT s.key_id, s.day, s.model_id, COALESCE((SELECT m.provider FROM models m WHERE m.id = s.model_id), ''), s.team_id, s.owner_id,
    s.org_id, s.requests, s.input_tokens, s.output_tokens, s.cached_tokens, s.cost
  FROM spend_daily_before s;
DROP TABLE spend_daily_before;
CREATE INDEX spend_daily_by_org ON spend_daily (org_id, day);
CREATE INDEX spend_daily_by_owner ON spend_daily (org_id, owner_id, day);
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
  requests INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  cost INTEGER NOT NULL,
  PRIMARY KEY (holder_kind, holder_id, grain, bucket, model_id, provider)
) STRICT, WITHOUT ROWID;
CREATE INDEX rollups_by_bucket ON rollups (org_id, holder_kind, grain, bucket);

-- Days and months of before. The program fills in the hours, which only the requests' rows tell.
INSERT INTO rollups (org_id, holder_kind, holder_id, grain, bucket, model_id, provider, requests, input_tokens, output_tokens, cached_tokens, cost)
  SELECT s.org_id, h.kind, CASE h.kind WHEN 'org' THEN s.org_id WHEN 'team' THEN s.team_id WHEN 'owner' THEN s.owner_id ELSE s.key_id END,
    g.grain, substr(s.day, 1, g.length), s.model_id, s.provider,
    CAST(SUM(s.requests) AS INTEGER), CAST(SUM(s.input_tokens) AS INTEGER), CAST(SUM(s.output_tokens) AS INTEGER), CAST(SUM(s.cached_tokens) AS INTEGER), CAST(SUM(s.cost) AS INTEGER)
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
  number INTEGER NOT NULL CHECK (number BETWEEN 1 AND 100),
  PRIMARY KEY (key_id, tag)
) STRICT;
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
  requests INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  cost INTEGER NOT NULL,
  PRIMARY KEY (key_id, day, tag, model_id, team_id, owner_id)
) STRICT;
CREATE INDEX tag_daily_by_org ON tag_daily (org_id, day);

-- Budgets of which 80 % or all is spent. A mark counts only while `window_start` is the start of the present window.
CREATE TABLE budget_marks (
  holder_kind TEXT NOT NULL CHECK (holder_kind IN ('key', 'team', 'org')),
  holder_id TEXT NOT NULL,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  period TEXT NOT NULL CHECK (period IN ('total', 'month', 'week', 'day')),
  window_start INTEGER NOT NULL,
  level TEXT NOT NULL CHECK (level IN ('near', 'reached')),
  PRIMARY KEY (holder_kind, holder_id, period)
) STRICT;
CREATE INDEX budget_marks_by_org ON budget_marks (org_id, holder_kind, level, holder_id);

-- After so many days single requests are deleted, while roll-ups and counters stay; NULL keeps them for ever.
ALTER TABLE orgs ADD COLUMN raw_days INTEGER CHECK (raw_days BETWEEN 30 AND 3650);
-- The first day of which every request is still there; NULL is the very first.
ALTER TABLE orgs ADD COLUMN raw_from TEXT;
-- The last day on which the nightly job compared everything with the requests.
ALTER TABLE orgs ADD COLUMN spend_checked_on TEXT;

-- What comparing counters and roll-ups with the requests found.
CREATE TABLE spend_checks (
  org_id TEXT NOT NULL REFERENCES orgs (id),
  at INTEGER NOT NULL,
  actor_id TEXT NOT NULL,
  actor_name TEXT NOT NULL,
  -- Requests that were read.
  requests INTEGER NOT NULL,
  -- What they cost.
  spent INTEGER NOT NULL,
  -- By how much counters and roll-ups differ in all, in nano-dollars.
  difference INTEGER NOT NULL,
  -- How many differ; `details` names some, one per line.
  differing INTEGER NOT NULL,
  details TEXT NOT NULL,
  PRIMARY KEY (org_id, at)
) STRICT;
