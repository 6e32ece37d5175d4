-- What somebody is told of, by name; and the subscriptions, which are found by their kind.

CREATE TABLE notification (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  person text COLLATE "C" NOT NULL,
  -- The type of the event that it is about.
  what text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  resource_id uuid NOT NULL REFERENCES resource (id),
  number bigint NOT NULL,
  actor text NOT NULL,
  message text NOT NULL,
  created_at timestamptz NOT NULL,
  read_at timestamptz
);
CREATE INDEX notification_list ON notification (tenant_id, person, id);
CREATE INDEX notification_unread ON notification (tenant_id, person, id) WHERE read_at IS NULL;
CREATE INDEX notification_age ON notification (created_at);

CREATE INDEX resource_subscription ON resource (id) WHERE kind = 'Subscription';
