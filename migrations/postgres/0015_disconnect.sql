-- What happens to a provider's stream when its client leaves before the end.

-- 'read_on': it is read to its end; 'stop': it is closed, and the request is charged the worst cost of its reservation.
ALTER TABLE providers ADD COLUMN on_disconnect TEXT NOT NULL DEFAULT 'read_on' CHECK (on_disconnect IN ('read_on', 'stop'));

-- One minute was the default, in which reasoning models may say nothing; what they do then is charged all the same.
UPDATE providers SET idle_ms = 300000 WHERE idle_ms = 60000 AND whole_ms >= 300000;

-- Active providers.
CREATE VIEW gateway_providers_v1 AS
  SELECT id, on_disconnect FROM providers WHERE retired_at IS NULL;
