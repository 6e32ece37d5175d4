DROP INDEX job_queue_due;
CREATE TABLE job_queue_plain (
  job_id BLOB PRIMARY KEY REFERENCES job (id),
  prio INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  token INTEGER NOT NULL,
  step INTEGER NOT NULL
) STRICT;
INSERT INTO job_queue_plain (job_id, prio, due_at, token, step) SELECT job_id, prio, due_at, token, step FROM job_queue;
DROP TABLE job_queue;
ALTER TABLE job_queue_plain RENAME TO job_queue;
CREATE INDEX job_queue_due ON job_queue (prio, due_at, job_id);
DROP TABLE job_lock_wait;
DROP TABLE job_lock;
DROP INDEX job_ended;
DROP INDEX audit_job;
DROP INDEX event_job;
ALTER TABLE job DROP COLUMN locks;
ALTER TABLE job DROP COLUMN plan_hash;
ALTER TABLE job DROP COLUMN plan;
ALTER TABLE job DROP COLUMN plan_id;
DROP TABLE plan;
