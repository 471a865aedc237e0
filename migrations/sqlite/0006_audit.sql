-- The audit: append-only chains of events, each numbered without gaps, each event with the hash of the one before.
-- A chain is an organisation's, or the installation's own with the events of operators, support, providers and models.

-- The newest event of each chain; writers of one chain queue at its row.
CREATE TABLE audit_heads (
  -- An organisation's id, or 'installation'.
  chain_id TEXT NOT NULL PRIMARY KEY,
  seq INTEGER NOT NULL,
  hash BLOB NOT NULL
) STRICT;

CREATE TABLE audit_events (
  chain_id TEXT NOT NULL,
  seq INTEGER NOT NULL,
  -- NULL in the installation's chain.
  org_id TEXT REFERENCES orgs (id),
  at INTEGER NOT NULL,
  actor_id TEXT NOT NULL,
  actor_name TEXT NOT NULL,
  kind TEXT NOT NULL,
  subject_id TEXT NOT NULL,
  subject_name TEXT NOT NULL,
  -- JSON: [{"field", "before", "after"}]
  changes TEXT NOT NULL,
  address TEXT NOT NULL,
  request_id TEXT NOT NULL,
  previous_hash BLOB NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY (chain_id, seq),
  -- COALESCE, because a check passes when it compares with NULL.
  CHECK (chain_id = COALESCE(org_id, 'installation'))
) STRICT;
CREATE INDEX audit_events_by_subject ON audit_events (chain_id, subject_id, seq);
CREATE INDEX audit_events_by_actor ON audit_events (chain_id, actor_id, seq);
CREATE INDEX audit_events_by_kind ON audit_events (chain_id, kind, seq);
CREATE INDEX audit_events_by_time ON audit_events (chain_id, at, seq);

CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events BEGIN SELECT RAISE(ABORT, 'audit events are append-only'); END;
CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events BEGIN SELECT RAISE(ABORT, 'audit events are append-only'); END;
