-- What of limits is granted to processes that admit from memory, and what they have told of it (docs/decisions/0074).

-- The last call that changed grants, and the last settlement: numbers that a process counts up, so that a call which was given
-- up cannot undo what followed, and so that counters that are read say which settlements they contain.
ALTER TABLE gateway_nodes ADD COLUMN call INTEGER NOT NULL DEFAULT 0;
ALTER TABLE gateway_nodes ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;
-- 1 when its successor has written what it had answered: only the pace of its last minute counts.
ALTER TABLE gateway_nodes ADD COLUMN taken_over INTEGER NOT NULL DEFAULT 0;

-- What a process may admit of a limit without asking. `what` is a budget's period, 'balance', 'requests', 'tokens' or 'concurrent', or
-- 'all' where it has the whole holder. SQLite has one process that admits, so there is nothing to grant.
CREATE TABLE quota_grants (
  node_id TEXT NOT NULL,
  holder_kind TEXT NOT NULL CHECK (holder_kind IN ('key', 'team', 'org')),
  holder_id TEXT NOT NULL,
  what TEXT NOT NULL,
  window_start INTEGER NOT NULL,
  granted INTEGER NOT NULL,
  consumed INTEGER NOT NULL,
  PRIMARY KEY (node_id, holder_kind, holder_id, what, window_start)
) STRICT;
CREATE INDEX quota_grants_by_holder ON quota_grants (holder_kind, holder_id);

-- Holders of which processes are to give back what they have; until then nothing is granted.
CREATE TABLE quota_recalls (
  holder_kind TEXT NOT NULL CHECK (holder_kind IN ('key', 'team', 'org')),
  holder_id TEXT NOT NULL,
  until INTEGER NOT NULL,
  PRIMARY KEY (holder_kind, holder_id)
) STRICT;

-- The process whose request it is; NULL for a reservation that another program made.
ALTER TABLE reservations ADD COLUMN node_id TEXT;
-- Whose seconds it counted: words among 'key' and 'team'. A settlement corrects the tokens of these.
ALTER TABLE reservations ADD COLUMN counted TEXT NOT NULL DEFAULT 'key team';

-- A repair or a re-rating changes counters that processes have read.
CREATE TRIGGER config_orgs_spend AFTER UPDATE OF spend_version ON orgs BEGIN INSERT INTO config_change VALUES (new.id); END;
