-- Devices that signed in before, and attempts at a code, are counted on their own. What was counted is forgotten.
DROP TABLE throttles;
CREATE TABLE throttles (
  kind TEXT NOT NULL CHECK (kind IN ('sign_in_pair', 'sign_in_account', 'sign_in_network', 'sign_in_device',
    'second_factor', 'second_factor_lane', 'search', 'invitation')),
  subject TEXT NOT NULL,
  failures BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  PRIMARY KEY (kind, subject)
);

-- Wrong codes after a right password since the person last signed in, and when they were told by mail.
ALTER TABLE people ADD COLUMN wrong_codes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE people ADD COLUMN wrong_codes_told_at BIGINT;

-- Forms whose session was over when they were sent, sealed, until their person signs in again.
CREATE TABLE kept_forms (
  id TEXT PRIMARY KEY NOT NULL,
  person_id TEXT NOT NULL REFERENCES people (id),
  sealed BYTEA NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX kept_forms_by_person ON kept_forms (person_id, created_at);
