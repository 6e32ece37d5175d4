-- Teams of a tenant: who is in them, and which roles they hold.

CREATE TABLE team (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  name text COLLATE "C" NOT NULL,
  display_name text NOT NULL,
  version bigint NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  UNIQUE (tenant_id, name)
);

CREATE TABLE team_member (
  team_id uuid NOT NULL REFERENCES team (id),
  principal_id uuid NOT NULL REFERENCES principal (id),
  tenant_id uuid NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (team_id, principal_id)
);
CREATE INDEX team_member_principal ON team_member (principal_id, team_id);

-- As `role_binding`, for a team: in its tenant, or in a project of it.
CREATE TABLE team_binding (
  team_id uuid NOT NULL REFERENCES team (id),
  role text COLLATE "C" NOT NULL,
  level text NOT NULL CHECK (level IN ('tenant', 'project')),
  object_id uuid NOT NULL,
  tenant_id uuid NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (team_id, role, object_id)
);
CREATE INDEX team_binding_tenant ON team_binding (tenant_id, team_id);
