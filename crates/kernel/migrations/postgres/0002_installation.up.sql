-- Which database this is, for whoever shares a bus with another one.
CREATE TABLE installation (
  one bigint PRIMARY KEY CHECK (one = 1),
  id uuid NOT NULL
);
