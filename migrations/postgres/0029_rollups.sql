-- A person may own keys in several organisations, and a roll-up is of one organisation.
ALTER TABLE rollups DROP CONSTRAINT rollups_pkey,
  ADD PRIMARY KEY (holder_kind, holder_id, grain, bucket, model_id, provider, org_id);

-- Those of people with keys in several were one row. Hours are added up again from the requests that are kept.
DELETE FROM rollups WHERE holder_kind = 'owner' AND holder_id IN
  (SELECT owner_id FROM spend_daily GROUP BY owner_id HAVING COUNT(DISTINCT org_id) > 1);
INSERT INTO rollups (org_id, holder_kind, holder_id, grain, bucket, model_id, provider, requests, input_tokens, output_tokens, cached_tokens, cost)
  SELECT s.org_id, 'owner', s.owner_id, g.grain, substr(s.day, 1, g.length), s.model_id, s.provider,
    CAST(SUM(s.requests) AS BIGINT), CAST(SUM(s.input_tokens) AS BIGINT), CAST(SUM(s.output_tokens) AS BIGINT), CAST(SUM(s.cached_tokens) AS BIGINT), CAST(SUM(s.cost) AS BIGINT)
  FROM spend_daily s CROSS JOIN (SELECT 'day' AS grain, 10 AS length UNION ALL SELECT 'month', 7) g
  WHERE s.owner_id IN (SELECT owner_id FROM spend_daily GROUP BY owner_id HAVING COUNT(DISTINCT org_id) > 1)
  GROUP BY s.org_id, s.owner_id, g.grain, substr(s.day, 1, g.length), s.model_id, s.provider;
INSERT INTO rollups (org_id, holder_kind, holder_id, grain, bucket, model_id, provider, requests, input_tokens, output_tokens, cached_tokens, cost)
  SELECT u.org_id, 'owner', u.owner_id, 'hour', u.booked, u.model_id, COALESCE(u.provider, ''),
    COUNT(*), CAST(SUM(u.input_tokens) AS BIGINT), CAST(SUM(u.output_tokens) AS BIGINT), CAST(SUM(u.cached_tokens) AS BIGINT), CAST(SUM(u.cost) AS BIGINT)
  FROM usage u
  WHERE u.booked IS NOT NULL
    AND u.owner_id IN (SELECT owner_id FROM spend_daily GROUP BY owner_id HAVING COUNT(DISTINCT org_id) > 1)
  GROUP BY u.org_id, u.owner_id, u.booked, u.model_id, COALESCE(u.provider, '');
