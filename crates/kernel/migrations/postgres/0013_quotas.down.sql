ALTER TABLE project DROP COLUMN deleting;
ALTER TABLE tenant DROP COLUMN deleting;
DROP INDEX schedule_tenant;
DROP INDEX run_active_in;
ALTER TABLE run DROP COLUMN log_full;
DROP TABLE log_usage;
DROP TABLE quota;
