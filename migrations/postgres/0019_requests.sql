-- The log of an organisation's requests: an index for each of its filters, who was behind a rejection, and tags.

CREATE INDEX usage_by_team ON usage (org_id, team_id, started_at) WHERE team_id IS NOT NULL;
CREATE INDEX usage_by_model ON usage (org_id, model_id, started_at);
CREATE INDEX usage_by_address ON usage (org_id, address, started_at);
CREATE INDEX usage_failed ON usage (org_id, started_at) WHERE status >= 400;
CREATE INDEX usage_not_priced ON usage (org_id, started_at) WHERE is_priced = 0;

-- The key's team and owner when the first of the requests came. NULL is no team.
ALTER TABLE rejections ADD COLUMN team_id TEXT;
ALTER TABLE rejections ADD COLUMN owner_id TEXT NOT NULL DEFAULT '';
UPDATE rejections SET team_id = k.team_id, owner_id = k.owner_id FROM keys k WHERE k.id = rejections.key_id;
-- Also for gateways that do not tell, and that may not read keys.
CREATE FUNCTION rejections_whose() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  SELECT k.team_id, k.owner_id INTO new.team_id, new.owner_id FROM keys k WHERE k.id = new.key_id;
  new.owner_id := COALESCE(new.owner_id, '');
  RETURN new;
END $$;
CREATE TRIGGER rejections_whose BEFORE INSERT ON rejections FOR EACH ROW WHEN (new.owner_id = '')
  EXECUTE FUNCTION rejections_whose();
CREATE INDEX rejections_by_team ON rejections (org_id, team_id, last_at) WHERE team_id IS NOT NULL;
CREATE INDEX rejections_by_owner ON rejections (org_id, owner_id, last_at);
CREATE INDEX rejections_by_model ON rejections (org_id, model_id, last_at);
CREATE INDEX rejections_by_address ON rejections (org_id, address, last_at);
CREATE INDEX rejections_by_gate ON rejections (org_id, gate, last_at);

-- The lines of `usage.tags`, each on its own, to find requests by one of them.
CREATE TABLE usage_tags (
  request_id TEXT NOT NULL REFERENCES usage (request_id) ON DELETE CASCADE,
  tag TEXT NOT NULL,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  -- When the request began.
  at BIGINT NOT NULL,
  PRIMARY KEY (request_id, tag)
);
CREATE INDEX usage_tags_by_tag ON usage_tags (org_id, tag, at, request_id);
CREATE FUNCTION usage_tags_insert() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  INSERT INTO usage_tags (request_id, tag, org_id, at)
    SELECT new.request_id, line, new.org_id, new.started_at FROM unnest(string_to_array(new.tags, chr(10))) AS line
    WHERE line <> '' ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER usage_tags_insert AFTER INSERT ON usage FOR EACH ROW WHEN (new.tags <> '')
  EXECUTE FUNCTION usage_tags_insert();
