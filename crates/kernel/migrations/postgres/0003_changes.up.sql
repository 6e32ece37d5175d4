-- Plans that are shown, decided on and applied by id; locks that jobs hold; and which tenant a job's place in the queue is of.

CREATE TABLE plan (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  operation text COLLATE "C" NOT NULL,
  action text COLLATE "C" NOT NULL,
  state text NOT NULL CHECK (state IN ('open', 'approved', 'applied', 'rejected', 'stale', 'expired')),
  -- What was asked for, and what the world said when it was.
  input text NOT NULL,
  preflight text NOT NULL,
  body text NOT NULL,
  hash text COLLATE "C" NOT NULL,
  risk text NOT NULL CHECK (risk IN ('low', 'medium', 'high')),
  reason text NOT NULL,
  created_by text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  decided_by text COLLATE "C",
  decided_at timestamptz,
  decision text,
  -- Why it can no longer be applied.
  stale text,
  job_id uuid
);
CREATE INDEX plan_list ON plan (project_id, id);
CREATE INDEX plan_open ON plan (expires_at) WHERE state IN ('open', 'approved');

ALTER TABLE job ADD COLUMN plan_id uuid;
ALTER TABLE job ADD COLUMN plan text NOT NULL DEFAULT '{}';
ALTER TABLE job ADD COLUMN plan_hash text COLLATE "C" NOT NULL DEFAULT '';
-- The keys of its plan's locks, a JSON list; empty without any.
ALTER TABLE job ADD COLUMN locks text NOT NULL DEFAULT '';
CREATE INDEX event_job ON event (job_id, pos) WHERE job_id IS NOT NULL;
CREATE INDEX audit_job ON audit (job_id, id) WHERE job_id IS NOT NULL;
CREATE INDEX job_ended ON job (ended_at) WHERE ended_at IS NOT NULL;

-- One row a key that was ever locked, with the id of its project or tenant before it: the token only grows.
CREATE TABLE job_lock (
  key text COLLATE "C" PRIMARY KEY,
  token bigint NOT NULL,
  job_id uuid,
  taken_at timestamptz
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX job_lock_job ON job_lock (job_id) WHERE job_id IS NOT NULL;

CREATE TABLE job_lock_wait (
  key text COLLATE "C" NOT NULL,
  job_id uuid NOT NULL,
  since timestamptz NOT NULL,
  PRIMARY KEY (key, job_id)
);
CREATE INDEX job_lock_wait_job ON job_lock_wait (job_id);

-- A tenant's jobs stand together in the queue, so that each tenant is asked for its share.
ALTER TABLE job_queue ADD COLUMN tenant_id uuid;
UPDATE job_queue SET tenant_id = (SELECT tenant_id FROM job WHERE job.id = job_queue.job_id);
ALTER TABLE job_queue ALTER COLUMN tenant_id SET NOT NULL;
DROP INDEX job_queue_due;
CREATE INDEX job_queue_due ON job_queue (prio, tenant_id, due_at, job_id);
