-- An audit that can be proved: who acted by id and for whom, records of no tenant, the seals of records, and what was signed
-- about them (docs/audit.md).

ALTER TABLE audit ALTER COLUMN tenant_id DROP NOT NULL;
ALTER TABLE audit ALTER COLUMN project_id DROP NOT NULL;
ALTER TABLE audit ALTER COLUMN object_id DROP NOT NULL;
ALTER TABLE audit ADD COLUMN principal_id uuid;
ALTER TABLE audit ADD COLUMN on_behalf_of text COLLATE "C";
ALTER TABLE audit ADD COLUMN plan_hash text COLLATE "C";
DROP INDEX audit_object;
CREATE INDEX audit_object ON audit (tenant_id, object_id, id);
CREATE INDEX audit_tenant ON audit (tenant_id, id);
CREATE INDEX audit_request ON audit (tenant_id, request_id, id);
CREATE INDEX audit_correlation ON audit (tenant_id, correlation_id, id);
CREATE INDEX audit_trace ON audit (tenant_id, trace_id, id) WHERE trace_id IS NOT NULL;

-- Records without a seal, in the order in which they were written. A queue and no cursor: what commits late is found all the same.
CREATE TABLE audit_unsealed (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  audit_id uuid NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
INSERT INTO audit_unsealed (audit_id) SELECT id FROM audit ORDER BY id;

-- A chain is a tenant's, by its id, or the platform's, by the nil one.
CREATE TABLE audit_chain (
  chain uuid PRIMARY KEY,
  seq bigint NOT NULL,
  chain_hash bytea NOT NULL,
  sealed_at timestamptz NOT NULL,
  -- The last record of which there is a checkpoint, and the last one that was pruned.
  checked_seq bigint NOT NULL,
  checked_at timestamptz,
  pruned_seq bigint NOT NULL
) WITH (fillfactor = 50);

-- Narrow, so that a record's own row is never written again.
CREATE TABLE audit_seal (
  chain uuid NOT NULL,
  seq bigint NOT NULL,
  audit_id uuid NOT NULL UNIQUE,
  record_hash bytea NOT NULL,
  chain_hash bytea NOT NULL,
  PRIMARY KEY (chain, seq)
);

-- Every key that ever signed.
CREATE TABLE audit_key (
  key_id text COLLATE "C" PRIMARY KEY,
  public_key text COLLATE "C" NOT NULL,
  since timestamptz NOT NULL,
  retired_at timestamptz
);

-- The key that signs now, and how many checkpoints there are; whoever signs holds this row.
CREATE TABLE audit_signer (
  one bigint PRIMARY KEY CHECK (one = 1),
  key_id text COLLATE "C" NOT NULL REFERENCES audit_key (key_id),
  number bigint NOT NULL
);

-- `body` is the signed statement as it is sent and exported.
CREATE TABLE audit_checkpoint (
  chain uuid NOT NULL,
  seq bigint NOT NULL,
  number bigint NOT NULL UNIQUE,
  body text NOT NULL,
  PRIMARY KEY (chain, seq)
);

CREATE TABLE audit_pruning (
  chain uuid NOT NULL,
  seq bigint NOT NULL,
  body text NOT NULL,
  PRIMARY KEY (chain, seq)
);

-- How far each place outside has the checkpoints, and why it does not go on.
CREATE TABLE audit_sink (
  name text COLLATE "C" PRIMARY KEY,
  number bigint NOT NULL,
  failures bigint NOT NULL,
  error text,
  failing_since timestamptz
);
