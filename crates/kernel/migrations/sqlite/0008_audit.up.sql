-- An audit that can be proved: who acted by id and for whom, records of no tenant, the seals of records, and what was signed
-- about them (docs/audit.md).

CREATE TABLE audit_of_all (
  id BLOB PRIMARY KEY,
  tenant_id BLOB,
  project_id BLOB,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  principal_id BLOB,
  on_behalf_of TEXT,
  source TEXT NOT NULL,
  action TEXT NOT NULL,
  kind TEXT NOT NULL,
  object_id BLOB,
  object_name TEXT NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('success', 'failure', 'denied')),
  reason TEXT NOT NULL,
  changes TEXT NOT NULL,
  job_id BLOB,
  plan_hash TEXT,
  request_id TEXT NOT NULL,
  correlation_id TEXT NOT NULL,
  trace_id TEXT
) STRICT;
INSERT INTO audit_of_all (id, tenant_id, project_id, at, actor, source, action, kind, object_id, object_name, outcome, reason,
    changes, job_id, request_id, correlation_id, trace_id)
  SELECT id, tenant_id, project_id, at, actor, source, action, kind, object_id, object_name, outcome, reason, changes, job_id,
    request_id, correlation_id, trace_id FROM audit;
DROP TABLE audit;
ALTER TABLE audit_of_all RENAME TO audit;
CREATE INDEX audit_project ON audit (project_id, id);
CREATE INDEX audit_job ON audit (job_id, id) WHERE job_id IS NOT NULL;
CREATE INDEX audit_object ON audit (tenant_id, object_id, id);
CREATE INDEX audit_tenant ON audit (tenant_id, id);
CREATE INDEX audit_request ON audit (tenant_id, request_id, id);
CREATE INDEX audit_correlation ON audit (tenant_id, correlation_id, id);
CREATE INDEX audit_trace ON audit (tenant_id, trace_id, id) WHERE trace_id IS NOT NULL;

-- Records without a seal, in the order in which they were written. A queue and no cursor, as on Postgres.
CREATE TABLE audit_unsealed (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  audit_id BLOB NOT NULL
) STRICT;
INSERT INTO audit_unsealed (audit_id) SELECT id FROM audit ORDER BY id;

-- A chain is a tenant's, by its id, or the platform's, by the nil one.
CREATE TABLE audit_chain (
  chain BLOB PRIMARY KEY,
  seq INTEGER NOT NULL,
  chain_hash BLOB NOT NULL,
  sealed_at INTEGER NOT NULL,
  -- The last record of which there is a checkpoint, and the last one that was pruned.
  checked_seq INTEGER NOT NULL,
  checked_at INTEGER,
  pruned_seq INTEGER NOT NULL
) STRICT;

-- Narrow, so that a record's own row is never written again.
CREATE TABLE audit_seal (
  chain BLOB NOT NULL,
  seq INTEGER NOT NULL,
  audit_id BLOB NOT NULL UNIQUE,
  record_hash BLOB NOT NULL,
  chain_hash BLOB NOT NULL,
  PRIMARY KEY (chain, seq)
) STRICT;

-- Every key that ever signed.
CREATE TABLE audit_key (
  key_id TEXT PRIMARY KEY,
  public_key TEXT NOT NULL,
  since INTEGER NOT NULL,
  retired_at INTEGER
) STRICT;

-- The key that signs now, and how many checkpoints there are; whoever signs holds this row.
CREATE TABLE audit_signer (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  key_id TEXT NOT NULL REFERENCES audit_key (key_id),
  number INTEGER NOT NULL
) STRICT;

-- `body` is the signed statement as it is sent and exported.
CREATE TABLE audit_checkpoint (
  chain BLOB NOT NULL,
  seq INTEGER NOT NULL,
  number INTEGER NOT NULL UNIQUE,
  body TEXT NOT NULL,
  PRIMARY KEY (chain, seq)
) STRICT;

CREATE TABLE audit_pruning (
  chain BLOB NOT NULL,
  seq INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (chain, seq)
) STRICT;

-- How far each place outside has the checkpoints, and why it does not go on.
CREATE TABLE audit_sink (
  name TEXT PRIMARY KEY,
  number INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  error TEXT,
  failing_since INTEGER
) STRICT;
