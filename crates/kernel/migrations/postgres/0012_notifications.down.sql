DROP INDEX resource_subscription;
DROP TABLE notification;
