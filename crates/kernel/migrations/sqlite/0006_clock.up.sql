-- When a place's time was stored, by the clock that it was stored by: with it the length of a wait is known. What is there
-- already keeps its time.
CREATE TABLE job_queue_dated (
  job_id BLOB PRIMARY KEY REFERENCES job (id),
  prio INTEGER NOT NULL,
  tenant_id BLOB NOT NULL,
  due_at INTEGER NOT NULL,
  set_at INTEGER NOT NULL,
  token INTEGER NOT NULL,
  step INTEGER NOT NULL
) STRICT;
INSERT INTO job_queue_dated (job_id, prio, tenant_id, due_at, set_at, token, step)
  SELECT job_id, prio, tenant_id, due_at, 0, token, step FROM job_queue;
DROP TABLE job_queue;
ALTER TABLE job_queue_dated RENAME TO job_queue;
CREATE INDEX job_queue_due ON job_queue (prio, tenant_id, due_at, job_id);
