-- Organisations, people, teams, sessions and one-time links.
-- Ids are TEXT with a readable prefix; moments are milliseconds since 1970 UTC.

CREATE TABLE orgs (
  id TEXT NOT NULL PRIMARY KEY,
  slug TEXT NOT NULL,
  name TEXT NOT NULL,
  zone TEXT NOT NULL,
  key_prefix TEXT NOT NULL,
  model_scope TEXT NOT NULL CHECK (model_scope IN ('every', 'listed')),
  created_at INTEGER NOT NULL,
  suspended_at INTEGER
) STRICT;
CREATE UNIQUE INDEX orgs_slug_unique ON orgs (slug);

CREATE TABLE people (
  id TEXT NOT NULL PRIMARY KEY,
  email TEXT NOT NULL,
  name TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  platform_role TEXT NOT NULL CHECK (platform_role IN ('none', 'support', 'operator')),
  theme TEXT NOT NULL CHECK (theme IN ('system', 'light', 'dark')),
  created_at INTEGER NOT NULL,
  disabled_at INTEGER
) STRICT;
CREATE UNIQUE INDEX people_email_unique ON people (email);

CREATE TABLE memberships (
  org_id TEXT NOT NULL REFERENCES orgs (id),
  person_id TEXT NOT NULL REFERENCES people (id),
  role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
  created_at INTEGER NOT NULL,
  disabled_at INTEGER,
  PRIMARY KEY (org_id, person_id)
) STRICT;
CREATE INDEX memberships_person ON memberships (person_id, org_id);

CREATE TABLE teams (
  id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  name TEXT NOT NULL,
  -- 'every': every model of the organisation, also new ones; 'listed': what `scopes` lists for the team.
  model_scope TEXT NOT NULL CHECK (model_scope IN ('every', 'listed')),
  rpm INTEGER CHECK (rpm > 0),
  tpm INTEGER CHECK (tpm > 0),
  parallel INTEGER CHECK (parallel > 0),
  created_at INTEGER NOT NULL,
  archived_at INTEGER
) STRICT;
CREATE UNIQUE INDEX teams_name_unique ON teams (org_id, name);

CREATE TABLE team_members (
  team_id TEXT NOT NULL REFERENCES teams (id),
  person_id TEXT NOT NULL REFERENCES people (id),
  org_id TEXT NOT NULL REFERENCES orgs (id),
  role TEXT NOT NULL CHECK (role IN ('admin', 'member')),
  created_at INTEGER NOT NULL,
  PRIMARY KEY (team_id, person_id)
) STRICT;
CREATE INDEX team_members_person ON team_members (person_id, team_id);

-- The cookie's value is never stored, only its SHA-256. A session that ended keeps its row, so it cannot come back.
CREATE TABLE sessions (
  hash BLOB NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,
  person_id TEXT NOT NULL REFERENCES people (id),
  data TEXT NOT NULL,
  address TEXT NOT NULL,
  user_agent TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  ended_at INTEGER
) STRICT;
CREATE UNIQUE INDEX sessions_id_unique ON sessions (id);
CREATE INDEX sessions_person ON sessions (person_id, created_at);

CREATE TABLE one_time_links (
  hash BLOB NOT NULL PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('setup', 'reset', 'invite')),
  org_id TEXT REFERENCES orgs (id),
  person_id TEXT REFERENCES people (id),
  email TEXT,
  role TEXT CHECK (role IN ('owner', 'admin', 'member')),
  created_at INTEGER NOT NULL,
  ends_at INTEGER NOT NULL,
  used_at INTEGER
) STRICT;

-- Failed attempts by account and by network, counted here so that all nodes count together.
CREATE TABLE throttles (
  kind TEXT NOT NULL CHECK (kind IN ('sign_in_pair', 'sign_in_account', 'sign_in_network', 'search')),
  subject TEXT NOT NULL,
  failures INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  PRIMARY KEY (kind, subject)
) STRICT;
