-- Who follows a run: one process, until then unless it says so again.
CREATE TABLE run_observer (
  run_id uuid PRIMARY KEY REFERENCES run (id),
  holder uuid NOT NULL,
  until timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Work that one process does at a time.
CREATE TABLE duty (
  name text COLLATE "C" PRIMARY KEY,
  holder uuid NOT NULL,
  until timestamptz NOT NULL
);

-- Where a chunk's lines are, once they have left the row.
ALTER TABLE run_log ADD COLUMN object text COLLATE "C";
CREATE INDEX run_log_here ON run_log (run_id, first_line) WHERE object IS NULL;

-- Objects that nothing refers to any more; a name that ends in / is all below it.
CREATE TABLE log_garbage (
  object text COLLATE "C" PRIMARY KEY,
  since timestamptz NOT NULL
);

-- How far each consumer of events is, and why it does not go on.
CREATE TABLE consumer (
  name text COLLATE "C" PRIMARY KEY,
  pos bigint NOT NULL,
  failures bigint NOT NULL,
  error_code text,
  error_message text,
  due_at timestamptz NOT NULL
);

-- Events that a consumer did not take, kept as they were.
CREATE TABLE dead_letter (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  consumer text COLLATE "C" NOT NULL,
  pos bigint NOT NULL,
  event text NOT NULL,
  state text NOT NULL CHECK (state IN ('dead', 'due', 'delivered')),
  attempts bigint NOT NULL,
  error_code text COLLATE "C" NOT NULL,
  error_message text NOT NULL,
  died_at timestamptz NOT NULL,
  delivered_at timestamptz,
  -- When the stream of dead letters had it, where there is one.
  published_at timestamptz,
  UNIQUE (consumer, pos)
);
CREATE INDEX dead_letter_list ON dead_letter (project_id, id);
CREATE INDEX dead_letter_due ON dead_letter (consumer, id) WHERE state = 'due';
CREATE INDEX dead_letter_unpublished ON dead_letter (id) WHERE published_at IS NULL;
