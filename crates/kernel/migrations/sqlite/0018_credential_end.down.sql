ALTER TABLE credential DROP COLUMN ends_at;
