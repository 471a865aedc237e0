-- Append-only: each organisation's events are numbered without holes and each row carries the hash of the one before.

CREATE TABLE audit_heads (
  org_id TEXT NOT NULL PRIMARY KEY REFERENCES orgs (id),
  seq INTEGER NOT NULL,
  hash BLOB NOT NULL
) STRICT;

CREATE TABLE audit_events (
  org_id TEXT NOT NULL REFERENCES orgs (id),
  seq INTEGER NOT NULL,
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
  PRIMARY KEY (org_id, seq)
) STRICT;
CREATE INDEX audit_events_by_subject ON audit_events (org_id, subject_id, seq);
