-- Archives of what a tenant, or a project of one, has. The id is that of the job that writes it; `token` is the highest fencing
-- token of those who wrote to it, and nobody with a lower one writes any more.
CREATE TABLE export (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  -- None for the tenant as a whole.
  project_id uuid,
  -- What the tenant or the project was called.
  name text NOT NULL,
  token bigint NOT NULL,
  files bigint,
  bytes bigint,
  digest text,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  finished_at timestamptz,
  expires_at timestamptz NOT NULL
);
CREATE INDEX export_list ON export (tenant_id, id);
CREATE INDEX export_project ON export (project_id) WHERE project_id IS NOT NULL;
CREATE INDEX export_expiry ON export (expires_at);

-- The files of an archive that are whole, and where the writing goes on after each.
CREATE TABLE export_file (
  export_id uuid NOT NULL REFERENCES export (id),
  number bigint NOT NULL,
  path text NOT NULL,
  records bigint NOT NULL,
  bytes bigint NOT NULL,
  sha256 text NOT NULL,
  place text NOT NULL,
  PRIMARY KEY (export_id, number)
);

-- The archive's own bytes, in the order of the key.
CREATE TABLE export_part (
  export_id uuid NOT NULL REFERENCES export (id),
  file bigint NOT NULL,
  part bigint NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (export_id, file, part)
);
