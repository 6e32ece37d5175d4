-- Who follows a run: one process, until then unless it says so again.
CREATE TABLE run_observer (
  run_id BLOB PRIMARY KEY REFERENCES run (id),
  holder BLOB NOT NULL,
  until INTEGER NOT NULL
) STRICT;

-- Work that one process does at a time.
CREATE TABLE duty (
  name TEXT PRIMARY KEY,
  holder BLOB NOT NULL,
  until INTEGER NOT NULL
) STRICT;

-- Where a chunk's lines are, once they have left the row.
ALTER TABLE run_log ADD COLUMN object TEXT;
CREATE INDEX run_log_here ON run_log (run_id, first_line) WHERE object IS NULL;

-- Objects that nothing refers to any more; a name that ends in / is all below it.
CREATE TABLE log_garbage (
  object TEXT PRIMARY KEY,
  since INTEGER NOT NULL
) STRICT;

-- How far each consumer of events is, and why it does not go on.
CREATE TABLE consumer (
  name TEXT PRIMARY KEY,
  pos INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  error_code TEXT,
  error_message TEXT,
  due_at INTEGER NOT NULL
) STRICT;

-- Events that a consumer did not take, kept as they were.
CREATE TABLE dead_letter (
  id BLOB PRIMARY KEY,
  tenant_id BLOB NOT NULL,
  project_id BLOB NOT NULL,
  consumer TEXT NOT NULL,
  pos INTEGER NOT NULL,
  event TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('dead', 'due', 'delivered')),
  attempts INTEGER NOT NULL,
  error_code TEXT NOT NULL,
  error_message TEXT NOT NULL,
  died_at INTEGER NOT NULL,
  delivered_at INTEGER,
  -- When the stream of dead letters had it, where there is one.
  published_at INTEGER,
  UNIQUE (consumer, pos)
) STRICT;
CREATE INDEX dead_letter_list ON dead_letter (project_id, id);
CREATE INDEX dead_letter_due ON dead_letter (consumer, id) WHERE state = 'due';
CREATE INDEX dead_letter_unpublished ON dead_letter (id) WHERE published_at IS NULL;
