-- What somebody is told of, by name; and the subscriptions, which are found by their kind.

CREATE TABLE notification (
  id BLOB PRIMARY KEY,
  tenant_id BLOB NOT NULL,
  project_id BLOB NOT NULL,
  person TEXT NOT NULL,
  -- The type of the event that it is about.
  what TEXT NOT NULL,
  kind TEXT NOT NULL,
  resource_id BLOB NOT NULL REFERENCES resource (id),
  number INTEGER NOT NULL,
  actor TEXT NOT NULL,
  message TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  read_at INTEGER
) STRICT;
CREATE INDEX notification_list ON notification (tenant_id, person, id);
CREATE INDEX notification_unread ON notification (tenant_id, person, id) WHERE read_at IS NULL;
CREATE INDEX notification_age ON notification (created_at);

CREATE INDEX resource_subscription ON resource (id) WHERE kind = 'Subscription';
