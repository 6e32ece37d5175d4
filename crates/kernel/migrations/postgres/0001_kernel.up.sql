-- The kernel's tables. What is stored: intent (resources, working copies, revisions, runs, jobs) and facts about it
-- (events, audit, logs). What is not: time series beyond a run's own bounded charts, and anything an engine keeps.
-- Hashed bodies (spec, document) stay text: a database that reorders JSON would change their hash.

CREATE TABLE tenant (
  id uuid PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE,
  created_at timestamptz NOT NULL
);

CREATE TABLE project (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  name text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL,
  UNIQUE (tenant_id, name)
);

CREATE TABLE principal (
  id uuid PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE,
  kind text NOT NULL CHECK (kind IN ('user', 'service', 'system')),
  role text NOT NULL,
  created_at timestamptz NOT NULL
);

-- Bearer tokens, browser sessions and one-time sign-in links; only the SHA-256 of the secret is kept.
CREATE TABLE credential (
  hash bytea PRIMARY KEY,
  principal_id uuid NOT NULL REFERENCES principal (id),
  kind text NOT NULL CHECK (kind IN ('token', 'session', 'link')),
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  used_at timestamptz
);

CREATE TABLE resource (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL REFERENCES project (id),
  kind text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  display_name text NOT NULL,
  description text NOT NULL,
  metadata text NOT NULL,
  state text NOT NULL CHECK (state IN ('active', 'archived')),
  version bigint NOT NULL,
  last_revision bigint NOT NULL,
  last_run bigint NOT NULL,
  published_number bigint,
  -- Requests to publish so far, and the newest of them that took effect.
  publish_asked bigint NOT NULL,
  publish_done bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  UNIQUE (project_id, kind, name)
);
CREATE INDEX resource_list ON resource (project_id, kind, state, name);

CREATE TABLE working_copy (
  resource_id uuid PRIMARY KEY REFERENCES resource (id),
  spec text NOT NULL,
  spec_hash text COLLATE "C" NOT NULL,
  cut_hash text COLLATE "C",
  version bigint NOT NULL,
  base_revision bigint,
  updated_by text COLLATE "C" NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE TABLE revision (
  id uuid PRIMARY KEY,
  resource_id uuid NOT NULL REFERENCES resource (id),
  number bigint NOT NULL,
  state text NOT NULL CHECK (state IN ('draft', 'in_review', 'approved', 'published', 'superseded', 'rejected')),
  origin text NOT NULL CHECK (origin IN ('working_copy', 'apply', 'rollback')),
  spec text NOT NULL,
  spec_hash text COLLATE "C" NOT NULL,
  message text NOT NULL,
  created_by text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL,
  published_at timestamptz,
  UNIQUE (resource_id, number)
);
CREATE UNIQUE INDEX revision_published ON revision (resource_id) WHERE state = 'published';

-- Code archives by content: an old revision finds its old code here on any machine.
CREATE TABLE code (
  tenant_id uuid NOT NULL,
  digest text COLLATE "C" NOT NULL,
  size bigint NOT NULL,
  files bigint NOT NULL,
  body bytea NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, digest)
);

CREATE TABLE job (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  operation text COLLATE "C" NOT NULL,
  state text NOT NULL CHECK (state IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled', 'undoing', 'undone')),
  resource_id uuid,
  run_id uuid,
  input text NOT NULL,
  reason text NOT NULL,
  waiting_for text,
  error_code text,
  error_message text,
  cancel_requested boolean NOT NULL,
  created_by text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL,
  started_at timestamptz,
  ended_at timestamptz,
  request_id text COLLATE "C" NOT NULL,
  correlation_id text COLLATE "C" NOT NULL
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX job_list ON job (project_id, id);
CREATE INDEX job_list_state ON job (project_id, state, id);
CREATE INDEX job_run ON job (run_id, id);

CREATE TABLE job_step (
  job_id uuid NOT NULL REFERENCES job (id),
  idx bigint NOT NULL,
  name text COLLATE "C" NOT NULL,
  title text NOT NULL,
  state text NOT NULL CHECK (state IN ('pending', 'running', 'waiting', 'succeeded', 'failed', 'cancelled', 'skipped', 'undoing', 'undone')),
  attempts bigint NOT NULL,
  started_at timestamptz,
  ended_at timestamptz,
  output text,
  error text,
  PRIMARY KEY (job_id, idx)
);

-- Narrow on purpose: claimed, leased, retried and waited on by one column, due_at.
CREATE TABLE job_queue (
  job_id uuid PRIMARY KEY REFERENCES job (id),
  prio bigint NOT NULL,
  due_at timestamptz NOT NULL,
  token bigint NOT NULL,
  step bigint NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX job_queue_due ON job_queue (prio, due_at, job_id);

CREATE TABLE run (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  resource_id uuid NOT NULL REFERENCES resource (id),
  kind text COLLATE "C" NOT NULL,
  number bigint NOT NULL,
  revision bigint NOT NULL,
  state text NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'stopped')),
  code text,
  message text,
  params text NOT NULL,
  engine text COLLATE "C" NOT NULL,
  engine_detail text,
  attempt bigint NOT NULL,
  progress text,
  failure text,
  serving text,
  results text,
  job_id uuid NOT NULL,
  -- All lines and the bytes kept of its log, which chunks that were removed can no longer tell.
  log_lines bigint NOT NULL,
  log_bytes bigint NOT NULL,
  version bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL,
  started_at timestamptz,
  ended_at timestamptz,
  stop_requested_at timestamptz,
  UNIQUE (resource_id, number)
);
CREATE INDEX run_list ON run (project_id, id);
CREATE INDEX run_list_state ON run (project_id, state, id);
CREATE INDEX run_active ON run (id) WHERE state IN ('queued', 'running');

CREATE TABLE run_attempt (
  run_id uuid NOT NULL REFERENCES run (id),
  attempt bigint NOT NULL,
  state text NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'stopped')),
  external_id text COLLATE "C",
  cursor bigint NOT NULL,
  started_at timestamptz,
  ended_at timestamptz,
  exit_code bigint,
  code text,
  message text,
  PRIMARY KEY (run_id, attempt)
);

-- A run's log: chunks of JSON lines, append-only; the columns beside the body are its index.
CREATE TABLE run_log (
  run_id uuid NOT NULL REFERENCES run (id),
  first_line bigint NOT NULL,
  lines bigint NOT NULL,
  attempt bigint NOT NULL,
  stages text NOT NULL,
  streams text NOT NULL,
  max_level bigint NOT NULL,
  first_at timestamptz NOT NULL,
  last_at timestamptz NOT NULL,
  bytes bigint NOT NULL,
  body text NOT NULL,
  PRIMARY KEY (run_id, first_line)
);
CREATE INDEX run_log_age ON run_log (last_at);

-- A run's own charts, the one time series kept: at most 500 points a stage, thinned as they grow.
CREATE TABLE run_chart (
  run_id uuid NOT NULL REFERENCES run (id),
  attempt bigint NOT NULL,
  stage text COLLATE "C" NOT NULL,
  points text NOT NULL,
  PRIMARY KEY (run_id, attempt, stage)
);

CREATE TABLE idempotency (
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  principal_id uuid NOT NULL,
  key text COLLATE "C" NOT NULL,
  fingerprint text COLLATE "C" NOT NULL,
  job_id uuid NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (project_id, principal_id, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at);

CREATE TABLE event (
  pos bigint PRIMARY KEY,
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  type text COLLATE "C" NOT NULL,
  at timestamptz NOT NULL,
  actor text COLLATE "C" NOT NULL,
  kind text COLLATE "C",
  resource_id uuid,
  resource_name text COLLATE "C",
  run_id uuid,
  job_id uuid,
  correlation_id text COLLATE "C" NOT NULL,
  data text NOT NULL
);
CREATE INDEX event_project ON event (project_id, pos);
CREATE INDEX event_resource ON event (resource_id, pos);
CREATE INDEX event_run ON event (run_id, pos);

-- Writers append here; the relay gives each event its dense position (ARCHITECTURE.md, Events).
CREATE TABLE event_outbox (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  type text COLLATE "C" NOT NULL,
  at timestamptz NOT NULL,
  actor text COLLATE "C" NOT NULL,
  kind text COLLATE "C",
  resource_id uuid,
  resource_name text COLLATE "C",
  run_id uuid,
  job_id uuid,
  correlation_id text COLLATE "C" NOT NULL,
  data text NOT NULL
);

CREATE TABLE event_head (
  id bigint PRIMARY KEY CHECK (id = 1),
  pos bigint NOT NULL
);
INSERT INTO event_head (id, pos) VALUES (1, 0);

CREATE TABLE audit (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  at timestamptz NOT NULL,
  actor text COLLATE "C" NOT NULL,
  source text NOT NULL,
  action text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  object_id uuid NOT NULL,
  object_name text COLLATE "C" NOT NULL,
  outcome text NOT NULL CHECK (outcome IN ('success', 'failure', 'denied')),
  reason text NOT NULL,
  changes text NOT NULL,
  job_id uuid,
  request_id text COLLATE "C" NOT NULL,
  correlation_id text COLLATE "C" NOT NULL,
  trace_id text COLLATE "C"
);
CREATE INDEX audit_project ON audit (project_id, id);
CREATE INDEX audit_object ON audit (object_id, id);
