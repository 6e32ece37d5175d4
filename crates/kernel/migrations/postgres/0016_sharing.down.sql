DROP TABLE resource_holder;
