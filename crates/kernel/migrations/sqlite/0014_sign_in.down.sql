DROP TABLE external_identity;
DROP TABLE refresh_used;
DROP TABLE signing_key;

DELETE FROM credential WHERE kind = 'refresh';
CREATE TABLE credential_old (
  hash BLOB PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  principal_id BLOB NOT NULL REFERENCES principal (id),
  kind TEXT NOT NULL CHECK (kind IN ('token', 'session', 'link', 'invite')),
  label TEXT NOT NULL,
  source TEXT NOT NULL,
  allows TEXT,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  used_at INTEGER
) STRICT;
INSERT INTO credential_old (hash, id, principal_id, kind, label, source, allows, created_at, expires_at, used_at)
  SELECT hash, id, principal_id, kind, label, source, allows, created_at, expires_at, used_at FROM credential;
DROP TABLE credential;
ALTER TABLE credential_old RENAME TO credential;
CREATE INDEX credential_principal ON credential (principal_id, id);
CREATE INDEX credential_expiry ON credential (expires_at);
