-- Keys that access tokens are signed with, families of refresh tokens, and people who sign in elsewhere.

-- The private half is sealed by the master key of secrets, and is gone once another key signs.
CREATE TABLE signing_key (
  kid text COLLATE "C" PRIMARY KEY,
  public_key bytea NOT NULL,
  sealed bytea,
  -- The id of the master key.
  master text COLLATE "C",
  created_at timestamptz NOT NULL,
  retired_at timestamptz
);

-- A family is the credential of the kind 'refresh': its hash is that of the newest refresh token, its id the session of the
-- access tokens.
ALTER TABLE credential DROP CONSTRAINT credential_new_kind_check;
ALTER TABLE credential ADD CONSTRAINT credential_kind_check CHECK (kind IN ('token', 'session', 'link', 'invite', 'refresh'));

-- Refresh tokens that were used, by their SHA-256: whoever comes with one again ends the family.
CREATE TABLE refresh_used (
  hash bytea PRIMARY KEY,
  family_id uuid NOT NULL,
  principal_id uuid NOT NULL REFERENCES principal (id),
  expires_at timestamptz NOT NULL
);
CREATE INDEX refresh_used_expiry ON refresh_used (expires_at);

-- Who somebody is elsewhere: a subject of an issuer. Nothing else links an account.
CREATE TABLE external_identity (
  issuer text COLLATE "C" NOT NULL,
  subject text COLLATE "C" NOT NULL,
  principal_id uuid NOT NULL REFERENCES principal (id),
  -- The name of the provider by which it came first.
  provider text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (issuer, subject)
);
CREATE INDEX external_identity_principal ON external_identity (principal_id);
