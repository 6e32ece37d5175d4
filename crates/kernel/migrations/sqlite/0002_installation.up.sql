-- Which database this is, for whoever shares a bus with another one.
CREATE TABLE installation (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  id BLOB NOT NULL
) STRICT;
