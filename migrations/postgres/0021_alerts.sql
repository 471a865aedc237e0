-- Alerts, the ways on which they reach people and programs, and what each person wants of them.

CREATE TABLE alerts (
  id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  kind TEXT NOT NULL CHECK (kind IN ('budget', 'balance', 'expiry', 'rotation', 'rejections', 'spike')),
  subject_kind TEXT NOT NULL CHECK (subject_kind IN ('key', 'team', 'org')),
  subject_id TEXT NOT NULL,
  -- What was crossed, with its window: 'budget/key/key_1/month/1793487600000/10000000000'.
  crossing TEXT NOT NULL,
  -- Percent of a budget or balance, days before an end, otherwise 0.
  threshold BIGINT NOT NULL,
  -- JSON: the numbers that the alert's sentence is made of.
  facts TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
-- Once per crossing, whichever node finds it.
CREATE UNIQUE INDEX alerts_crossing_unique ON alerts (crossing, threshold);
CREATE INDEX alerts_by_age ON alerts (created_at);

-- Webhooks of an organisation. Address and signing secret are encrypted with the installation's key.
CREATE TABLE alert_channels (
  id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  name TEXT NOT NULL,
  form TEXT NOT NULL CHECK (form IN ('slack', 'signed')),
  url BYTEA NOT NULL,
  -- Of the address, to show.
  host TEXT NOT NULL,
  -- NULL for Slack's form, which is not signed.
  secret BYTEA,
  created_at BIGINT NOT NULL,
  removed_at BIGINT
);
CREATE INDEX alert_channels_by_org ON alert_channels (org_id, id) WHERE removed_at IS NULL;

-- The outbox and the inboxes: one row for each person or channel and way, written with its alert.
CREATE TABLE alert_deliveries (
  id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES orgs (id),
  -- NULL is a test of a channel.
  alert_id TEXT REFERENCES alerts (id),
  via TEXT NOT NULL CHECK (via IN ('inbox', 'mail', 'webhook')),
  person_id TEXT REFERENCES people (id),
  channel_id TEXT REFERENCES alert_channels (id),
  -- 'failed' is tried again.
  state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'failed', 'given_up')),
  attempts BIGINT NOT NULL,
  next_at BIGINT NOT NULL,
  -- Until then a worker has it.
  leased_until BIGINT NOT NULL,
  -- A word for why the last attempt failed; empty without one.
  last_error TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  -- When it was sent or given up.
  done_at BIGINT,
  read_at BIGINT
);
CREATE INDEX alert_deliveries_due ON alert_deliveries (next_at) WHERE state IN ('pending', 'failed');
CREATE INDEX alert_deliveries_inbox ON alert_deliveries (person_id, org_id, id) WHERE via = 'inbox';
CREATE INDEX alert_deliveries_unread ON alert_deliveries (person_id, org_id) WHERE via = 'inbox' AND read_at IS NULL;
CREATE INDEX alert_deliveries_mailed ON alert_deliveries (person_id, org_id, done_at) WHERE via = 'mail';
CREATE INDEX alert_deliveries_log ON alert_deliveries (org_id, id) WHERE via <> 'inbox';
CREATE INDEX alert_deliveries_by_alert ON alert_deliveries (alert_id);

-- What a person wants; the organisation's own row has no person ('').
CREATE TABLE alert_choices (
  org_id TEXT NOT NULL REFERENCES orgs (id),
  person_id TEXT NOT NULL,
  -- Percents such as '50,80,95'; empty is as the organisation has it.
  thresholds TEXT NOT NULL,
  -- JSON: kind to 'off', 'inbox' or 'mail'; what is missing is as the organisation has it.
  ways TEXT NOT NULL,
  PRIMARY KEY (org_id, person_id)
);

-- Which node does what only one does at a time.
CREATE TABLE job_leases (
  name TEXT NOT NULL PRIMARY KEY,
  node TEXT NOT NULL,
  leased_until BIGINT NOT NULL
);

-- What the organisation had spent in all when the entry was made: alerts compare what was spent since with the balance that
-- it left. NULL for entries from before.
ALTER TABLE ledger ADD COLUMN spent_before BIGINT;
