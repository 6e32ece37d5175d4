DROP TABLE dead_letter;
DROP TABLE consumer;
DROP TABLE log_garbage;
DROP INDEX run_log_here;
ALTER TABLE run_log DROP COLUMN object;
DROP TABLE duty;
DROP TABLE run_observer;
