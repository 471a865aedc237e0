-- What people ask for, and what they get: more of a budget for a time, or a new key.

CREATE TABLE asks (
  id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  -- Who asks.
  person_id TEXT NOT NULL REFERENCES people (id),
  kind TEXT NOT NULL CHECK (kind IN ('budget', 'key')),
  -- The key that needs more; NULL for a new key.
  key_id TEXT REFERENCES keys (id),
  -- Whose budget it is about. For a new key: the team that it is to be in, or the organisation for none.
  holder_kind TEXT NOT NULL CHECK (holder_kind IN ('key', 'team', 'org')),
  holder_id TEXT NOT NULL,
  -- The new key's name; empty for a budget.
  name TEXT NOT NULL,
  -- The budget's; a new key's is of a month.
  period TEXT NOT NULL CHECK (period IN ('total', 'month', 'week', 'day')),
  -- Nano-dollars. For a new key NULL leaves its budget to who answers.
  amount BIGINT CHECK (amount > 0),
  -- When what is asked for ends; NULL for a new key.
  until BIGINT,
  reason TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'granted', 'refused', 'withdrawn')),
  asked_at BIGINT NOT NULL,
  answered_at BIGINT,
  answered_by TEXT REFERENCES people (id),
  -- What the answer says; empty for nothing.
  note TEXT NOT NULL,
  CHECK ((state = 'open') = (answered_at IS NULL)),
  CHECK (kind = 'key' OR key_id IS NOT NULL AND amount IS NOT NULL AND until IS NOT NULL)
);
CREATE INDEX asks_by_org ON asks (org_id, id);
CREATE INDEX asks_open ON asks (org_id) WHERE state = 'open';
-- One open ask of a person about a key, and one for a new key.
CREATE UNIQUE INDEX asks_open_unique ON asks (org_id, person_id, kind, COALESCE(key_id, '')) WHERE state = 'open';

-- More of one budget for a time: what counts is the budget's amount and every grant of it that runs.
CREATE TABLE grants (
  id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  holder_kind TEXT NOT NULL CHECK (holder_kind IN ('key', 'team', 'org')),
  holder_id TEXT NOT NULL,
  period TEXT NOT NULL CHECK (period IN ('total', 'month', 'week', 'day')),
  -- Nano-dollars.
  amount BIGINT NOT NULL CHECK (amount > 0),
  starts_at BIGINT NOT NULL,
  ends_at BIGINT NOT NULL,
  granted_by TEXT NOT NULL REFERENCES people (id),
  ask_id TEXT NOT NULL REFERENCES asks (id),
  CHECK (starts_at < ends_at)
);
CREATE UNIQUE INDEX grants_ask_unique ON grants (ask_id);
CREATE INDEX grants_by_end ON grants (ends_at);
CREATE INDEX grants_by_holder ON grants (holder_kind, holder_id, period, ends_at);
-- A grant ends by itself and is never changed: more is another one.
CREATE FUNCTION grants_unchanged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'grants are never changed';
END $$;
CREATE TRIGGER grants_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON grants
  FOR EACH STATEMENT EXECUTE FUNCTION grants_unchanged();
