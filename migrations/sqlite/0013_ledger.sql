-- What each request used and the price it was paid at, so that a wrong price can be corrected afterwards.

-- Every meter, as JSON such as {"input":100,"cached_input":10,"output":20,"tier":"flex"}; empty where a gateway told totals
-- alone, and in rows of before.
ALTER TABLE usage ADD COLUMN meters TEXT NOT NULL DEFAULT '';
-- Names the price. NULL where the model had none, nothing was used, or the cost was calculated elsewhere.
ALTER TABLE usage ADD COLUMN price_id TEXT;
-- 0 when something that was used had no price, so that the cost may be too low.
ALTER TABLE usage ADD COLUMN is_priced INTEGER NOT NULL DEFAULT 1 CHECK (is_priced IN (0, 1));
CREATE INDEX usage_by_key_not_priced ON usage (key_id, started_at) WHERE is_priced = 0;

-- What a re-rating changed: the row of a request has what it is charged now, and these rows what it was charged before.
CREATE TABLE usage_corrections (
  request_id TEXT NOT NULL REFERENCES usage (request_id),
  -- Counted from 1 for each request.
  number INTEGER NOT NULL,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  at INTEGER NOT NULL,
  actor_id TEXT NOT NULL,
  actor_name TEXT NOT NULL,
  cost_before INTEGER NOT NULL,
  cost_after INTEGER NOT NULL,
  price_before TEXT,
  price_after TEXT NOT NULL,
  priced_before INTEGER NOT NULL CHECK (priced_before IN (0, 1)),
  priced_after INTEGER NOT NULL CHECK (priced_after IN (0, 1)),
  PRIMARY KEY (request_id, number)
) STRICT;
CREATE INDEX usage_corrections_by_org ON usage_corrections (org_id);
-- Append-only: another correction is another row.
CREATE TRIGGER usage_corrections_no_update BEFORE UPDATE ON usage_corrections
  BEGIN SELECT RAISE(ABORT, 'corrections are append-only'); END;
CREATE TRIGGER usage_corrections_no_delete BEFORE DELETE ON usage_corrections
  BEGIN SELECT RAISE(ABORT, 'corrections are append-only'); END;
