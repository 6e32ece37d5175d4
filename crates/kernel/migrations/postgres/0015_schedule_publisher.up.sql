-- Who published it: at each firing a schedule may do what he may do then.
ALTER TABLE schedule ADD COLUMN published_by uuid;
UPDATE schedule SET published_by = (
  SELECT p.id FROM revision v JOIN principal p ON p.name = v.created_by
  WHERE v.resource_id = schedule.resource_id AND v.number = schedule.revision
);
