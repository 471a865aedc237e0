-- What a check and a repair of spend have to know of an organisation.

-- When the time zone last changed; NULL is never. Days and budget windows that began before are those of another zone.
ALTER TABLE orgs ADD COLUMN zone_since BIGINT;
UPDATE orgs SET zone_since = (SELECT MAX(e.at) FROM audit_events e
  WHERE e.chain_id = orgs.id AND e.kind = 'org.edited' AND e.changes LIKE '%{"field":"zone",%');

-- Counts the repairs and re-ratings. A repair applies what it found only while no other one, and no re-rating, came in between.
ALTER TABLE orgs ADD COLUMN spend_version BIGINT NOT NULL DEFAULT 0;
