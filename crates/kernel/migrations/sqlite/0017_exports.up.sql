-- Archives of what a tenant, or a project of one, has. The id is that of the job that writes it; `token` is the highest fencing
-- token of those who wrote to it, and nobody with a lower one writes any more.
CREATE TABLE export (
  id BLOB PRIMARY KEY,
  tenant_id BLOB NOT NULL REFERENCES tenant (id),
  -- None for the tenant as a whole.
  project_id BLOB,
  -- What the tenant or the project was called.
  name TEXT NOT NULL,
  token INTEGER NOT NULL,
  files INTEGER,
  bytes INTEGER,
  digest TEXT,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  finished_at INTEGER,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX export_list ON export (tenant_id, id);
CREATE INDEX export_project ON export (project_id) WHERE project_id IS NOT NULL;
CREATE INDEX export_expiry ON export (expires_at);

-- The files of an archive that are whole, and where the writing goes on after each.
CREATE TABLE export_file (
  export_id BLOB NOT NULL REFERENCES export (id),
  number INTEGER NOT NULL,
  path TEXT NOT NULL,
  records INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  place TEXT NOT NULL,
  PRIMARY KEY (export_id, number)
) STRICT;

-- The archive's own bytes, in the order of the key.
CREATE TABLE export_part (
  export_id BLOB NOT NULL REFERENCES export (id),
  file INTEGER NOT NULL,
  part INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (export_id, file, part)
) STRICT;
