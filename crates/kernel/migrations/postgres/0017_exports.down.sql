DROP TABLE export_part;
DROP TABLE export_file;
DROP TABLE export;
