ALTER TABLE schedule DROP COLUMN published_by;
