-- Search over names, notes and model patterns. People and teams are looked up by their own rows, so that renaming one
-- changes nothing here.

DROP TRIGGER keys_names_insert;
DROP TRIGGER keys_names_delete;
DROP TRIGGER keys_names_update;
DROP TABLE keys_names;

-- One row per key, apart from `keys`, whose rows change with every use.
CREATE TABLE key_search (
  seq INTEGER NOT NULL PRIMARY KEY REFERENCES keys (seq) ON DELETE CASCADE,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  -- Made by the program (domain/search.rs); empty until it has been.
  text TEXT NOT NULL
) STRICT;
CREATE INDEX key_search_org ON key_search (org_id, seq);
CREATE INDEX key_search_missing ON key_search (seq) WHERE text = '';

-- Without positions: it finds candidates, which are then compared with the text.
CREATE VIRTUAL TABLE key_search_index USING fts5 (
  text, content = 'key_search', content_rowid = 'seq', columnsize = 0, detail = none, tokenize = 'trigram case_sensitive 1'
);
CREATE TRIGGER key_search_insert AFTER INSERT ON key_search BEGIN
  INSERT INTO key_search_index (rowid, text) VALUES (new.seq, new.text);
END;
CREATE TRIGGER key_search_delete AFTER DELETE ON key_search BEGIN
  INSERT INTO key_search_index (key_search_index, rowid, text) VALUES ('delete', old.seq, old.text);
END;
CREATE TRIGGER key_search_update AFTER UPDATE OF text ON key_search BEGIN
  INSERT INTO key_search_index (key_search_index, rowid, text) VALUES ('delete', old.seq, old.text);
  INSERT INTO key_search_index (rowid, text) VALUES (new.seq, new.text);
END;

-- The database folds ASCII as the program does. The program makes the other texts after the migration.
INSERT INTO key_search (seq, org_id, text)
  SELECT k.seq, k.org_id, CASE WHEN k.name_folded || k.note GLOB '*[^ -~]*' THEN '' ELSE
    char(10) || k.name_folded || char(10) || lower(k.note) || char(10) || COALESCE((SELECT group_concat(lower(pattern), char(10))
      FROM (SELECT pattern FROM scopes WHERE holder_kind = 'key' AND holder_id = k.id ORDER BY pattern)), '') || char(10)
    END
  FROM keys k;
