-- Devices that signed in before, and attempts at a code, are counted on their own. What was counted is forgotten.
DROP TABLE throttles;
CREATE TABLE throttles (
  kind TEXT NOT NULL CHECK (kind IN ('sign_in_pair', 'sign_in_account', 'sign_in_network', 'sign_in_device',
    'second_factor', 'second_factor_lane', 'search', 'invitation')),
  subject TEXT NOT NULL,
  failures INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  PRIMARY KEY (kind, subject)
) STRICT;

-- Wrong codes after a right password since the person last signed in, and when they were told by mail.
ALTER TABLE people ADD COLUMN wrong_codes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE people ADD COLUMN wrong_codes_told_at INTEGER;

-- Forms whose session was over when they were sent, sealed, until their person signs in again.
CREATE TABLE kept_forms (
  id TEXT PRIMARY KEY NOT NULL,
  person_id TEXT NOT NULL REFERENCES people (id),
  sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX kept_forms_by_person ON kept_forms (person_id, created_at);
