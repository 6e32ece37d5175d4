DROP TABLE external_identity;
DROP TABLE refresh_used;
DROP TABLE signing_key;

DELETE FROM credential WHERE kind = 'refresh';
ALTER TABLE credential DROP CONSTRAINT credential_kind_check;
ALTER TABLE credential ADD CONSTRAINT credential_new_kind_check CHECK (kind IN ('token', 'session', 'link', 'invite'));
