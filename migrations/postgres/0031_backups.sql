-- When a backup was last made, so that `keydesk doctor` can say how old it is. One row, and none before the first backup.
CREATE TABLE last_backup (
  only_row BIGINT NOT NULL PRIMARY KEY CHECK (only_row = 1),
  made_at BIGINT NOT NULL
);
