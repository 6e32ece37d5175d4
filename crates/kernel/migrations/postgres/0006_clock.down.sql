ALTER TABLE job_queue DROP COLUMN set_at;
