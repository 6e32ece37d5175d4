-- Who published a subscription: it tells what he may see.
CREATE TABLE subscription (
  resource_id uuid PRIMARY KEY REFERENCES resource (id),
  published_by uuid
);
INSERT INTO subscription (resource_id, published_by)
  SELECT r.id, p.id FROM resource r JOIN revision v ON v.resource_id = r.id AND v.number = r.published_number
  LEFT JOIN principal p ON p.name = v.created_by WHERE r.kind = 'Subscription';
