-- How far each schedule is: every instant up to the cursor is decided, and `due_at` is the next one; none while it is paused.
CREATE TABLE schedule (
  resource_id uuid PRIMARY KEY REFERENCES resource (id),
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  revision bigint NOT NULL,
  cursor_at timestamptz NOT NULL,
  due_at timestamptz
);
CREATE INDEX schedule_due ON schedule (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX schedule_cursor ON schedule (cursor_at);

-- What an instant came to. Written in the transaction that makes its job, so that it has one at most.
CREATE TABLE schedule_firing (
  resource_id uuid NOT NULL REFERENCES resource (id),
  due_at timestamptz NOT NULL,
  decided_at timestamptz NOT NULL,
  revision bigint NOT NULL,
  outcome text NOT NULL CHECK (outcome IN ('started', 'skipped', 'refused')),
  -- Instants before it that were passed over together with it.
  missed bigint NOT NULL,
  code text COLLATE "C",
  message text,
  job_id uuid,
  run_id uuid,
  PRIMARY KEY (resource_id, due_at)
);
CREATE INDEX schedule_firing_age ON schedule_firing (due_at);

-- What limits how many runs are active at once: a row to lock while they are counted.
CREATE TABLE slot (
  key text COLLATE "C" PRIMARY KEY
);

-- Runs that have a slot of a key, and those that wait for one.
CREATE TABLE run_slot (
  key text COLLATE "C" NOT NULL,
  run_id uuid NOT NULL,
  job_id uuid NOT NULL,
  held boolean NOT NULL,
  since timestamptz NOT NULL,
  PRIMARY KEY (key, run_id)
);
CREATE INDEX run_slot_run ON run_slot (run_id);
CREATE INDEX run_active_of ON run (resource_id, id) WHERE state IN ('queued', 'running');
CREATE INDEX run_active_on ON run (engine, id) WHERE state IN ('queued', 'running');
