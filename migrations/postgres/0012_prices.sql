-- The price book: what each model costs from a moment on. A price is never changed or deleted: of those that have started, the
-- one that started last holds.

CREATE TABLE prices (
  id TEXT NOT NULL PRIMARY KEY,
  model_id TEXT NOT NULL REFERENCES models (id),
  starts_at BIGINT NOT NULL,
  -- 'operator': an import of a catalogue leaves it in force.
  origin TEXT NOT NULL CHECK (origin IN ('operator', 'catalogue')),
  -- Where the figures stand, in words or as an address; may be empty.
  source TEXT NOT NULL,
  -- JSON (domain/tariff.rs). '{}' is no price.
  tariff TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  -- The name of who set it; empty for those that are older than this table.
  set_by TEXT NOT NULL,
  -- Only before it has started.
  withdrawn_at BIGINT
);
CREATE UNIQUE INDEX prices_start_unique ON prices (model_id, starts_at) WHERE withdrawn_at IS NULL;

-- Prices as the program brought them until now are the catalogue's; all others are an operator's.
INSERT INTO prices (id, model_id, starts_at, origin, source, tariff, created_at, set_by)
  SELECT 'price_' || replace(gen_random_uuid()::text, '-', ''), id, created_at,
    CASE WHEN (id, input_price, output_price, cached_price) IN (VALUES
        ('claude-haiku-4-5', 1000000000, 5000000000, 100000000),
        ('claude-opus-4-5', 5000000000, 25000000000, 500000000),
        ('claude-sonnet-4-5', 3000000000, 15000000000, 300000000),
        ('deepseek-chat', 280000000, 420000000, 28000000),
        ('gemini-2.5-flash', 300000000, 2500000000, 30000000),
        ('gemini-2.5-flash-lite', 100000000, 400000000, 10000000),
        ('gemini-2.5-pro', 1250000000, 10000000000, 125000000),
        ('mistral-large-latest', 500000000, 1500000000, 50000000),
        ('mistral-small-latest', 100000000, 300000000, 10000000),
        ('gpt-5', 1250000000, 10000000000, 125000000),
        ('gpt-5-mini', 250000000, 2000000000, 25000000),
        ('gpt-5-nano', 50000000, 400000000, 5000000),
        ('gpt-4.1', 2000000000, 8000000000, 500000000),
        ('text-embedding-3-large', 130000000, 0, 130000000),
        ('text-embedding-3-small', 20000000, 0, 20000000)
      ) THEN 'catalogue' ELSE 'operator' END,
    '',
    jsonb_build_object('input', input_dollars, 'cached_input', cached_dollars, 'output', output_dollars)::text,
    created_at, ''
  FROM (SELECT id, created_at, input_price, output_price, cached_price,
      -- Decimals of dollars, exact, and no more than a tariff can hold.
      rtrim(rtrim((least(input_price, 1000000000000000) / 1000000000)::text || '.' || lpad((least(input_price, 1000000000000000) % 1000000000)::text, 9, '0'), '0'), '.') AS input_dollars,
      rtrim(rtrim((least(output_price, 1000000000000000) / 1000000000)::text || '.' || lpad((least(output_price, 1000000000000000) % 1000000000)::text, 9, '0'), '0'), '.') AS output_dollars,
      rtrim(rtrim((least(cached_price, 1000000000000000) / 1000000000)::text || '.' || lpad((least(cached_price, 1000000000000000) % 1000000000)::text, 9, '0'), '0'), '.') AS cached_dollars
    FROM models) priced;

DROP VIEW gateway_models_v1;
ALTER TABLE models DROP COLUMN input_price;
ALTER TABLE models DROP COLUMN output_price;
ALTER TABLE models DROP COLUMN cached_price;
-- What the model accepts, and what it can give out. NULL is not known.
ALTER TABLE models ADD COLUMN context_tokens BIGINT CHECK (context_tokens > 0);
ALTER TABLE models ADD COLUMN max_output_tokens BIGINT CHECK (max_output_tokens > 0);

-- The list prices in force by the database's clock, in nano-dollars per million tokens; NULL in a model without a price.
CREATE VIEW gateway_models_v1 AS
  SELECT m.id, m.provider,
    CASE WHEN r.id IS NOT NULL THEN (COALESCE(r.tariff::jsonb ->> 'input', '0')::numeric * 1000000000)::bigint END AS input_price,
    CASE WHEN r.id IS NOT NULL THEN (COALESCE(r.tariff::jsonb ->> 'output', '0')::numeric * 1000000000)::bigint END AS output_price,
    CASE WHEN r.id IS NOT NULL THEN (COALESCE(r.tariff::jsonb ->> 'cached_input', r.tariff::jsonb ->> 'input', '0')::numeric * 1000000000)::bigint END AS cached_price,
    m.upstream_name, m.default_output_tokens,
    p.id AS provider_id, p.name AS provider_name, p.kind, p.base_url, p.credential_env, p.connect_ms, p.idle_ms, p.whole_ms,
    m.context_tokens, m.max_output_tokens, r.id AS price_id
  FROM models m
  LEFT JOIN providers p ON p.id = m.provider_id AND p.retired_at IS NULL
  LEFT JOIN prices r ON r.tariff <> '{}' AND r.id = (SELECT id FROM prices WHERE model_id = m.id AND withdrawn_at IS NULL
    AND starts_at <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint ORDER BY starts_at DESC LIMIT 1)
  WHERE m.retired_at IS NULL;

CREATE VIEW gateway_prices_v1 AS
  SELECT model_id, id AS price_id, starts_at, tariff FROM prices WHERE withdrawn_at IS NULL;
