DROP TABLE sign_in_try;

CREATE TABLE credential_old (
  hash bytea PRIMARY KEY,
  principal_id uuid NOT NULL REFERENCES principal (id),
  kind text NOT NULL CHECK (kind IN ('token', 'session', 'link')),
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  used_at timestamptz
);
INSERT INTO credential_old (hash, principal_id, kind, created_at, expires_at, used_at)
  SELECT hash, principal_id, kind, created_at, expires_at, used_at FROM credential
  WHERE kind <> 'invite' AND allows IS NULL;
DROP TABLE credential;
ALTER TABLE credential_old RENAME TO credential;

-- A role that is held in a tenant alone is lost: what came before knew none, and must not make it one held everywhere.
ALTER TABLE principal ADD COLUMN role text NOT NULL DEFAULT '';
UPDATE principal SET role = COALESCE(
  (SELECT MIN(role) FROM role_binding b WHERE b.principal_id = principal.id AND b.level = 'platform'), '');
ALTER TABLE principal ALTER COLUMN role DROP DEFAULT;
DROP TABLE role_binding;

ALTER TABLE principal DROP COLUMN password;
ALTER TABLE principal DROP COLUMN version;
ALTER TABLE principal DROP COLUMN state;
ALTER TABLE principal DROP COLUMN display_name;
ALTER TABLE project DROP COLUMN version;
ALTER TABLE project DROP COLUMN display_name;
ALTER TABLE tenant DROP COLUMN version;
ALTER TABLE tenant DROP COLUMN state;
ALTER TABLE tenant DROP COLUMN display_name;
