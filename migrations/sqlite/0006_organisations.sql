-- What an organisation decides about itself, invitations, second factors, and who was refused.

-- Lower case of all scripts, to search in and to list by.
ALTER TABLE orgs ADD COLUMN name_folded TEXT NOT NULL DEFAULT '';
UPDATE orgs SET name_folded = lower(name);
CREATE INDEX orgs_by_name ON orgs (name_folded, id);
ALTER TABLE orgs ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
-- JSON: what the form of a new key is filled in with.
ALTER TABLE orgs ADD COLUMN key_defaults TEXT NOT NULL DEFAULT '{}';
ALTER TABLE orgs ADD COLUMN key_days_most INTEGER CHECK (key_days_most > 0);
ALTER TABLE orgs ADD COLUMN keys_per_member INTEGER CHECK (keys_per_member > 0);
ALTER TABLE orgs ADD COLUMN members_create TEXT NOT NULL DEFAULT 'no' CHECK (members_create IN ('no', 'in_teams', 'anywhere'));
-- Asked of owners and admins.
ALTER TABLE orgs ADD COLUMN second_factor TEXT NOT NULL DEFAULT 'optional' CHECK (second_factor IN ('optional', 'required'));

ALTER TABLE teams ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
-- An archived team's name is free again.
DROP INDEX teams_name_unique;
CREATE UNIQUE INDEX teams_name_unique ON teams (org_id, name) WHERE archived_at IS NULL;
CREATE INDEX team_members_org ON team_members (org_id, team_id);

-- Who was removed keeps their row, so that keys and events go on naming them; `disabled_at` is set then too.
ALTER TABLE memberships ADD COLUMN removed_at INTEGER;

-- When somebody decided what becomes of a key whose owner left.
ALTER TABLE keys ADD COLUMN left_decided_at INTEGER;

ALTER TABLE people ADD COLUMN password_set_at INTEGER NOT NULL DEFAULT 0;
-- Sealed with the installation's key.
ALTER TABLE people ADD COLUMN totp_secret BLOB;
ALTER TABLE people ADD COLUMN totp_since INTEGER;
-- The newest time step whose code was used: it and those before it work no more.
ALTER TABLE people ADD COLUMN totp_step INTEGER NOT NULL DEFAULT 0;

CREATE TABLE recovery_codes (
  person_id TEXT NOT NULL REFERENCES people (id),
  hash BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  used_at INTEGER,
  PRIMARY KEY (person_id, hash)
) STRICT;

-- When this session's person last proved who they are.
ALTER TABLE sessions ADD COLUMN fresh_at INTEGER NOT NULL DEFAULT 0;

CREATE TABLE invitations (
  id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  email TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
  team_id TEXT REFERENCES teams (id),
  team_role TEXT CHECK (team_role IN ('admin', 'member')),
  -- SHA-256 of the link's token; sending again makes another.
  hash BLOB NOT NULL,
  -- NULL when the command line invited.
  invited_by TEXT REFERENCES people (id),
  created_at INTEGER NOT NULL,
  ends_at INTEGER NOT NULL,
  -- When a mail was last handed over; NULL when the link was only copied.
  mailed_at INTEGER,
  accepted_at INTEGER,
  withdrawn_at INTEGER
) STRICT;
CREATE UNIQUE INDEX invitations_hash_unique ON invitations (hash);
CREATE UNIQUE INDEX invitations_open_unique ON invitations (org_id, email) WHERE accepted_at IS NULL AND withdrawn_at IS NULL;

-- Refused requests of known keys, counted by the minute, so that a flood is one row.
CREATE TABLE refusals (
  key_id TEXT NOT NULL REFERENCES keys (id),
  minute INTEGER NOT NULL,
  gate TEXT NOT NULL,
  reason TEXT NOT NULL,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  times INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  model_id TEXT NOT NULL,
  route TEXT NOT NULL,
  address TEXT NOT NULL,
  request_id TEXT NOT NULL,
  PRIMARY KEY (key_id, minute, gate, reason)
) STRICT;
CREATE INDEX refusals_by_org ON refusals (org_id, last_at);
CREATE INDEX refusals_by_age ON refusals (last_at);

-- For support, which looks across organisations.
CREATE INDEX key_secrets_any_last_four ON key_secrets (last_four);

CREATE INDEX audit_events_by_actor ON audit_events (org_id, actor_id, seq);
CREATE INDEX audit_events_by_kind ON audit_events (org_id, kind, seq);
CREATE INDEX audit_events_by_time ON audit_events (org_id, at, seq);

-- Counts of the last minutes: nothing is lost with them.
DROP TABLE throttles;
CREATE TABLE throttles (
  kind TEXT NOT NULL CHECK (kind IN ('sign_in_pair', 'sign_in_account', 'sign_in_network', 'second_factor', 'search', 'invitation')),
  subject TEXT NOT NULL,
  failures INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  PRIMARY KEY (kind, subject)
) STRICT;
