-- What a tenant, and a project of it, may have at most; none where a column is empty. `version` counts its changes.
CREATE TABLE quota (
  object_id BLOB PRIMARY KEY,
  tenant_id BLOB NOT NULL REFERENCES tenant (id),
  resources INTEGER,
  active_runs INTEGER,
  log_bytes INTEGER,
  version INTEGER NOT NULL
) STRICT;
CREATE INDEX quota_tenant ON quota (tenant_id);

-- The bytes of logs that are kept, counted as they come and go. In several rows a project, so that its runs do not wait for each other.
CREATE TABLE log_usage (
  project_id BLOB NOT NULL,
  shard INTEGER NOT NULL,
  tenant_id BLOB NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (project_id, shard)
) STRICT;
CREATE INDEX log_usage_tenant ON log_usage (tenant_id);
INSERT INTO log_usage (project_id, shard, tenant_id, bytes)
  SELECT u.project_id, 0, u.tenant_id, sum(l.bytes) FROM run_log l JOIN run u ON u.id = l.run_id GROUP BY u.project_id, u.tenant_id;

-- The attempt from which on lines are not kept, because a quota is used up.
ALTER TABLE run ADD COLUMN log_full INTEGER;
CREATE INDEX run_active_in ON run (tenant_id, project_id, id) WHERE state IN ('queued', 'running');
CREATE INDEX schedule_tenant ON schedule (tenant_id);

-- The job that deletes it, while one does: nobody gets in any more.
ALTER TABLE tenant ADD COLUMN deleting BLOB;
ALTER TABLE project ADD COLUMN deleting BLOB;
