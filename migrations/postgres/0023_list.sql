-- What the filters of the list of keys are read from.

-- 1 while the key has a budget of its own, kept by the triggers below.
ALTER TABLE keys ADD COLUMN has_budget BIGINT NOT NULL DEFAULT 0 CHECK (has_budget IN (0, 1));
UPDATE keys SET has_budget = 1 WHERE id IN (SELECT holder_id FROM budgets WHERE holder_kind = 'key');
CREATE FUNCTION keydesk_budget_of_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    UPDATE keys SET has_budget = 1 WHERE id = NEW.holder_id AND has_budget = 0;
  ELSE
    UPDATE keys SET has_budget = 0
      WHERE id = OLD.holder_id AND NOT EXISTS (SELECT 1 FROM budgets WHERE holder_kind = 'key' AND holder_id = OLD.holder_id);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER budgets_of_keys_insert AFTER INSERT ON budgets FOR EACH ROW WHEN (NEW.holder_kind = 'key')
  EXECUTE FUNCTION keydesk_budget_of_key();
CREATE TRIGGER budgets_of_keys_delete AFTER DELETE ON budgets FOR EACH ROW WHEN (OLD.holder_kind = 'key')
  EXECUTE FUNCTION keydesk_budget_of_key();

CREATE INDEX keys_live_unlimited ON keys (org_id, seq)
  WHERE status NOT IN ('expired', 'revoked') AND has_budget = 0 AND rpm IS NULL AND tpm IS NULL AND concurrent IS NULL;
CREATE INDEX keys_live_by_idle ON keys (org_id, COALESCE(last_used_at, created_at), seq) WHERE status NOT IN ('expired', 'revoked');
