-- How far each schedule is: every instant up to the cursor is decided, and `due_at` is the next one; none while it is paused.
CREATE TABLE schedule (
  resource_id BLOB PRIMARY KEY REFERENCES resource (id),
  tenant_id BLOB NOT NULL,
  project_id BLOB NOT NULL,
  revision INTEGER NOT NULL,
  cursor_at INTEGER NOT NULL,
  due_at INTEGER
) STRICT;
CREATE INDEX schedule_due ON schedule (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX schedule_cursor ON schedule (cursor_at);

-- What an instant came to. Written in the transaction that makes its job, so that it has one at most.
CREATE TABLE schedule_firing (
  resource_id BLOB NOT NULL REFERENCES resource (id),
  due_at INTEGER NOT NULL,
  decided_at INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('started', 'skipped', 'refused')),
  -- Instants before it that were passed over together with it.
  missed INTEGER NOT NULL,
  code TEXT,
  message TEXT,
  job_id BLOB,
  run_id BLOB,
  PRIMARY KEY (resource_id, due_at)
) STRICT;
CREATE INDEX schedule_firing_age ON schedule_firing (due_at);

-- What limits how many runs are active at once: a row to lock while they are counted.
CREATE TABLE slot (
  key TEXT PRIMARY KEY
) STRICT;

-- Runs that have a slot of a key, and those that wait for one.
CREATE TABLE run_slot (
  key TEXT NOT NULL,
  run_id BLOB NOT NULL,
  job_id BLOB NOT NULL,
  held INTEGER NOT NULL,
  since INTEGER NOT NULL,
  PRIMARY KEY (key, run_id)
) STRICT;
CREATE INDEX run_slot_run ON run_slot (run_id);
CREATE INDEX run_active_of ON run (resource_id, id) WHERE state IN ('queued', 'running');
CREATE INDEX run_active_on ON run (engine, id) WHERE state IN ('queued', 'running');
