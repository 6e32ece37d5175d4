-- What comes of a credential (a link, a session, a family, a token made with it) works no longer than until then. A token hands on
-- its own end.
ALTER TABLE credential ADD COLUMN ends_at timestamptz;
UPDATE credential SET ends_at = expires_at WHERE kind = 'token';
