-- The master key under which the data keys of this database are wrapped: its id, never the key.
CREATE TABLE secret_master (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  id TEXT NOT NULL,
  since INTEGER NOT NULL
) STRICT;

-- A tenant's data keys, each wrapped by a master key. New values are sealed with the one of the highest number.
CREATE TABLE secret_key (
  tenant_id BLOB NOT NULL REFERENCES tenant (id),
  number INTEGER NOT NULL,
  id BLOB NOT NULL UNIQUE,
  wrapped BLOB NOT NULL,
  master TEXT NOT NULL,
  -- The rotation that made it; none for a tenant's first.
  job_id BLOB,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, number)
) STRICT;

CREATE TABLE secret (
  id BLOB PRIMARY KEY,
  tenant_id BLOB NOT NULL REFERENCES tenant (id),
  project_id BLOB NOT NULL REFERENCES project (id),
  path TEXT NOT NULL,
  -- The newest.
  version INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_by TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  UNIQUE (project_id, path)
) STRICT;

CREATE TABLE secret_version (
  secret_id BLOB NOT NULL REFERENCES secret (id),
  version INTEGER NOT NULL,
  tenant_id BLOB NOT NULL,
  key_number INTEGER NOT NULL,
  sealed BLOB NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (secret_id, version),
  FOREIGN KEY (tenant_id, key_number) REFERENCES secret_key (tenant_id, number)
) STRICT;
CREATE INDEX secret_version_key ON secret_version (tenant_id, key_number, secret_id, version);

-- Which secrets the published revision of a resource refers to.
CREATE TABLE secret_reference (
  resource_id BLOB NOT NULL REFERENCES resource (id),
  revision INTEGER NOT NULL,
  pointer TEXT NOT NULL,
  project_id BLOB NOT NULL,
  path TEXT NOT NULL,
  -- The newest where none is named.
  version INTEGER,
  PRIMARY KEY (resource_id, revision, pointer)
) STRICT;
CREATE INDEX secret_reference_path ON secret_reference (project_id, path);

-- What the last test of a connection came to.
CREATE TABLE connection_reading (
  resource_id BLOB PRIMARY KEY REFERENCES resource (id),
  revision INTEGER NOT NULL,
  ok INTEGER NOT NULL,
  code TEXT,
  detail TEXT NOT NULL,
  latency_us INTEGER NOT NULL,
  tested_at INTEGER NOT NULL,
  tested_by TEXT NOT NULL
) STRICT;
