-- Teams, their members, and invitations, which can name a team.

CREATE TABLE teams (
  id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  name TEXT NOT NULL,
  -- For search, order and uniqueness.
  name_folded TEXT COLLATE "C" NOT NULL,
  -- 'every': every model of the organisation, also new ones; 'listed': the team's patterns in `scopes`.
  model_scope TEXT NOT NULL CHECK (model_scope IN ('every', 'listed')),
  rpm BIGINT CHECK (rpm > 0),
  tpm BIGINT CHECK (tpm > 0),
  concurrent BIGINT CHECK (concurrent > 0),
  created_at BIGINT NOT NULL,
  archived_at BIGINT,
  version BIGINT NOT NULL DEFAULT 1
);
-- The name of an archived team can be used again.
CREATE UNIQUE INDEX teams_name_unique ON teams (org_id, name_folded) WHERE archived_at IS NULL;

CREATE TABLE team_members (
  team_id TEXT NOT NULL REFERENCES teams (id),
  person_id TEXT NOT NULL REFERENCES people (id),
  org_id TEXT NOT NULL REFERENCES orgs (id),
  role TEXT NOT NULL CHECK (role IN ('admin', 'member')),
  created_at BIGINT NOT NULL,
  PRIMARY KEY (team_id, person_id)
);
CREATE INDEX team_members_person ON team_members (person_id, team_id);
CREATE INDEX team_members_org ON team_members (org_id, team_id);

CREATE TABLE invitations (
  id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  email TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
  team_id TEXT REFERENCES teams (id),
  team_role TEXT CHECK (team_role IN ('admin', 'member')),
  -- SHA-256 of the link's token; sending the invitation again replaces it.
  hash BYTEA NOT NULL,
  -- NULL when the command line created it.
  invited_by TEXT REFERENCES people (id),
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  -- When the last mail was sent; NULL when the link was only copied.
  mailed_at BIGINT,
  accepted_at BIGINT,
  withdrawn_at BIGINT
);
CREATE UNIQUE INDEX invitations_hash_unique ON invitations (hash);
CREATE UNIQUE INDEX invitations_open_unique ON invitations (org_id, email) WHERE accepted_at IS NULL AND withdrawn_at IS NULL;
