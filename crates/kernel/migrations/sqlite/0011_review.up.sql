-- What is published only after somebody else has looked at it: the project's mode, who had a hand in a revision, what
-- was submitted and decided, and what was said.

ALTER TABLE project ADD COLUMN review TEXT NOT NULL DEFAULT 'none' CHECK (review IN ('none', 'required'));
-- Plans of this risk and above want a second person.
ALTER TABLE project ADD COLUMN approval_from TEXT NOT NULL DEFAULT 'none' CHECK (approval_from IN ('none', 'low', 'medium', 'high'));

-- The people who answer for a service: who made it, and who made it a token.
CREATE TABLE service_person (
  principal_id BLOB NOT NULL REFERENCES principal (id),
  name TEXT NOT NULL,
  PRIMARY KEY (principal_id, name)
) STRICT;

-- Who changed a working copy since a revision was last cut of it.
CREATE TABLE draft_author (
  resource_id BLOB NOT NULL REFERENCES resource (id),
  name TEXT NOT NULL,
  PRIMARY KEY (resource_id, name)
) STRICT;

-- Who had a hand in a revision, and so cannot approve it.
CREATE TABLE revision_author (
  resource_id BLOB NOT NULL REFERENCES resource (id),
  number INTEGER NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY (resource_id, number, name)
) STRICT;

-- One row a time that a revision was submitted.
CREATE TABLE review (
  id BLOB PRIMARY KEY,
  tenant_id BLOB NOT NULL,
  project_id BLOB NOT NULL,
  kind TEXT NOT NULL,
  resource_id BLOB NOT NULL REFERENCES resource (id),
  number INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'approved', 'rejected', 'withdrawn', 'stale', 'published')),
  submitted_by TEXT NOT NULL,
  submitted_at INTEGER NOT NULL,
  message TEXT NOT NULL,
  decided_by TEXT,
  decided_at INTEGER,
  -- Why it was approved, rejected or withdrawn, or what moved.
  decision TEXT,
  -- The plan that was approved.
  plan_id BLOB
) STRICT;
CREATE UNIQUE INDEX review_current ON review (resource_id, number) WHERE state IN ('open', 'approved');
CREATE INDEX review_history ON review (resource_id, number, id);
CREATE INDEX review_state ON review (project_id, state, id);
CREATE INDEX review_own ON review (tenant_id, submitted_by, state, id);

CREATE TABLE review_comment (
  id BLOB PRIMARY KEY,
  tenant_id BLOB NOT NULL,
  project_id BLOB NOT NULL,
  resource_id BLOB NOT NULL REFERENCES resource (id),
  number INTEGER NOT NULL,
  author TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  body TEXT NOT NULL,
  -- The place in the spec that it is about, as a JSON pointer.
  pointer TEXT
) STRICT;
CREATE INDEX review_comment_list ON review_comment (resource_id, number, id);

CREATE INDEX plan_waiting ON plan (project_id, id) WHERE state = 'open';
