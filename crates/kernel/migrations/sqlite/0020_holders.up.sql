-- A person or service holds a resource by its id, and not by a name that somebody may get later; none for a team. Owners in
-- documents that nobody in the tenant answered to give nothing.
ALTER TABLE resource_holder ADD COLUMN principal_id BLOB;
UPDATE resource_holder SET principal_id = (SELECT p.id FROM principal p WHERE p.name = holder) WHERE holder NOT LIKE 'team:%';
DELETE FROM resource_holder WHERE owner = 1 AND holder NOT LIKE 'team:%' AND NOT EXISTS (
  SELECT 1 FROM role_binding b WHERE b.principal_id = resource_holder.principal_id
    AND (b.tenant_id = resource_holder.tenant_id OR b.level = 'platform')
) AND NOT EXISTS (
  SELECT 1 FROM team_member m WHERE m.principal_id = resource_holder.principal_id AND m.tenant_id = resource_holder.tenant_id
) AND NOT EXISTS (
  SELECT 1 FROM resource_holder s WHERE s.principal_id = resource_holder.principal_id AND s.tenant_id = resource_holder.tenant_id
    AND s.owner = 0
);
DELETE FROM resource_holder WHERE owner = 1 AND holder LIKE 'team:%' AND NOT EXISTS (
  SELECT 1 FROM team t WHERE t.tenant_id = resource_holder.tenant_id AND 'team:' || t.name = resource_holder.holder
);
CREATE INDEX resource_holder_principal ON resource_holder (principal_id);
