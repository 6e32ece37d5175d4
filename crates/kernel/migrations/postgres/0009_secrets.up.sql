-- The master key under which the data keys of this database are wrapped: its id, never the key.
CREATE TABLE secret_master (
  one bigint PRIMARY KEY CHECK (one = 1),
  id text COLLATE "C" NOT NULL,
  since timestamptz NOT NULL
);

-- A tenant's data keys, each wrapped by a master key. New values are sealed with the one of the highest number.
CREATE TABLE secret_key (
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  number bigint NOT NULL,
  id uuid NOT NULL UNIQUE,
  wrapped bytea NOT NULL,
  master text COLLATE "C" NOT NULL,
  -- The rotation that made it; none for a tenant's first.
  job_id uuid,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, number)
);

CREATE TABLE secret (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenant (id),
  project_id uuid NOT NULL REFERENCES project (id),
  path text COLLATE "C" NOT NULL,
  -- The newest.
  version bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL,
  updated_by text COLLATE "C" NOT NULL,
  updated_at timestamptz NOT NULL,
  UNIQUE (project_id, path)
);

CREATE TABLE secret_version (
  secret_id uuid NOT NULL REFERENCES secret (id),
  version bigint NOT NULL,
  tenant_id uuid NOT NULL,
  key_number bigint NOT NULL,
  sealed bytea NOT NULL,
  created_by text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (secret_id, version),
  FOREIGN KEY (tenant_id, key_number) REFERENCES secret_key (tenant_id, number)
);
CREATE INDEX secret_version_key ON secret_version (tenant_id, key_number, secret_id, version);

-- Which secrets the published revision of a resource refers to.
CREATE TABLE secret_reference (
  resource_id uuid NOT NULL REFERENCES resource (id),
  revision bigint NOT NULL,
  pointer text COLLATE "C" NOT NULL,
  project_id uuid NOT NULL,
  path text COLLATE "C" NOT NULL,
  -- The newest where none is named.
  version bigint,
  PRIMARY KEY (resource_id, revision, pointer)
);
CREATE INDEX secret_reference_path ON secret_reference (project_id, path);

-- What the last test of a connection came to.
CREATE TABLE connection_reading (
  resource_id uuid PRIMARY KEY REFERENCES resource (id),
  revision bigint NOT NULL,
  ok boolean NOT NULL,
  code text COLLATE "C",
  detail text NOT NULL,
  latency_us bigint NOT NULL,
  tested_at timestamptz NOT NULL,
  tested_by text COLLATE "C" NOT NULL
);
