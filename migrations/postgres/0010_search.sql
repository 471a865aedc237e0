-- Search over names, notes and model patterns. People and teams are looked up by their own rows, so that renaming one
-- changes nothing here.

DROP INDEX keys_names;

-- One row per key, apart from `keys`, whose rows change with every use and would take the trigrams along each time.
CREATE TABLE key_search (
  seq BIGINT NOT NULL PRIMARY KEY REFERENCES keys (seq) ON DELETE CASCADE,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  -- Made by the program (domain/search.rs); empty until it has been.
  text TEXT COLLATE "C" NOT NULL
);
CREATE INDEX key_search_org ON key_search (org_id, seq);
CREATE INDEX key_search_missing ON key_search (seq) WHERE text = '';

-- The database folds ASCII as the program does. The program makes the other texts after the migration.
INSERT INTO key_search (seq, org_id, text)
  SELECT k.seq, k.org_id, CASE WHEN k.name_folded || k.note !~ '^[ -~]*$' THEN '' ELSE
    chr(10) || k.name_folded || chr(10) || lower(k.note COLLATE "C") || chr(10) || COALESCE((SELECT
      string_agg(lower(pattern COLLATE "C"), chr(10) ORDER BY pattern COLLATE "C")
      FROM scopes WHERE holder_kind = 'key' AND holder_id = k.id), '') || chr(10)
    END
  FROM keys k;

-- Keys are searched far more often than edited, so there is no pending list that every search would have to scan.
CREATE INDEX key_search_text ON key_search USING gin (text gin_trgm_ops) WITH (fastupdate = off);
