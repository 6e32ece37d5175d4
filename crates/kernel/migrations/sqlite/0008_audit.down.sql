DROP TABLE audit_sink;
DROP TABLE audit_pruning;
DROP TABLE audit_checkpoint;
DROP TABLE audit_signer;
DROP TABLE audit_key;
DROP TABLE audit_seal;
DROP TABLE audit_chain;
DROP TABLE audit_unsealed;
CREATE TABLE audit_of_tenants (
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
-- Without what the older schema has no place for.
INSERT INTO audit_of_tenants (id, tenant_id, project_id, at, actor, source, action, kind, object_id, object_name, outcome, reason,
    changes, job_id, request_id, correlation_id, trace_id)
  SELECT id, tenant_id, project_id, at, actor, source, action, kind, object_id, object_name, outcome, reason, changes, job_id,
    request_id, correlation_id, trace_id FROM audit
  WHERE tenant_id IS NOT NULL AND project_id IS NOT NULL AND object_id IS NOT NULL;
DROP TABLE audit;
ALTER TABLE audit_of_tenants RENAME TO audit;
CREATE INDEX audit_project ON audit (project_id, id);
CREATE INDEX audit_object ON audit (object_id, id);
CREATE INDEX audit_job ON audit (job_id, id) WHERE job_id IS NOT NULL;
