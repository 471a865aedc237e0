-- What a request in flight may cost at most; `amount` is what it is expected to cost. Other gateways' are both.
ALTER TABLE reservations ADD COLUMN worst BIGINT NOT NULL DEFAULT 0 CHECK (worst >= 0);
UPDATE reservations SET worst = amount;

-- By how much budgets and the balance may be passed: 'none', not at all; 'one_request', by one request's worst cost.
ALTER TABLE orgs ADD COLUMN overshoot TEXT NOT NULL DEFAULT 'one_request' CHECK (overshoot IN ('none', 'one_request'));
-- What happens to a request that has no price: 'refuse' or 'allow'.
ALTER TABLE orgs ADD COLUMN unpriced TEXT NOT NULL DEFAULT 'refuse' CHECK (unpriced IN ('refuse', 'allow'));

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
    s.replaced_at AS secret_replaced_at,
    o.unpriced AS org_unpriced
  FROM key_secrets s
  JOIN keys k ON k.id = s.key_id
  JOIN orgs o ON o.id = k.org_id
  LEFT JOIN teams t ON t.id = k.team_id;
