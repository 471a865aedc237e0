-- What the organisation had spent in all when the entry was made: alerts compare what was spent since with the balance that
-- it left. NULL for entries from before.
ALTER TABLE ledger ADD COLUMN spent_before INTEGER;
