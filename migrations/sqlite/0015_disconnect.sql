-- What happens to a provider's stream when its client leaves before the end.

-- 'read_on': it is read to its end; 'stop': it is closed, and the request is charged the worst cost of its reservation.
ALTER TABLE providers ADD COLUMN on_disconnect TEXT NOT NULL DEFAULT 'read_on' CHECK (on_disconnect IN ('read_on', 'stop'));

-- Active providers.
CREATE VIEW gateway_providers_v1 AS
  SELECT id, on_disconnect FROM providers WHERE retired_at IS NULL;
