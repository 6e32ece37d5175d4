-- People and services, what they hold where, and how they sign in.

ALTER TABLE tenant ADD COLUMN display_name TEXT NOT NULL DEFAULT '';
ALTER TABLE tenant ADD COLUMN state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended'));
ALTER TABLE tenant ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE project ADD COLUMN display_name TEXT NOT NULL DEFAULT '';
ALTER TABLE project ADD COLUMN version INTEGER NOT NULL DEFAULT 1;

ALTER TABLE principal ADD COLUMN display_name TEXT NOT NULL DEFAULT '';
ALTER TABLE principal ADD COLUMN state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended'));
ALTER TABLE principal ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
-- A PHC string (argon2id), or a bcrypt hash that was imported and not yet used.
ALTER TABLE principal ADD COLUMN password TEXT;

-- A role, held everywhere (`object_id` is nil), in a tenant, or in a project of one.
CREATE TABLE role_binding (
  principal_id BLOB NOT NULL REFERENCES principal (id),
  role TEXT NOT NULL,
  level TEXT NOT NULL CHECK (level IN ('platform', 'tenant', 'project')),
  object_id BLOB NOT NULL,
  -- Nil for a role that is held everywhere.
  tenant_id BLOB NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (principal_id, role, object_id)
) STRICT;
CREATE INDEX role_binding_tenant ON role_binding (tenant_id, principal_id);
INSERT INTO role_binding (principal_id, role, level, object_id, tenant_id, created_by, created_at)
  SELECT id, role, 'platform', zeroblob(16), zeroblob(16), 'system', created_at FROM principal;
ALTER TABLE principal DROP COLUMN role;

-- Bearer tokens, browser sessions, one-time sign-in links and invitations; only the SHA-256 of the secret is kept.
CREATE TABLE credential_new (
  hash BLOB PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  principal_id BLOB NOT NULL REFERENCES principal (id),
  kind TEXT NOT NULL CHECK (kind IN ('token', 'session', 'link', 'invite')),
  -- What a token is for, in its holder's words; what a session's browser called itself.
  label TEXT NOT NULL,
  -- The address that it was made from.
  source TEXT NOT NULL,
  -- A JSON list of patterns of actions that a token is limited to; none for all that its holder may do.
  allows TEXT,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  used_at INTEGER
) STRICT;
INSERT INTO credential_new (hash, id, principal_id, kind, label, source, created_at, expires_at, used_at)
  SELECT hash, randomblob(16), principal_id, kind, '', '', created_at, expires_at, used_at FROM credential;
DROP TABLE credential;
ALTER TABLE credential_new RENAME TO credential;
CREATE INDEX credential_principal ON credential (principal_id, id);
CREATE INDEX credential_expiry ON credential (expires_at);

-- Failed sign-ins by the SHA-256 of the name that was tried, whether anybody has it or not.
CREATE TABLE sign_in_try (
  name_hash BLOB PRIMARY KEY,
  failures INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  locked_until INTEGER
) STRICT;
CREATE INDEX sign_in_try_age ON sign_in_try (last_at);
