DROP INDEX resource_holder_principal;
ALTER TABLE resource_holder DROP COLUMN principal_id;
