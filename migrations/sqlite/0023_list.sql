-- What the filters of the list of keys are read from.

-- 1 while the key has a budget of its own, kept by the triggers below.
ALTER TABLE keys ADD COLUMN has_budget INTEGER NOT NULL DEFAULT 0 CHECK (has_budget IN (0, 1));
UPDATE keys SET has_budget = 1 WHERE id IN (SELECT holder_id FROM budgets WHERE holder_kind = 'key');
CREATE TRIGGER budgets_of_keys_insert AFTER INSERT ON budgets WHEN new.holder_kind = 'key' BEGIN
  UPDATE keys SET has_budget = 1 WHERE id = new.holder_id AND has_budget = 0;
END;
CREATE TRIGGER budgets_of_keys_delete AFTER DELETE ON budgets WHEN old.holder_kind = 'key' BEGIN
  UPDATE keys SET has_budget = 0
    WHERE id = old.holder_id AND NOT EXISTS (SELECT 1 FROM budgets WHERE holder_kind = 'key' AND holder_id = old.holder_id);
END;

CREATE INDEX keys_live_unlimited ON keys (org_id, seq)
  WHERE status NOT IN ('expired', 'revoked') AND has_budget = 0 AND rpm IS NULL AND tpm IS NULL AND concurrent IS NULL;
CREATE INDEX keys_live_by_idle ON keys (org_id, COALESCE(last_used_at, created_at), seq) WHERE status NOT IN ('expired', 'revoked');
