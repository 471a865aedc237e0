-- Rotation: a key has one current secret, and for a grace period the one before it.

-- When a rotation replaced the secret; NULL is the current one.
ALTER TABLE key_secrets ADD COLUMN replaced_at BIGINT;
-- Milliseconds from the first use of the current secret to the end of this one; NULL when `expires_at` says it.
ALTER TABLE key_secrets ADD COLUMN grace_ms BIGINT CHECK (grace_ms > 0);
ALTER TABLE key_secrets ADD COLUMN first_used_at BIGINT;
ALTER TABLE key_secrets ADD COLUMN last_used_at BIGINT;
UPDATE key_secrets SET replaced_at = expires_at WHERE expires_at IS NOT NULL;
UPDATE key_secrets SET first_used_at = (SELECT k.last_used_at FROM keys k WHERE k.id = key_secrets.key_id),
  last_used_at = (SELECT k.last_used_at FROM keys k WHERE k.id = key_secrets.key_id) WHERE replaced_at IS NULL;
CREATE UNIQUE INDEX key_secrets_current ON key_secrets (key_id) WHERE replaced_at IS NULL;

CREATE OR REPLACE VIEW gateway_keys_v1 AS
  SELECT s.hash, s.id AS secret_id,
    CASE WHEN s.grace_ms IS NULL THEN s.expires_at
      ELSE (SELECT c.first_used_at FROM key_secrets c WHERE c.key_id = s.key_id AND c.replaced_at IS NULL) + s.grace_ms
    END AS secret_expires_at,
    s.last_four,
    k.id AS key_id, k.name AS key_name, k.status, k.status_at, k.expires_at, k.addresses,
    o.id AS org_id, o.name AS org_name, o.zone AS org_zone, o.suspended_at AS org_suspended_at,
    t.id AS team_id, t.name AS team_name, t.archived_at AS team_archived_at,
    k.model_scope AS key_scope,
    (SELECT string_agg(pattern, chr(10)) FROM scopes WHERE holder_kind = 'key' AND holder_id = k.id) AS key_patterns,
    t.model_scope AS team_scope,
    (SELECT string_agg(pattern, chr(10)) FROM scopes WHERE holder_kind = 'team' AND holder_id = k.team_id) AS team_patterns,
    o.model_scope AS org_scope,
    (SELECT string_agg(pattern, chr(10)) FROM scopes WHERE holder_kind = 'org' AND holder_id = k.org_id) AS org_patterns,
    s.replaced_at AS secret_replaced_at
  FROM key_secrets s
  JOIN keys k ON k.id = s.key_id
  JOIN orgs o ON o.id = k.org_id
  LEFT JOIN teams t ON t.id = k.team_id;
