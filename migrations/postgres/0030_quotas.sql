-- Several nodes admit requests of one installation from memory, each from what it was granted of the limits
-- (docs/decisions/0074). All times are those of the database's clock.

-- The last call that changed grants: the database obeys only rising numbers. The last settlement. Whether another process
-- writes what this one answered; then only the pace of its last minute counts.
ALTER TABLE gateway_nodes ADD COLUMN call BIGINT NOT NULL DEFAULT 0;
ALTER TABLE gateway_nodes ADD COLUMN settled BIGINT NOT NULL DEFAULT 0;
ALTER TABLE gateway_nodes ADD COLUMN taken_over BIGINT NOT NULL DEFAULT 0 CHECK (taken_over IN (0, 1));

-- What a node may use of one limit in one window, and what its settled requests have used of that. 'all': the node has the
-- whole holder and judges its requests by the limits themselves; such a row has no amount.
CREATE TABLE quota_grants (
  node_id TEXT NOT NULL REFERENCES gateway_nodes (node_id) ON DELETE CASCADE,
  holder_kind TEXT NOT NULL CHECK (holder_kind IN ('key', 'team', 'org')),
  holder_id TEXT NOT NULL,
  what TEXT NOT NULL CHECK (what IN ('total', 'month', 'week', 'day', 'balance', 'requests', 'tokens', 'concurrent', 'all')),
  -- 0 for what has no windows.
  window_start BIGINT NOT NULL,
  granted BIGINT NOT NULL,
  consumed BIGINT NOT NULL,
  PRIMARY KEY (node_id, holder_kind, holder_id, what, window_start)
);
CREATE INDEX quota_grants_by_holder ON quota_grants (holder_kind, holder_id);

-- Holders of which every node gives back what it has, and gets nothing more until then. 'others' is no holder: until then
-- programs that reserve request by request count as one node of the organisation.
CREATE TABLE quota_recalls (
  holder_kind TEXT NOT NULL CHECK (holder_kind IN ('key', 'team', 'org', 'others')),
  holder_id TEXT NOT NULL,
  until BIGINT NOT NULL,
  PRIMARY KEY (holder_kind, holder_id)
);

-- The node that answers the request; NULL for another program. Which of its holders' seconds the reservation counted, so
-- that its settlement corrects these: 'key team', 'key', 'team' or nothing.
ALTER TABLE reservations ADD COLUMN node_id TEXT;
ALTER TABLE reservations ADD COLUMN counted TEXT NOT NULL DEFAULT 'key team';

-- A repair or a re-rating changes counters that nodes have read.
CREATE CONSTRAINT TRIGGER config_orgs_spend AFTER UPDATE OF spend_version
  ON orgs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keydesk_config_row('id');
