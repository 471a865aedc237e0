-- Organisations, people, memberships, sessions and sign-in.
-- In every table: ids are TEXT with a readable prefix, moments are milliseconds since 1970 UTC, money is nano-dollars
-- (a billionth of a dollar), a `name_folded` is the name in lower case of all scripts, made by the program.

CREATE TABLE orgs (
  id TEXT NOT NULL PRIMARY KEY,
  slug TEXT NOT NULL,
  name TEXT NOT NULL,
  name_folded TEXT NOT NULL,
  -- The time zone of its days and budget windows.
  zone TEXT NOT NULL,
  key_prefix TEXT NOT NULL,
  -- JSON: the values a form for a new key starts with.
  key_defaults TEXT NOT NULL DEFAULT '{}',
  -- 'every': every model, also new ones; 'listed': the patterns in `scopes`.
  model_scope TEXT NOT NULL CHECK (model_scope IN ('every', 'listed')),
  -- NULL is no maximum.
  max_key_days BIGINT CHECK (max_key_days > 0),
  max_keys_per_member BIGINT CHECK (max_keys_per_member > 0),
  members_create TEXT NOT NULL DEFAULT 'no' CHECK (members_create IN ('no', 'in_teams', 'anywhere')),
  -- Applies to owners and admins.
  second_factor TEXT NOT NULL DEFAULT 'optional' CHECK (second_factor IN ('optional', 'required')),
  -- From then on requests are rejected when the balance is used up; NULL is never.
  balance_enforced_at BIGINT,
  created_at BIGINT NOT NULL,
  suspended_at BIGINT,
  version BIGINT NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX orgs_slug_unique ON orgs (slug);
CREATE INDEX orgs_by_name ON orgs (name_folded, id);

CREATE TABLE people (
  id TEXT NOT NULL PRIMARY KEY,
  email TEXT NOT NULL,
  name TEXT NOT NULL,
  -- For search and order.
  name_folded TEXT COLLATE "C" NOT NULL,
  password_hash TEXT NOT NULL,
  password_set_at BIGINT NOT NULL,
  -- Encrypted with the installation's key.
  totp_secret BYTEA,
  totp_since BIGINT,
  -- The newest time step with a used code: codes of this step and earlier ones are no longer valid.
  totp_step BIGINT NOT NULL DEFAULT 0,
  platform_role TEXT NOT NULL CHECK (platform_role IN ('none', 'support', 'operator')),
  theme TEXT NOT NULL CHECK (theme IN ('system', 'light', 'dark')),
  created_at BIGINT NOT NULL,
  disabled_at BIGINT
);
CREATE UNIQUE INDEX people_email_unique ON people (email);

CREATE TABLE recovery_codes (
  person_id TEXT NOT NULL REFERENCES people (id),
  hash BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  used_at BIGINT,
  PRIMARY KEY (person_id, hash)
);

CREATE TABLE memberships (
  org_id TEXT NOT NULL REFERENCES orgs (id),
  person_id TEXT NOT NULL REFERENCES people (id),
  role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
  created_at BIGINT NOT NULL,
  disabled_at BIGINT,
  -- A removed member keeps the row, so that keys and events can still name the person; `disabled_at` is set as well.
  removed_at BIGINT,
  PRIMARY KEY (org_id, person_id)
);
CREATE INDEX memberships_person ON memberships (person_id, org_id);

-- Only the SHA-256 of the cookie's value is stored. An ended session keeps its row, so that it cannot be revived.
CREATE TABLE sessions (
  hash BYTEA NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,
  person_id TEXT NOT NULL REFERENCES people (id),
  data TEXT NOT NULL,
  address TEXT NOT NULL,
  user_agent TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  seen_at BIGINT NOT NULL,
  -- When the person last proved their identity in this session, at first by signing in.
  reauthenticated_at BIGINT NOT NULL,
  ended_at BIGINT
);
CREATE UNIQUE INDEX sessions_id_unique ON sessions (id);
CREATE INDEX sessions_person ON sessions (person_id, created_at);

-- Only the SHA-256 of the link's token is stored.
CREATE TABLE one_time_links (
  hash BYTEA NOT NULL PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('setup', 'reset', 'invite')),
  org_id TEXT REFERENCES orgs (id),
  person_id TEXT REFERENCES people (id),
  email TEXT,
  role TEXT CHECK (role IN ('owner', 'admin', 'member')),
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT
);

-- Failed attempts by account and by network, in the database so that all nodes share one count.
CREATE TABLE throttles (
  kind TEXT NOT NULL CHECK (kind IN ('sign_in_pair', 'sign_in_account', 'sign_in_network', 'second_factor', 'search', 'invitation')),
  subject TEXT NOT NULL,
  failures BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  PRIMARY KEY (kind, subject)
);
