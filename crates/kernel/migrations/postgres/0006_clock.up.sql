-- When a place's time was stored, by the clock that it was stored by: with it the length of a wait is known. What is there
-- already keeps its time.
ALTER TABLE job_queue ADD COLUMN set_at timestamptz;
UPDATE job_queue SET set_at = to_timestamp(0);
ALTER TABLE job_queue ALTER COLUMN set_at SET NOT NULL;
