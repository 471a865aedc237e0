-- Part of a name is found by an index of its three-character pieces.

CREATE VIRTUAL TABLE keys_names USING fts5 (
  name_folded, content = 'keys', content_rowid = 'seq', columnsize = 0, tokenize = 'trigram case_sensitive 1'
);
CREATE TRIGGER keys_names_insert AFTER INSERT ON keys BEGIN
  INSERT INTO keys_names (rowid, name_folded) VALUES (new.seq, new.name_folded);
END;
CREATE TRIGGER keys_names_delete AFTER DELETE ON keys BEGIN
  INSERT INTO keys_names (keys_names, rowid, name_folded) VALUES ('delete', old.seq, old.name_folded);
END;
CREATE TRIGGER keys_names_update AFTER UPDATE OF name_folded ON keys BEGIN
  INSERT INTO keys_names (keys_names, rowid, name_folded) VALUES ('delete', old.seq, old.name_folded);
  INSERT INTO keys_names (rowid, name_folded) VALUES (new.seq, new.name_folded);
END;

-- The audit cannot be rewritten.
CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events BEGIN SELECT RAISE(ABORT, 'audit events are append-only'); END;
CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events BEGIN SELECT RAISE(ABORT, 'audit events are append-only'); END;
