-- The row that is written to see whether the database can be written.
CREATE TABLE readiness (
  only_row   INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
  written_at INTEGER NOT NULL,
  -- More than what a request writes, so that a disk with room for less is found to be full.
  padding    TEXT NOT NULL
) STRICT;
INSERT INTO readiness (only_row, written_at, padding) VALUES (1, 0, '');
