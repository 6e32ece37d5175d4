-- Plans that are shown, decided on and applied by id; locks that jobs hold; and which tenant a job's place in the queue is of.

CREATE TABLE plan (
  id BLOB PRIMARY KEY,
  tenant_id BLOB NOT NULL,
  project_id BLOB NOT NULL,
  operation TEXT NOT NULL,
  action TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'approved', 'applied', 'rejected', 'stale', 'expired')),
  -- What was asked for, and what the world said when it was.
  input TEXT NOT NULL,
  preflight TEXT NOT NULL,
  body TEXT NOT NULL,
  hash TEXT NOT NULL,
  risk TEXT NOT NULL CHECK (risk IN ('low', 'medium', 'high')),
  reason TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  decided_by TEXT,
  decided_at INTEGER,
  decision TEXT,
  -- Why it can no longer be applied.
  stale TEXT,
  job_id BLOB
) STRICT;
CREATE INDEX plan_list ON plan (project_id, id);
CREATE INDEX plan_open ON plan (expires_at) WHERE state IN ('open', 'approved');

ALTER TABLE job ADD COLUMN plan_id BLOB;
ALTER TABLE job ADD COLUMN plan TEXT NOT NULL DEFAULT '{}';
ALTER TABLE job ADD COLUMN plan_hash TEXT NOT NULL DEFAULT '';
-- The keys of its plan's locks, a JSON list; empty without any.
ALTER TABLE job ADD COLUMN locks TEXT NOT NULL DEFAULT '';
CREATE INDEX event_job ON event (job_id, pos) WHERE job_id IS NOT NULL;
CREATE INDEX audit_job ON audit (job_id, id) WHERE job_id IS NOT NULL;
CREATE INDEX job_ended ON job (ended_at) WHERE ended_at IS NOT NULL;

-- One row a key that was ever locked, with the id of its project or tenant before it: the token only grows.
CREATE TABLE job_lock (
  key TEXT PRIMARY KEY,
  token INTEGER NOT NULL,
  job_id BLOB,
  taken_at INTEGER
) STRICT;
CREATE INDEX job_lock_job ON job_lock (job_id) WHERE job_id IS NOT NULL;

CREATE TABLE job_lock_wait (
  key TEXT NOT NULL,
  job_id BLOB NOT NULL,
  since INTEGER NOT NULL,
  PRIMARY KEY (key, job_id)
) STRICT;
CREATE INDEX job_lock_wait_job ON job_lock_wait (job_id);

-- Narrow on purpose: claimed, leased, retried and waited on by one column, due_at. A tenant's jobs stand together, so that
-- each tenant is asked for its share.
CREATE TABLE job_queue_by_tenant (
  job_id BLOB PRIMARY KEY REFERENCES job (id),
  prio INTEGER NOT NULL,
  tenant_id BLOB NOT NULL,
  due_at INTEGER NOT NULL,
  token INTEGER NOT NULL,
  step INTEGER NOT NULL
) STRICT;
INSERT INTO job_queue_by_tenant (job_id, prio, tenant_id, due_at, token, step)
  SELECT q.job_id, q.prio, j.tenant_id, q.due_at, q.token, q.step FROM job_queue q JOIN job j ON j.id = q.job_id;
DROP TABLE job_queue;
ALTER TABLE job_queue_by_tenant RENAME TO job_queue;
CREATE INDEX job_queue_due ON job_queue (prio, tenant_id, due_at, job_id);
