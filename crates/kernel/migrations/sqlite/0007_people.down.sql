DROP TABLE sign_in_try;

-- A role that is held in a tenant alone is lost: what came before knew none, and must not make it one held everywhere.
CREATE TABLE principal_old (
  id BLOB PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('user', 'service', 'system')),
  role TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
INSERT INTO principal_old (id, name, kind, role, created_at)
  SELECT id, name, kind, COALESCE(
    (SELECT MIN(role) FROM role_binding b WHERE b.principal_id = p.id AND b.level = 'platform'), ''), created_at
  FROM principal p;
CREATE TABLE credential_old (
  hash BLOB PRIMARY KEY,
  principal_id BLOB NOT NULL REFERENCES principal_old (id),
  kind TEXT NOT NULL CHECK (kind IN ('token', 'session', 'link')),
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  used_at INTEGER
) STRICT;
INSERT INTO credential_old (hash, principal_id, kind, created_at, expires_at, used_at)
  SELECT hash, principal_id, kind, created_at, expires_at, used_at FROM credential
  WHERE kind <> 'invite' AND allows IS NULL;
DROP TABLE credential;
DROP TABLE role_binding;
DROP TABLE principal;
ALTER TABLE principal_old RENAME TO principal;
ALTER TABLE credential_old RENAME TO credential;

ALTER TABLE project DROP COLUMN version;
ALTER TABLE project DROP COLUMN display_name;
ALTER TABLE tenant DROP COLUMN version;
ALTER TABLE tenant DROP COLUMN state;
ALTER TABLE tenant DROP COLUMN display_name;
