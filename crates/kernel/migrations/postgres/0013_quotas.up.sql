-- What a tenant, and a project of it, may have at most; none where a column is empty. `version` counts its changes.
CREATE TABLE quota (
  object_id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  resources bigint,
  active_runs bigint,
  log_bytes bigint,
  version bigint NOT NULL
);
CREATE INDEX quota_tenant ON quota (tenant_id);

-- The bytes of logs that are kept, counted as they come and go. In several rows a project, so that its runs do not wait for each other.
CREATE TABLE log_usage (
  project_id uuid NOT NULL,
  shard bigint NOT NULL,
  tenant_id uuid NOT NULL,
  bytes bigint NOT NULL,
  PRIMARY KEY (project_id, shard)
);
CREATE INDEX log_usage_tenant ON log_usage (tenant_id);
INSERT INTO log_usage (project_id, shard, tenant_id, bytes)
  SELECT u.project_id, 0, u.tenant_id, CAST(sum(l.bytes) AS bigint) FROM run_log l JOIN run u ON u.id = l.run_id GROUP BY u.project_id, u.tenant_id;

-- The attempt from which on lines are not kept, because a quota is used up.
ALTER TABLE run ADD COLUMN log_full bigint;
CREATE INDEX run_active_in ON run (tenant_id, project_id, id) WHERE state IN ('queued', 'running');
CREATE INDEX schedule_tenant ON schedule (tenant_id);

-- The job that deletes it, while one does: nobody gets in any more.
ALTER TABLE tenant ADD COLUMN deleting uuid;
ALTER TABLE project ADD COLUMN deleting uuid;
