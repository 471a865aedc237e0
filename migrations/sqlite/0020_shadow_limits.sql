-- Limits that only report: the gates evaluate them and let every request pass that the other limits let pass.
-- `what` is a budget's period, or 'requests', 'tokens' or 'concurrent'.
CREATE TABLE shadow_limits (
  holder_kind TEXT NOT NULL CHECK (holder_kind IN ('key', 'team')),
  holder_id TEXT NOT NULL,
  what TEXT NOT NULL CHECK (what IN ('total', 'month', 'week', 'day', 'requests', 'tokens', 'concurrent')),
  org_id TEXT NOT NULL REFERENCES orgs (id),
  -- Nano-dollars of a budget, otherwise a count.
  amount INTEGER NOT NULL CHECK (amount > 0),
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  -- The holder's settled requests when it was set, so that those since are one subtraction.
  requests_before INTEGER NOT NULL,
  PRIMARY KEY (holder_kind, holder_id, what)
) STRICT;

-- What such a limit would have rejected, by hour since 1970 UTC. The rows of a limit go with it.
CREATE TABLE shadow_rejections (
  holder_kind TEXT NOT NULL,
  holder_id TEXT NOT NULL,
  what TEXT NOT NULL,
  hour INTEGER NOT NULL,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  requests INTEGER NOT NULL,
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  PRIMARY KEY (holder_kind, holder_id, what, hour)
) STRICT;
