DROP TABLE connection_reading;
DROP TABLE secret_reference;
DROP TABLE secret_version;
DROP TABLE secret;
DROP TABLE secret_key;
DROP TABLE secret_master;
