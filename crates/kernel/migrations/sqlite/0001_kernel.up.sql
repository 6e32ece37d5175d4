-- The kernel's tables. What is stored: intent (resources, working copies, revisions, runs, jobs) and facts about it
-- (events, audit, logs). What is not: time series beyond a run's own bounded charts, and anything an engine keeps.
-- Hashed bodies (spec, document) stay text: a database that reorders JSON would change their hash.

CREATE TABLE tenant (
  id BLOB PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE project (
  id BLOB PRIMARY KEY,
  tenant_id BLOB NOT NULL REFERENCES tenant (id),
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  UNIQUE (tenant_id, name)
) STRICT;

CREATE TABLE principal (
  id BLOB PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('user', 'service', 'system')),
  role TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

-- Bearer tokens, browser sessions and one-time sign-in links; only the SHA-256 of the secret is kept.
CREATE TABLE credential (
  hash BLOB PRIMARY KEY,
  principal_id BLOB NOT NULL REFERENCES principal (id),
  kind TEXT NOT NULL CHECK (kind IN ('token', 'session', 'link')),
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  used_at INTEGER
) STRICT;

CREATE TABLE resource (
  id BLOB PRIMARY KEY,
  tenant_id BLOB NOT NULL,
  project_id BLOB NOT NULL REFERENCES project (id),
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  display_name TEXT NOT NULL,
  description TEXT NOT NULL,
  metadata TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('active', 'archived')),
  version INTEGER NOT NULL,
  last_revision INTEGER NOT NULL,
  last_run INTEGER NOT NULL,
  published_number INTEGER,
  -- Requests to publish so far, and the newest of them that took effect.
  publish_asked INTEGER NOT NULL,
  publish_done INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  UNIQUE (project_id, kind, name)
) STRICT;
CREATE INDEX resource_list ON resource (project_id, kind, state, name);

CREATE TABLE working_copy (
  resource_id BLOB PRIMARY KEY REFERENCES resource (id),
  spec TEXT NOT NULL,
  spec_hash TEXT NOT NULL,
  cut_hash TEXT,
  version INTEGER NOT NULL,
  base_revision INTEGER,
  updated_by TEXT NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE revision (
  id BLOB PRIMARY KEY,
  resource_id BLOB NOT NULL REFERENCES resource (id),
  number INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('draft', 'in_review', 'approved', 'published', 'superseded', 'rejected')),
  origin TEXT NOT NULL CHECK (origin IN ('working_copy', 'apply', 'rollback')),
  spec TEXT NOT NULL,
  spec_hash TEXT NOT NULL,
  message TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  published_at INTEGER,
  UNIQUE (resource_id, number)
) STRICT;
CREATE UNIQUE INDEX revision_published ON revision (resource_id) WHERE state = 'published';

-- Code archives by content: an old revision finds its old code here on any machine.
CREATE TABLE code (
  tenant_id BLOB NOT NULL,
  digest TEXT NOT NULL,
  size INTEGER NOT NULL,
  files INTEGER NOT NULL,
  body BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, digest)
) STRICT;

CREATE TABLE job (
  id BLOB PRIMARY KEY,
  tenant_id BLOB NOT NULL,
  project_id BLOB NOT NULL,
  operation TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled', 'undoing', 'undone')),
  resource_id BLOB,
  run_id BLOB,
  input TEXT NOT NULL,
  reason TEXT NOT NULL,
  waiting_for TEXT,
  error_code TEXT,
  error_message TEXT,
  cancel_requested INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  request_id TEXT NOT NULL,
  correlation_id TEXT NOT NULL
) STRICT;
CREATE INDEX job_list ON job (project_id, id);
CREATE INDEX job_list_state ON job (project_id, state, id);
CREATE INDEX job_run ON job (run_id, id);

CREATE TABLE job_step (
  job_id BLOB NOT NULL REFERENCES job (id),
  idx INTEGER NOT NULL,
  name TEXT NOT NULL,
  title TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'running', 'waiting', 'succeeded', 'failed', 'cancelled', 'skipped', 'undoing', 'undone')),
  attempts INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  output TEXT,
  error TEXT,
  PRIMARY KEY (job_id, idx)
) STRICT;

-- Narrow on purpose: claimed, leased, retried and waited on by one column, due_at.
CREATE TABLE job_queue (
  job_id BLOB PRIMARY KEY REFERENCES job (id),
  prio INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  token INTEGER NOT NULL,
  step INTEGER NOT NULL
) STRICT;
CREATE INDEX job_queue_due ON job_queue (prio, due_at, job_id);

CREATE TABLE run (
  id BLOB PRIMARY KEY,
  tenant_id BLOB NOT NULL,
  project_id BLOB NOT NULL,
  resource_id BLOB NOT NULL REFERENCES resource (id),
  kind TEXT NOT NULL,
  number INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'stopped')),
  code TEXT,
  message TEXT,
  params TEXT NOT NULL,
  engine TEXT NOT NULL,
  engine_detail TEXT,
  attempt INTEGER NOT NULL,
  progress TEXT,
  failure TEXT,
  serving TEXT,
  results TEXT,
  job_id BLOB NOT NULL,
  -- All lines and the bytes kept of its log, which chunks that were removed can no longer tell.
  log_lines INTEGER NOT NULL,
  log_bytes INTEGER NOT NULL,
  version INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  stop_requested_at INTEGER,
  UNIQUE (resource_id, number)
) STRICT;
CREATE INDEX run_list ON run (project_id, id);
CREATE INDEX run_list_state ON run (project_id, state, id);
CREATE INDEX run_active ON run (id) WHERE state IN ('queued', 'running');

CREATE TABLE run_attempt (
  run_id BLOB NOT NULL REFERENCES run (id),
  attempt INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'stopped')),
  external_id TEXT,
  cursor INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  exit_code INTEGER,
  code TEXT,
  message TEXT,
  PRIMARY KEY (run_id, attempt)
) STRICT;

-- A run's log: chunks of JSON lines, append-only; the columns beside the body are its index.
CREATE TABLE run_log (
  run_id BLOB NOT NULL REFERENCES run (id),
  first_line INTEGER NOT NULL,
  lines INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  stages TEXT NOT NULL,
  streams TEXT NOT NULL,
  max_level INTEGER NOT NULL,
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (run_id, first_line)
) STRICT;
CREATE INDEX run_log_age ON run_log (last_at);

-- A run's own charts, the one time series kept: at most 500 points a stage, thinned as they grow.
CREATE TABLE run_chart (
  run_id BLOB NOT NULL REFERENCES run (id),
  attempt INTEGER NOT NULL,
  stage TEXT NOT NULL,
  points TEXT NOT NULL,
  PRIMARY KEY (run_id, attempt, stage)
) STRICT;

CREATE TABLE idempotency (
  tenant_id BLOB NOT NULL,
  project_id BLOB NOT NULL,
  principal_id BLOB NOT NULL,
  key TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  job_id BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (project_id, principal_id, key)
) STRICT;
CREATE INDEX idempotency_age ON idempotency (created_at);

CREATE TABLE event (
  pos INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id BLOB NOT NULL,
  project_id BLOB NOT NULL,
  type TEXT NOT NULL,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  kind TEXT,
  resource_id BLOB,
  resource_name TEXT,
  run_id BLOB,
  job_id BLOB,
  correlation_id TEXT NOT NULL,
  data TEXT NOT NULL
) STRICT;
CREATE INDEX event_project ON event (project_id, pos);
CREATE INDEX event_resource ON event (resource_id, pos);
CREATE INDEX event_run ON event (run_id, pos);


CREATE TABLE audit (
  id BLOB PRIMARY KEY,
  tenant_id BLOB NOT NULL,
  project_id BLOB NOT NULL,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  source TEXT NOT NULL,
  action TEXT NOT NULL,
  kind TEXT NOT NULL,
  object_id BLOB NOT NULL,
  object_name TEXT NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('success', 'failure', 'denied')),
  reason TEXT NOT NULL,
  changes TEXT NOT NULL,
  job_id BLOB,
  request_id TEXT NOT NULL,
  correlation_id TEXT NOT NULL,
  trace_id TEXT
) STRICT;
CREATE INDEX audit_project ON audit (project_id, id);
CREATE INDEX audit_object ON audit (object_id, id);
