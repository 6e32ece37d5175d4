-- Whom a resource belongs to (as its metadata say) and with whom it is shared. `holder` is a principal's name, or `team:` and
-- the name of a team of the tenant.
CREATE TABLE resource_holder (
  resource_id uuid NOT NULL REFERENCES resource (id),
  holder text COLLATE "C" NOT NULL,
  -- One is an owner by the metadata alone, and has beside that at most one share.
  owner boolean NOT NULL,
  access text NOT NULL CHECK (access IN ('viewer', 'operator', 'editor', 'owner')),
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (resource_id, holder, owner)
);
CREATE INDEX resource_holder_holder ON resource_holder (holder, tenant_id);
INSERT INTO resource_holder (resource_id, holder, owner, access, tenant_id, project_id, created_by, created_at)
  SELECT r.id, o.value, true, 'owner', r.tenant_id, r.project_id, r.created_by, r.created_at
  FROM resource r, json_array_elements_text(CAST(r.metadata AS json) -> 'owners') o (value)
  UNION
  SELECT r.id, 'team:' || t.value, true, 'owner', r.tenant_id, r.project_id, r.created_by, r.created_at
  FROM resource r, json_array_elements_text(CAST(r.metadata AS json) -> 'teams') t (value);
