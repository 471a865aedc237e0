-- What the provider, or the gateway about it, said of a request that failed; empty without an error or from a gateway that
-- does not tell.
ALTER TABLE usage ADD COLUMN error TEXT NOT NULL DEFAULT '';
-- A key's requests and rejections are one list by time, and a request is found by its id.
CREATE INDEX rejections_by_key ON rejections (key_id, last_at);
CREATE INDEX rejections_by_request ON rejections (request_id);
