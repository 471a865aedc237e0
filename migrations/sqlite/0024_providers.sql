-- Providers at addresses of any shape, with an API key that is stored here, and what a test of their connection found.

-- What stands between the base URL and a call, such as /v4 or nothing; NULL is the protocol's own version.
ALTER TABLE providers ADD COLUMN api_path TEXT;
-- Parameters of every request, such as api-version=2024-10-21.
ALTER TABLE providers ADD COLUMN query TEXT NOT NULL DEFAULT '';
-- The header that carries the credential; 'auto' is the protocol's own, and api-key at hosts of Azure.
ALTER TABLE providers ADD COLUMN credential_header TEXT NOT NULL DEFAULT 'auto'
  CHECK (credential_header IN ('auto', 'bearer', 'api-key', 'x-api-key', 'x-goog-api-key'));
-- Further headers, a line each: 'name: value'.
ALTER TABLE providers ADD COLUMN headers TEXT NOT NULL DEFAULT '';
-- Members of bodies that it does not take, separated by commas.
ALTER TABLE providers ADD COLUMN omitted TEXT NOT NULL DEFAULT '';
-- 1 when its credential is in provider_keys; credential_env is empty then.
ALTER TABLE providers ADD COLUMN stored_key INTEGER NOT NULL DEFAULT 0 CHECK (stored_key IN (0, 1));
-- When it first answered; NULL until then. While no provider of a model has, demo/echo answers.
ALTER TABLE providers ADD COLUMN connected_at INTEGER;
UPDATE providers SET connected_at = created_at
  WHERE EXISTS (SELECT 1 FROM models m WHERE m.provider_id = providers.id AND m.retired_at IS NULL);

-- API keys, sealed with the installation's key for them, which is not in the database.
CREATE TABLE provider_keys (
  provider_id TEXT NOT NULL PRIMARY KEY REFERENCES providers (id),
  sealed BLOB NOT NULL,
  -- The tag of the key that sealed it.
  sealed_with TEXT NOT NULL,
  last_four TEXT NOT NULL CHECK (length(last_four) BETWEEN 1 AND 4),
  set_at INTEGER NOT NULL
) STRICT;

-- The newest test of each connection as it is now, as JSON.
CREATE TABLE provider_tests (
  provider_id TEXT NOT NULL PRIMARY KEY REFERENCES providers (id),
  tested_at INTEGER NOT NULL,
  result TEXT NOT NULL
) STRICT;

DROP VIEW gateway_providers_v1;
CREATE VIEW gateway_providers_v1 AS
  SELECT id, on_disconnect,
    COALESCE(api_path, CASE kind WHEN 'gemini' THEN '/v1beta' ELSE '/v1' END) AS api_path,
    query, credential_header, headers, omitted, stored_key
  FROM providers WHERE retired_at IS NULL;
