DROP INDEX run_active_on;
DROP INDEX run_active_of;
DROP TABLE run_slot;
DROP TABLE slot;
DROP TABLE schedule_firing;
DROP TABLE schedule;
