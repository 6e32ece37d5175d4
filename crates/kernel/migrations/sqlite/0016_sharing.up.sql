-- Whom a resource belongs to (as its metadata say) and with whom it is shared. `holder` is a principal's name, or `team:` and
-- the name of a team of the tenant.
CREATE TABLE resource_holder (
  resource_id BLOB NOT NULL REFERENCES resource (id),
  holder TEXT NOT NULL,
  -- One is an owner by the metadata alone, and has beside that at most one share.
  owner INTEGER NOT NULL CHECK (owner IN (0, 1)),
  access TEXT NOT NULL CHECK (access IN ('viewer', 'operator', 'editor', 'owner')),
  tenant_id BLOB NOT NULL,
  project_id BLOB NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (resource_id, holder, owner)
) STRICT;
CREATE INDEX resource_holder_holder ON resource_holder (holder, tenant_id);
INSERT INTO resource_holder (resource_id, holder, owner, access, tenant_id, project_id, created_by, created_at)
  SELECT r.id, o.value, 1, 'owner', r.tenant_id, r.project_id, r.created_by, r.created_at
  FROM resource r, json_each(r.metadata, '$.owners') o WHERE true
  UNION
  SELECT r.id, 'team:' || t.value, 1, 'owner', r.tenant_id, r.project_id, r.created_by, r.created_at
  FROM resource r, json_each(r.metadata, '$.teams') t WHERE true;
