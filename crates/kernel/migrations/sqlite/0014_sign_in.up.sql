-- Keys that access tokens are signed with, families of refresh tokens, and people who sign in elsewhere.

-- The private half is sealed by the master key of secrets, and is gone once another key signs.
CREATE TABLE signing_key (
  kid TEXT PRIMARY KEY,
  public_key BLOB NOT NULL,
  sealed BLOB,
  -- The id of the master key.
  master TEXT,
  created_at INTEGER NOT NULL,
  retired_at INTEGER
) STRICT;

-- A family is the credential of the kind 'refresh': its hash is that of the newest refresh token, its id the session of the
-- access tokens.
CREATE TABLE credential_new (
  hash BLOB PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  principal_id BLOB NOT NULL REFERENCES principal (id),
  kind TEXT NOT NULL CHECK (kind IN ('token', 'session', 'link', 'invite', 'refresh')),
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
INSERT INTO credential_new (hash, id, principal_id, kind, label, source, allows, created_at, expires_at, used_at)
  SELECT hash, id, principal_id, kind, label, source, allows, created_at, expires_at, used_at FROM credential;
DROP TABLE credential;
ALTER TABLE credential_new RENAME TO credential;
CREATE INDEX credential_principal ON credential (principal_id, id);
CREATE INDEX credential_expiry ON credential (expires_at);

-- Refresh tokens that were used, by their SHA-256: whoever comes with one again ends the family.
CREATE TABLE refresh_used (
  hash BLOB PRIMARY KEY,
  family_id BLOB NOT NULL,
  principal_id BLOB NOT NULL REFERENCES principal (id),
  expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX refresh_used_expiry ON refresh_used (expires_at);

-- Who somebody is elsewhere: a subject of an issuer. Nothing else links an account.
CREATE TABLE external_identity (
  issuer TEXT NOT NULL,
  subject TEXT NOT NULL,
  principal_id BLOB NOT NULL REFERENCES principal (id),
  -- The name of the provider by which it came first.
  provider TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (issuer, subject)
) STRICT;
CREATE INDEX external_identity_principal ON external_identity (principal_id);
