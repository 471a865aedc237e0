-- When a key is due for rotation, and whether it may rotate itself.

-- NULL is no reminder.
ALTER TABLE orgs ADD COLUMN rotate_days BIGINT CHECK (rotate_days BETWEEN 1 AND 3650);
-- 'every_key': all keys may rotate themselves; 'by_key': those whose own setting allows it.
ALTER TABLE orgs ADD COLUMN self_rotation TEXT NOT NULL DEFAULT 'by_key' CHECK (self_rotation IN ('by_key', 'every_key'));
-- NULL is as the organisation says.
ALTER TABLE keys ADD COLUMN rotate_days BIGINT CHECK (rotate_days BETWEEN 1 AND 3650);
ALTER TABLE keys ADD COLUMN self_rotation TEXT NOT NULL DEFAULT 'no' CHECK (self_rotation IN ('no', 'yes'));
-- That of the current secret, for lists.
ALTER TABLE keys ADD COLUMN secret_created_at BIGINT NOT NULL DEFAULT 0;
UPDATE keys SET secret_created_at = COALESCE(
  (SELECT s.created_at FROM key_secrets s WHERE s.key_id = keys.id AND s.replaced_at IS NULL), created_at);
-- Of a secret that its key made itself: SHA-256 of the request's Idempotency-Key in hex, empty without one.
ALTER TABLE key_secrets ADD COLUMN made_with TEXT;

CREATE INDEX keys_live_by_secret ON keys (org_id, secret_created_at, seq) WHERE status NOT IN ('expired', 'revoked');
-- Due by the key's own setting; the others are due by the age of their secret.
CREATE INDEX keys_live_by_due ON keys (org_id, (secret_created_at + rotate_days * 86400000))
  WHERE status NOT IN ('expired', 'revoked') AND rotate_days IS NOT NULL;
