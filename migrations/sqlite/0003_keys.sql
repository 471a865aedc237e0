-- Keys, their secrets, model scopes, budgets, and the search by name. `holder` is a key, a team or an organisation.

CREATE TABLE keys (
  seq INTEGER NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  team_id TEXT REFERENCES teams (id),
  owner_id TEXT NOT NULL REFERENCES people (id),
  name TEXT NOT NULL,
  -- For search, order and uniqueness.
  name_folded TEXT NOT NULL,
  note TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('active', 'disabled', 'expired', 'revoked')),
  status_at INTEGER NOT NULL,
  status_by TEXT,
  prefix TEXT NOT NULL,
  last_four TEXT NOT NULL,
  -- 'every': every model of the team or organisation, also new ones; 'listed': the key's patterns in `scopes`.
  model_scope TEXT NOT NULL CHECK (model_scope IN ('every', 'listed')),
  -- Networks in CIDR form, one per line; empty is any address.
  addresses TEXT NOT NULL,
  rpm INTEGER CHECK (rpm > 0),
  tpm INTEGER CHECK (tpm > 0),
  concurrent INTEGER CHECK (concurrent > 0),
  expires_at INTEGER,
  -- When it was decided what happens to the key after its owner left.
  offboarded_at INTEGER,
  created_at INTEGER NOT NULL,
  created_by TEXT,
  last_used_at INTEGER,
  version INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX keys_id_unique ON keys (id);
CREATE UNIQUE INDEX keys_name_unique ON keys (org_id, COALESCE(team_id, ''), name_folded) WHERE status NOT IN ('expired', 'revoked');

-- Lists page by (org, order, seq). Most lists show live keys, which are neither expired nor revoked.
CREATE INDEX keys_live_by_created ON keys (org_id, seq) WHERE status NOT IN ('expired', 'revoked');
CREATE INDEX keys_live_by_name ON keys (org_id, name_folded, seq) WHERE status NOT IN ('expired', 'revoked');
CREATE INDEX keys_live_by_used ON keys (org_id, COALESCE(last_used_at, 0), seq) WHERE status NOT IN ('expired', 'revoked');
CREATE INDEX keys_live_by_expiry ON keys (org_id, COALESCE(expires_at, 9007199254740991), seq) WHERE status NOT IN ('expired', 'revoked');
CREATE INDEX keys_by_status ON keys (org_id, status, seq);
CREATE INDEX keys_by_status_name ON keys (org_id, status, name_folded, seq);
CREATE INDEX keys_by_team ON keys (org_id, team_id, seq);
CREATE INDEX keys_by_owner ON keys (owner_id, seq);
-- For the job that sets the status 'expired'.
CREATE INDEX keys_to_expire ON keys (expires_at) WHERE status IN ('active', 'disabled') AND expires_at IS NOT NULL;

-- Search by a part of the name, through an index of three-character pieces.
CREATE VIRTUAL TABLE keys_names USING fts5 (
  name_folded, content = 'keys', content_rowid = 'seq', columnsize = 0, tokenize = 'trigram case_sensitive 1'
);
CREATE TRIGGER keys_names_insert AFTER INSERT ON keys BEGIN
  INSERT INTO keys_names (rowid, name_folded) VALUES (new.seq, new.name_folded);
END;
CREATE TRIGGER keys_names_delete AFTER DELETE ON keys BEGIN
  INSERT INTO keys_names (keys_names, rowid, name_folded) VALUES ('delete', old.seq, old.name_folded);
END;
CREATE TRIGGER keys_names_update AFTER UPDATE OF name_folded ON keys BEGIN
  INSERT INTO keys_names (keys_names, rowid, name_folded) VALUES ('delete', old.seq, old.name_folded);
  INSERT INTO keys_names (rowid, name_folded) VALUES (new.seq, new.name_folded);
END;

CREATE TABLE key_secrets (
  id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  key_id TEXT NOT NULL REFERENCES keys (id),
  -- SHA-256 of the whole secret. The secret itself is not stored.
  hash BLOB NOT NULL,
  prefix TEXT NOT NULL,
  last_four TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  -- Set by a rotation. The row stays, so that an old secret is recognised and gets a precise rejection.
  expires_at INTEGER
) STRICT;
CREATE UNIQUE INDEX key_secrets_hash_unique ON key_secrets (hash);
CREATE INDEX key_secrets_key ON key_secrets (key_id, created_at);
CREATE INDEX key_secrets_last_four ON key_secrets (org_id, last_four, key_id);
-- For support, which searches across organisations.
CREATE INDEX key_secrets_any_last_four ON key_secrets (last_four);

-- Model ids, or patterns in which * matches any run of characters.
CREATE TABLE scopes (
  holder_kind TEXT NOT NULL CHECK (holder_kind IN ('key', 'team', 'org')),
  holder_id TEXT NOT NULL,
  pattern TEXT NOT NULL,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  PRIMARY KEY (holder_kind, holder_id, pattern)
) STRICT;

CREATE TABLE budgets (
  holder_kind TEXT NOT NULL CHECK (holder_kind IN ('key', 'team', 'org')),
  holder_id TEXT NOT NULL,
  period TEXT NOT NULL CHECK (period IN ('total', 'month', 'week', 'day')),
  org_id TEXT NOT NULL REFERENCES orgs (id),
  -- Nano-dollars.
  amount INTEGER NOT NULL CHECK (amount > 0),
  PRIMARY KEY (holder_kind, holder_id, period)
) STRICT;
