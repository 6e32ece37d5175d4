-- Teams of a tenant: who is in them, and which roles they hold.

CREATE TABLE team (
  id BLOB PRIMARY KEY,
  tenant_id BLOB NOT NULL REFERENCES tenant (id),
  name TEXT NOT NULL,
  display_name TEXT NOT NULL,
  version INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  UNIQUE (tenant_id, name)
) STRICT;

CREATE TABLE team_member (
  team_id BLOB NOT NULL REFERENCES team (id),
  principal_id BLOB NOT NULL REFERENCES principal (id),
  tenant_id BLOB NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (team_id, principal_id)
) STRICT;
CREATE INDEX team_member_principal ON team_member (principal_id, team_id);

-- As `role_binding`, for a team: in its tenant, or in a project of it.
CREATE TABLE team_binding (
  team_id BLOB NOT NULL REFERENCES team (id),
  role TEXT NOT NULL,
  level TEXT NOT NULL CHECK (level IN ('tenant', 'project')),
  object_id BLOB NOT NULL,
  tenant_id BLOB NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (team_id, role, object_id)
) STRICT;
CREATE INDEX team_binding_tenant ON team_binding (tenant_id, team_id);
